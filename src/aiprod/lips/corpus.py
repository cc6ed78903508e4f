"""Makes the dataset of talking heads: people who do not exist say sentences of the speech dataset."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from aiprod.base.files import contained, write_json
from aiprod.base.params import Params
from aiprod.errors import AiprodError
from aiprod.lips.head import Cover, Looks, Picture, Pose, aperture_of, draw, looks_of
from aiprod.lips.rows import FaceRow, Fault
from aiprod.media.audio_resampling import resampled
from aiprod.media.encoding import encode
from aiprod.speech.captions import as_json
from aiprod.speech.rows import SpeechRow
from aiprod.speech.sound_files import read_sound
from aiprod.speech.visemes import VISEMES, middles, mouth_at, visemes_at
from aiprod.speech.voice import RATE

SOURCE = "drawn_head"
PROVENANCE = "drawn by aiprod.lips.head, spoken by aiprod.speech.voice; the person does not exist"
TAUGHT = "drawn by aiprod.lips.head, the head does not exist; its voice is {}"
_FAULTS: tuple[Fault, ...] = ("hand", "profile", "two_faces", "leaves")
_SOUND_HZ = 48_000
_CRF = 14.0


class MakeFacesParams(Params):
    """The dataset of talking heads."""

    train: int = Field(default=40, ge=2, le=100_000, description="clips to train on, a face each")
    heldout: int = Field(default=10, ge=2, le=10_000, description="clips of other faces and sentences")
    faults: bool = Field(default=True, description="one faulty clip of each kind: a hidden mouth, a profile, …")
    size: int = Field(default=160, ge=64, le=2048, multiple_of=2, description="side of the square pictures, in pixels")
    fps: float = Field(default=25.0, ge=5, le=120)
    seed: int = Field(default=0, ge=0, le=2**32)


def make_faces(
    params: MakeFacesParams, speech: Sequence[SpeechRow], sounds: Path, folder: Path, threads: int
) -> list[FaceRow]:
    """Draw every clip into ``folder``; a row each.

    Raises:
        AiprodError: the speech dataset has too few sentences that nobody spoke.
    """
    plans = _plans(params, speech)
    with ThreadPoolExecutor(threads) as pool:  # OpenCV and FFmpeg work beside themselves: they hold no lock
        return list(pool.map(lambda plan: _render(params, plan[0], plan[1], sounds, folder), enumerate(plans)))


_Plan = tuple[SpeechRow, Fault]


def _plans(params: MakeFacesParams, speech: Sequence[SpeechRow]) -> list[_Plan]:
    drawn = [row for row in speech if row.synthetic and row.status == "ok" and row.sound_name]
    rng = np.random.default_rng(params.seed)
    plans: list[_Plan] = []
    for split, count in (("train", params.train), ("heldout", params.heldout)):
        rows = [row for row in drawn if row.split == split]
        if not rows:
            raise AiprodError(
                f"the speech dataset has no {split} sentence of the drawn voice", "run `dvc repro make_speech`"
            )
        order = rng.permutation(len(rows))
        plans += [(rows[order[n % len(rows)]], "none") for n in range(count)]
    if params.faults:
        plans += [(plans[params.train + n % params.heldout][0], fault) for n, fault in enumerate(_FAULTS)]
    return plans


def _render(params: MakeFacesParams, number: int, plan: _Plan, sounds: Path, folder: Path) -> FaceRow:
    row, fault = plan
    rng = np.random.default_rng([params.seed, number])
    assert row.sound_name is not None
    sound = read_sound(contained(sounds, row.sound_name))
    phones = row.timed_phones()
    frames = max(1, int(len(sound) / RATE * params.fps))
    times = middles(frames, params.fps)
    mouth = mouth_at(phones, row.language, times)
    poses = _poses(rng, params, frames, fault)
    content = "\x00".join([SOURCE, row.utterance_id, fault, str(params.seed), str(number)])
    clip_id = "f1" + base64.b32encode(hashlib.sha256(content.encode()).digest()[:10]).decode().lower()
    path = folder / f"{clip_id}.mp4"
    provenance = TAUGHT.format(row.provenance) if row.taught else PROVENANCE
    encode(
        path,
        _pictures(rng, params, mouth, poses, fault),
        Fraction(params.fps).limit_denominator(1001),
        resampled(sound[None], RATE, _SOUND_HZ).astype(np.float32),
        crf=_CRF,
        tags={"comment": f"synthetic: {provenance}"},
    )
    about = {"synthetic": True, "speaker": row.speaker, "language": row.language, "text": row.text}
    write_json(path.with_suffix(".json"), as_json(row.timed_words(), phones, **about))
    return FaceRow(
        clip_id=clip_id,
        source_id=SOURCE,
        provenance=provenance,
        synthetic=True,
        utterance_id=row.utterance_id,
        speaker=row.speaker,
        language=row.language,
        text=row.text,
        split="train" if row.split == "train" else "heldout",
        fault=fault,
        file_name=path.name,
        file_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        fps=params.fps,
        frames=frames,
        phones=row.phones,
        phone_ends_s=row.phone_ends_s,
        visemes=[VISEMES[n] for n in visemes_at(phones, row.language, times)],
        mouth=[round(float(v), 4) for v in mouth.reshape(-1)],
        aperture=[round(float(v), 4) for v in aperture_of(mouth)],
        pose=[round(float(v), 3) for pose in poses for v in (pose.x, pose.y, pose.eyes, pose.angle)],
    )


def _poses(rng: np.random.Generator, params: MakeFacesParams, frames: int, fault: Fault) -> list[Pose]:
    """A head that is held as people hold it: it drifts, nods and turns a little."""
    side = params.size
    eyes = side * rng.uniform(0.24, 0.31) * (0.62 if fault == "two_faces" else 1.0)
    at = np.arange(frames) / params.fps
    waves = [
        sum(
            a * np.sin(2 * np.pi * f * at + p)
            for a, f, p in zip(rng.normal(0, 1, 3), (0.3, 0.7, 1.6), rng.uniform(0, 6.28, 3), strict=True)
        )
        for _ in range(4)
    ]
    middle = side * (0.29 if fault == "two_faces" else 0.5)
    x = middle + side * rng.uniform(-0.04, 0.04) + 0.012 * side * waves[0]
    if fault == "leaves":
        x = x + side * np.linspace(0, 1.3, frames)
    y = side * (0.4 + rng.uniform(-0.03, 0.03)) + 0.01 * side * waves[1]
    size = eyes * (1 + 0.015 * waves[2])
    angle = rng.normal(0, 3) + 1.3 * waves[3]
    return [Pose(*(float(v) for v in each)) for each in zip(x, y, size, angle, strict=True)]


def _pictures(
    rng: np.random.Generator, params: MakeFacesParams, mouth: NDArray[np.float64], poses: Sequence[Pose], fault: Fault
) -> Iterator[Picture]:
    looks, other = looks_of(rng), looks_of(rng)
    size = params.size, params.size
    cover: Cover = fault if fault in ("hand", "profile") else "none"  # type: ignore[assignment]
    blink_at = set((rng.uniform(0.1, 0.9, 2) * len(poses)).astype(int).tolist())
    for n, pose in enumerate(poses):
        blink = 1.0 if n in blink_at or n - 1 in blink_at else 0.0
        picture = draw(looks, pose, mouth[n], size, cover, blink)
        if fault == "two_faces":
            picture[:, params.size // 2 :] = _beside(other, pose, params.size)
        yield picture


def _beside(looks: Looks, pose: Pose, side: int) -> Picture:
    """The right half of the picture: another head, which is silent."""
    still = np.array([0.0, 0.5, 0.1, 0.0])
    moved = Pose(pose.x + 0.43 * side, side * 0.8 - pose.y, pose.eyes * 0.9, -pose.angle)
    return draw(looks, moved, still, (side, side))[:, side // 2 :]
