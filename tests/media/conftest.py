"""Small films of known content for the tests of the media package."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from aiprod.media.encoding import encode

RATE = 48_000
WIDTH, HEIGHT, FPS, COUNT = 192, 96, 24, 48


def numbered(number: int) -> np.ndarray:
    """A picture that carries its number as a row of eight black and white fields."""
    picture = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    for bit in range(8):
        picture[:, bit * 24 : bit * 24 + 24] = 235 if number >> bit & 1 else 16
    return picture


def number_of(picture: np.ndarray) -> int:
    """The number that a decoded picture carries."""
    width = picture.shape[1]
    fields = [picture[:, int((bit + 0.5) * width / 8)].mean() for bit in range(8)]
    return sum(1 << bit for bit, value in enumerate(fields) if value > 128)


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 numbered pictures at 24 fps with clicks at 0.5 s (left) and 1.25 s (right)."""
    path = tmp_path_factory.mktemp("films") / "numbered.mp4"
    sound = np.zeros((2, COUNT * RATE // FPS), np.float32)
    sound[0, RATE // 2] = sound[1, RATE * 5 // 4] = 0.9
    encode(path, (numbered(n) for n in range(COUNT)), Fraction(FPS), sound, keyframe_s=0.5)
    return path


@pytest.fixture(scope="session")
def read_number():  # type: ignore[no-untyped-def]
    """The function that reads a picture's number back."""
    return number_of
