"""Still scenes before which large things pass, put together from pictures of real film: hands, people, cloth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from aiprod.media.frames import VideoReader
from aiprod.media.probing import probe, require_video
from aiprod.media.scaling import Scaler

WIDTH, HZ, COUNT = 320, 25, 100


def pictures_of(path: Path, count: int, every_s: float = 0.04, from_s: float = 0.0) -> list[np.ndarray]:
    """Luma of a film's pictures, 320 wide."""
    video = require_video(probe(path))
    height = round(WIDTH * video.display_height / video.display_width / 2) * 2
    found: list[np.ndarray] = []
    with VideoReader(path) as reader:
        scaler = Scaler(WIDTH, height, "gray")
        for timed in reader.frames(from_s, from_s + count * every_s + 1.0):
            if timed.time_s - from_s >= len(found) * every_s - 1e-6:
                found.append(scaler.array(timed.frame).copy())
            if len(found) == count:
                break
    return found


def still_scene(seed: int, plates: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Four seconds of a picture that stands, with noise, and one to three things that cross it, sway or reach in."""
    rng = np.random.default_rng([seed, 7])
    plate = plates[rng.integers(len(plates))].astype(np.float32)
    h, w = plate.shape
    things = [_thing(rng, plates[rng.integers(len(plates))], h) for _ in range(rng.integers(1, 4))]
    noise, made = rng.uniform(0.8, 2.5), []
    for n in range(COUNT):
        picture = plate.copy()
        for look, alpha, path in things:
            px, py = path(n / HZ)
            tall, wide = look.shape
            place = np.array([[1, 0, px * w - wide / 2], [0, 1, py * h - tall / 2]], np.float64)
            over, cover = cv2.warpAffine(look, place, (w, h)), cv2.warpAffine(alpha, place, (w, h))
            picture += cover * (over - picture)
        picture += rng.normal(0, noise, picture.shape)
        made.append(np.clip(picture, 0, 255).astype(np.uint8))
    return made


def _thing(rng: np.random.Generator, skin: np.ndarray, h: int):  # type: ignore[no-untyped-def]
    tall = int(h * rng.uniform(0.4, 1.15))
    wide = int(tall * rng.uniform(0.35, 1.3))
    look = cv2.resize(skin, (wide, tall)).astype(np.float32)
    y, x = np.mgrid[0:tall, 0:wide].astype(np.float32)
    alpha = np.clip(6 * (1 - np.hypot((x - wide / 2) / (wide / 2), (y - tall / 2) / (tall / 2)) ** 2), 0, 1)
    kind, speed, at = rng.integers(3), rng.uniform(0.12, 0.6) * rng.choice([-1, 1]), rng.uniform(0.2, 0.8, 2)
    far, turn, begin = rng.uniform(0.1, 0.45), 2 * math.pi * rng.uniform(0.15, 0.7), rng.uniform(0, 6.28)

    def path(t: float) -> tuple[float, float]:
        if kind == 0:
            along = (t * abs(speed) + begin) % 1.6 - 0.3
            return (along if speed > 0 else 1 - along), float(at[1])
        if kind == 1:
            return float(at[0]) + far * math.sin(turn * t + begin), float(at[1]) + 0.4 * far * math.sin(1.3 * turn * t)
        return float(at[0]) + 0.2 * far * math.sin(0.7 * turn * t), 1.0 + 0.5 * math.sin(turn * t + begin)

    return look, alpha.astype(np.float32), path
