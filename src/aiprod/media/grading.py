"""Grades pictures: from BT.709 4:2:0 to RGB in floating point, through the grade, and back with dither."""

from __future__ import annotations

import av
import numpy as np
from numpy.typing import NDArray

from aiprod.color.grade import Grade, graded
from aiprod.media import colour
from aiprod.media.deep_pictures import THRESHOLDS
from aiprod.media.scaling import Scaler


def dithered(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """uint8 [H, W, 3] of signal 0..1: rounded up or down by an ordered pattern, so that a smooth ramp has no bands.

    Values that are whole codes stay what they are.
    """
    height, width = values.shape[:2]
    tiles = np.tile(THRESHOLDS, (-(-height // 8), -(-width // 8)))[:height, :width, None]
    codes = np.clip(values, 0, 1) * np.float32(255)
    near = np.rint(codes)
    codes = np.where(np.abs(codes - near) < 1e-3, near, np.floor(codes + tiles))
    return codes.astype(np.uint8)


class Grader:
    """Applies one grade to pictures of one size."""

    def __init__(self, grade: Grade, width: int, height: int) -> None:
        self.grade = grade
        self._enter = Scaler(width, height, "gbrp10le", exact=True)
        self._leave = Scaler(width, height, "yuv420p", exact=True)

    def rgb(self, frame: av.VideoFrame) -> NDArray[np.float32]:
        """Display signal float32 [H, W, 3] of a picture, not clipped to 0..1."""
        green, blue, red = colour.planes(self._enter.frame(frame))
        return np.stack([red, green, blue], axis=-1).astype(np.float32) / np.float32(1023)

    def frame(self, frame: av.VideoFrame) -> av.VideoFrame:
        """The graded picture, limited-range BT.709, yuv420p."""
        codes = dithered(graded(self.grade, self.rgb(frame)))
        return self._leave.frame(av.VideoFrame.from_ndarray(codes, "rgb24"))
