"""Makes one demo film as a file, with its ground truth."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from aiprod.data.sources.demo.faults import picture_times, spoil_pictures, spoil_sound
from aiprod.data.sources.demo.motion import SimulatedMotion, simulate
from aiprod.data.sources.demo.picture import draw
from aiprod.data.sources.demo.plan import COLOURS, FAULTS, SHAPES, FilmPlan, ScenePlan
from aiprod.data.sources.demo.tones import synthesise
from aiprod.media.encoding import encode
from aiprod.media.frames import VideoReader
from aiprod.media.scaling import Scaler

_CRF = 17.0
_CRF_STILL = 12.0
_LATE_S = 0.4
_FAULTS = {fault.name: fault for fault in FAULTS}


def make_film(plan: FilmPlan, path: Path) -> dict[str, Any]:
    """Write the film and return its ground truth (plain values, deterministic)."""
    cv2.setNumThreads(1)
    pictures = round(plan.duration_s * plan.fps)
    shares = [pictures // len(plan.scenes)] * len(plan.scenes)
    shares[-1] += pictures - sum(shares)
    motions = [simulate(s, plan.width, plan.height, plan.fps, n) for s, n in zip(plan.scenes, shares, strict=True)]
    truth = _truth(plan, motions, shares)
    if plan.fault == "empty":
        path.write_bytes(b"")
        return truth
    if plan.fault == "not-media":
        path.write_text("This is a text file. Someone named it .mp4.\n" * 40, encoding="utf-8")
        return truth
    scenes = list(zip(plan.scenes, motions, shares, strict=True))
    drawn = itertools.chain.from_iterable(draw(s, m, plan.width, plan.height) for s, m, _ in scenes)
    sound = np.concatenate([synthesise(s, m, plan.height, n / plan.fps, s.seed) for s, m, n in scenes], axis=1)
    spoilt, rate = spoil_sound(plan.fault, sound, plan.scenes[0].seed)
    _write(plan, path, spoil_pictures(plan.fault, drawn, plan.fps), spoilt, rate, pictures)
    if plan.fault == "truncated":
        data = path.read_bytes()
        path.write_bytes(data[: round(len(data) * 0.55)])
    return truth


def _write(  # noqa: PLR0917
    plan: FilmPlan, path: Path, pictures: Iterator[np.ndarray], sound: np.ndarray | None, rate: int, count: int
) -> None:
    times = picture_times(plan.fault, count, plan.fps, plan.scenes[0].seed)
    if times is not None:
        pictures = itertools.islice(pictures, len(times))
    if plan.fault == "blocky":
        draft = path.with_name("draft.mp4")
        hard = {"b": "160000", "maxrate": "160000", "bufsize": "160000", "qmin": "20", "qmax": "31"}
        encode(draft, pictures, Fraction(plan.fps), None, codec="mpeg4", video_options=hard)
        with VideoReader(draft) as reader:
            scaler = Scaler(plan.width, plan.height, exact=True)
            pictures = (scaler.array(timed.frame) for timed in reader.frames())
            encode(path, pictures, Fraction(plan.fps), sound, sample_rate=rate, crf=_CRF, preset="superfast")
        draft.unlink()
        return
    encode(
        path,
        pictures,
        Fraction(plan.fps),
        sound,
        sample_rate=rate or 48_000,
        times_s=times,
        preset="superfast" if plan.fault == "freeze" else "ultrafast",
        # A key picture codes the standing picture anew and so moves it, and so do later pictures that refine a coarse
        # one: cameras that hang do neither.
        keyframe_s=10.0 if plan.fault == "freeze" else 1.0,
        crf={"starved": 51.0, "freeze": _CRF_STILL}.get(plan.fault or "", _CRF),
        sound_start_s=_LATE_S if plan.fault == "desync" else 0.0,
        codec="mpeg4" if plan.fault == "wrong-codec" else "libx264",
        video_options={"b": "3000000"} if plan.fault == "wrong-codec" else None,
    )


def _truth(plan: FilmPlan, motions: list[SimulatedMotion], shares: list[int]) -> dict[str, Any]:
    fault = _FAULTS.get(plan.fault or "")
    scenes = []
    start = 0
    for scene, motion, count in zip(plan.scenes, motions, shares, strict=True):
        scenes.append(_scene_truth(scene, motion, start / plan.fps, count / plan.fps))
        start += count
    return {
        "key": plan.key,
        "fps": plan.fps,
        "width": plan.width,
        "height": plan.height,
        "duration_s": round(start / plan.fps, 4),
        "scenes": scenes,
        "fault": None
        if fault is None
        else {
            "name": fault.name,
            "check": fault.check,
            "expected": fault.expected,
            "says": fault.says,
        },
    }


def _scene_truth(scene: ScenePlan, motion: SimulatedMotion, start_s: float, duration_s: float) -> dict[str, Any]:
    return {
        "sentence": scene.sentence(),
        "labels": scene.labels(),
        "start_s": round(start_s, 4),
        "duration_s": round(duration_s, 4),
        "background": {"texture": scene.texture, "colour": scene.ground},
        "camera": {"movement": scene.camera, "speed": scene.camera_speed},
        "motion": "bounce" if scene.gravity_px_s2 else "drift",
        **({"pace": scene.pace} if scene.pace else {}),
        "objects": [
            {
                "shape": plan.shape,
                "colour": plan.colour,
                "rgb": list(COLOURS[plan.colour]),
                "size": plan.size,
                "radius_px": plan.radius_px,
                "pitch_hz": SHAPES[plan.shape],
                "heading": plan.heading,
                "path": [[x, y] for x, y, _ in path],
            }
            for plan, path in zip(scene.objects, motion.paths, strict=True)
        ],
        "impacts": [
            {"time_s": i.time_s, "kind": i.kind, "objects": list(i.objects), "x": i.x, "speed_px_s": i.speed_px_s}
            for i in motion.impacts
        ],
    }
