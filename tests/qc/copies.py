"""Copies of real film as they turn up: smaller, at another bit rate, cut, mirrored, brighter, between bars."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from aiprod.media.audio import read_sound
from aiprod.media.encoding import encode
from aiprod.media.frames import VideoReader
from aiprod.media.probing import probe, require_video
from aiprod.media.scaling import Scaler

Picture = Callable[[np.ndarray], np.ndarray]


def _brighter(picture: np.ndarray) -> np.ndarray:
    return np.clip(picture.astype(np.float32) * 1.2 + 15, 0, 255).astype(np.uint8)


def _cropped(picture: np.ndarray) -> np.ndarray:
    h, w = picture.shape[:2]
    y, x = round(h * 0.03), round(w * 0.03)
    return np.asarray(cv2.resize(picture[y : h - y, x : w - x], (w, h), interpolation=cv2.INTER_AREA))


def _barred(picture: np.ndarray) -> np.ndarray:
    h, w = picture.shape[:2]
    tall = round(h * 0.76) // 2 * 2
    inner = cv2.resize(picture, (w, tall), interpolation=cv2.INTER_AREA)
    out = np.zeros_like(picture)
    out[(h - tall) // 2 : (h - tall) // 2 + tall] = inner
    return out


def _beside_bars(picture: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(_barred(picture.transpose(1, 0, 2)).transpose(1, 0, 2))


# name → (what is done to each picture, seconds cut off the beginning, constant rate factor, width, sound kept)
KINDS: dict[str, tuple[Picture, float, float, int, bool]] = {
    "smaller": (lambda p: p, 0.0, 28.0, 256, True),
    "lower bit rate": (lambda p: p, 0.0, 38.0, 480, True),
    "trimmed by 0.5 s": (lambda p: p, 0.5, 26.0, 320, True),
    "trimmed by 0.37 s": (lambda p: p, 0.37, 26.0, 320, True),
    "mirrored": (lambda p: p[:, ::-1], 0.0, 26.0, 320, True),
    "brighter": (_brighter, 0.0, 26.0, 320, True),
    "cropped by 6 %": (_cropped, 0.0, 26.0, 320, True),
    "letterboxed": (_barred, 0.0, 26.0, 320, True),
    "pillarboxed": (_beside_bars, 0.0, 26.0, 320, True),
    "letterboxed and brighter": (lambda p: _brighter(_barred(p)), 0.0, 26.0, 320, True),
    "without sound": (lambda p: p, 0.0, 26.0, 320, False),
}


@dataclass(frozen=True)
class CopyJob:
    """A changed copy of the first ``longest_s`` seconds of a film."""

    source: Path
    target: Path
    kind: str
    longest_s: float = 8.0


def make_copy(job: CopyJob) -> Path:
    """Write the copy, unless it is there from an earlier run."""
    return job.target if job.target.exists() else copy_film(job.source, job.target, job.kind, job.longest_s)


def copy_film(source: Path, target: Path, kind: str, longest_s: float = 8.0) -> Path:
    """Write a changed copy of the first ``longest_s`` seconds of a film."""
    change, cut_s, crf, width, keep_sound = KINDS[kind]
    facts = probe(source)
    video = require_video(facts)
    height = round(width * video.height / video.width / 2) * 2
    length = min(longest_s, video.duration_s or facts.duration_s or longest_s)
    sound = None
    if keep_sound and facts.audio is not None:
        sound = read_sound(
            source, rate=48_000, channels=2, start_s=cut_s, duration_s=length - cut_s, origin_s=video.start_s
        )
    pictures = (np.ascontiguousarray(change(p)) for p in _scaled(source, width, height, cut_s, length))
    rate = Fraction(video.fps).limit_denominator(1001)
    encode(target, pictures, rate, sound, crf=crf, preset="ultrafast", audio_bitrate_bps=96_000)
    return target


@functools.lru_cache(maxsize=2)
def _scaled(source: Path, width: int, height: int, from_s: float, to_s: float) -> list[np.ndarray]:
    """Pictures of a film, from which copies of several kinds are made one after another."""
    with VideoReader(source) as reader:
        scaler = Scaler(width, height, exact=True)
        return [scaler.array(timed.frame).copy() for timed in reader.frames(from_s, to_s)]
