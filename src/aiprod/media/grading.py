"""Grades pictures: from BT.709 4:2:0 to RGB in floating point, through the grade, and back with dither."""

from __future__ import annotations

from functools import lru_cache

import av
import numpy as np
from numpy.typing import NDArray

from aiprod.color.grade import Grade, graded
from aiprod.media import colour
from aiprod.media.high_bit_depth import THRESHOLDS
from aiprod.media.scaling import Scaler

_BAND = 32  # lines that are worked on at once, so that they stay in the processor's cache; a multiple of the pattern
_SIGNAL = (np.arange(1024) / np.float32(1023)).astype(np.float32)


def dithered(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """uint8 [H, W, C] of signal 0..1: rounded up or down by an ordered pattern, so that a smooth ramp has no bands.

    Values that are whole codes stay what they are. ``values`` are overwritten.
    """
    height, width, channels = values.shape
    np.clip(values, 0, 1, out=values)
    values *= np.float32(255)
    values += _pattern(height, width, channels)  # of 1/128 to 127/128, which is why whole codes stay
    return values.astype(np.uint8)


@lru_cache(maxsize=16)
def _pattern(height: int, width: int, channels: int) -> NDArray[np.float32]:
    tiles = np.tile(THRESHOLDS, (-(-height // 8), -(-width // 8)))[:height, :width]
    return np.repeat(tiles[..., None], channels, axis=-1)


class Grader:
    """Applies one grade to pictures of one size."""

    def __init__(self, grade: Grade, width: int, height: int) -> None:
        self.grade = grade
        self._enter = Scaler(width, height, "gbrp10le", exact=True)
        self._leave = Scaler(width, height, "yuv420p", exact=True)

    def frame(self, frame: av.VideoFrame) -> av.VideoFrame:
        """The graded picture, limited-range BT.709, yuv420p."""
        planes = colour.rgb_planes(self._enter.frame(frame))
        height, width = planes[0].shape
        codes = np.empty((height, width, 4), np.uint8)  # four values a pixel, as ``graded`` asks
        for top in range(0, height, _BAND):
            lines = slice(top, min(top + _BAND, height))
            signal = np.zeros((lines.stop - top, width, 4), np.float32)
            for n, plane in enumerate(planes):
                signal[..., n] = _SIGNAL.take(plane[lines])
            codes[lines] = dithered(graded(self.grade, signal))
        return self._leave.frame(av.VideoFrame.from_ndarray(codes, "rgba"))
