"""Films whose every picture carries its number and whose every second begins with a click."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from aiprod.media.colour import planes
from aiprod.media.encoding import encode
from aiprod.media.frames import VideoReader

WIDTH, HEIGHT = 256, 144
MakeNumbered = Callable[..., Path]


def numbered(number: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """A picture that shows a number of 16 bits as cells of dark and bright."""
    cells = np.array([number >> bit & 1 for bit in range(16)]).reshape(2, 8)
    gray = np.where(np.kron(cells, np.ones((height // 2, width // 8), int)), 220, 40).astype(np.uint8)
    return np.repeat(gray[:, :, None], 3, axis=2)


def number_in(luma: np.ndarray) -> int:
    """The number that a picture shows."""
    height, width = luma.shape
    middles = luma.reshape(2, height // 2, 8, width // 8)[:, height // 4 - 4 : height // 4 + 4, :, width // 16 - 4 :]
    bright = middles[..., :8].mean(axis=(1, 3)) > 120
    return sum(1 << bit for bit, on in enumerate(bright.reshape(-1)) if on)


def numbers_of(film: Path) -> list[int]:
    """The numbers that a film shows, picture by picture."""
    with VideoReader(film) as reader:
        lumas = (planes(timed.frame)[0] for timed in reader.frames())
        return [number_in(luma if luma.dtype == np.uint8 else luma >> 2) for luma in lumas]


def lumas_of(film: Path) -> list[np.ndarray]:
    """Luma of each picture."""
    with VideoReader(film) as reader:
        return [np.array(planes(timed.frame)[0]) for timed in reader.frames()]


@pytest.fixture(scope="session")
def make_numbered(tmp_path_factory: pytest.TempPathFactory) -> MakeNumbered:
    """Makes such a film: rate, number of pictures, first number; a click at the start of each second."""
    folder = tmp_path_factory.mktemp("numbered")

    def make(rate: Fraction, count: int, base: int = 0, times_s: list[float] | None = None) -> Path:
        path = folder / f"{rate.numerator}_{rate.denominator}_{count}_{base}_{bool(times_s)}.mp4"
        if not path.exists():
            seconds = count / float(rate) if times_s is None else times_s[-1] + 1 / float(rate)
            sound = np.zeros((2, round(seconds * 48_000)), np.float32)
            sound[:, ::48_000] = 0.5
            encode(
                path,
                (numbered(base + n) for n in range(count)),
                rate,
                sound,
                crf=14,
                preset="ultrafast",
                times_s=times_s,
            )
        return path

    return make
