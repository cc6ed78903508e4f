"""What the films of the matrix carry: a number in every picture, and sound that says which sample it is."""

from __future__ import annotations

import av
import numpy as np

RATE = 48_000
BITS = 8
LOUD = 0.3  # amplitude of the sweep; a hole is where it falls silent
_DARK, _LIGHT = 50, 200  # no black: a picture is never taken for a fade or a bar
_CLICK = 24  # samples


def numbered(number: int, width: int, height: int) -> av.VideoFrame:
    """A picture that carries ``number`` twice: as eight fields, and below them as their opposites."""
    luma = np.empty((height, width), np.uint8)
    for bit in range(BITS):
        left, right = bit * width // BITS, (bit + 1) * width // BITS
        light = number >> bit & 1
        luma[: height // 2, left:right] = _LIGHT if light else _DARK
        luma[height // 2 :, left:right] = _DARK if light else _LIGHT
    chroma = np.full((height // 2, width), 128, np.uint8)
    return av.VideoFrame.from_ndarray(np.concatenate([luma, chroma]), "yuv420p")


def number_of(luma: np.ndarray) -> int | None:
    """The number of a picture [H, W]; None where it is torn, mixed of two, or no such picture."""
    height, width = luma.shape
    number = 0
    for bit in range(BITS):
        middle = int((bit + 0.5) * width / BITS)
        reach = max(1, width // BITS // 4)
        column = luma[:, middle - reach : middle + reach].astype(np.float32)
        above, below = column[height // 8 : height * 3 // 8].mean(), column[height * 5 // 8 : height * 7 // 8].mean()
        if abs(above - below) < 60:
            return None
        number |= int(above > below) << bit
    return number


def sound(seconds: float, rate: int = RATE, first_second: int = 0) -> np.ndarray:
    """Stereo [2, samples], 16 bit in float32: each second a click and a sweep of its own, upwards left, downwards
    right."""
    count = round(seconds * rate)
    time = np.arange(count) / rate
    within = time % 1.0
    second = np.floor(time) + first_second
    low, high = 700.0 + 90.0 * second, 3000.0 + 90.0 * second
    up = 2 * np.pi * (low * within + (high - low) * within**2 / 2)
    down = 2 * np.pi * (high * within - (high - low) * within**2 / 2)
    made = LOUD * np.sin(np.stack([up, down]))
    made[:, within < _CLICK / rate] += 0.5
    return (np.round(made * 32_767) / 32_768).astype(np.float32)
