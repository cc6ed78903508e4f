"""Pictures as small networks want them: made to fit a square, without changing their shape."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from aiprod.qc.clip_context import Plane


@dataclass(frozen=True)
class Fitted:
    """A picture in the middle of a square, black around it.

    Attributes:
        square: uint8 [side, side, 3].
        left, top: of the picture in the square, in pixels.
        width, height: of the picture in the square, in pixels.
    """

    square: np.ndarray
    left: int
    top: int
    width: int
    height: int

    def shares(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes [n, 4] of left, top, width and height in pixels of the square, as shares of the picture."""
        corner = np.array([self.left, self.top, 0, 0], np.float64)
        return (boxes - corner) / np.array([self.width, self.height, self.width, self.height], np.float64)


def fitted(rgb: Plane, side: int) -> Fitted:
    """A picture [h, w, 3] made to fit a square."""
    h, w = rgb.shape[:2]
    scale = side / max(h, w)
    tall, wide = max(1, round(h * scale)), max(1, round(w * scale))
    top, left = (side - tall) // 2, (side - wide) // 2
    square = np.zeros((side, side, 3), np.uint8)
    square[top : top + tall, left : left + wide] = cv2.resize(
        rgb, (wide, tall), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    )
    return Fitted(square, left, top, wide, tall)


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """The part that two boxes of left, top, width and height share, as a share of the smaller one."""
    wide = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    tall = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    smaller = min(a[2] * a[3], b[2] * b[3])
    return float(max(0.0, wide) * max(0.0, tall) / smaller) if smaller > 0 else 0.0


def box_of(box: np.ndarray) -> list[float]:
    """A box of shares, cut to the picture, to three decimals."""
    low, high = np.clip(box[:2], 0, 1), np.clip(box[:2] + box[2:], 0, 1)
    return [round(float(value), 3) for value in (*low, *(high - low))]


@lru_cache(maxsize=8)
def tflite(path: Path) -> Any:
    """The network of a TFLite file as OpenCV runs it, kept for the process."""
    return cv2.dnn.readNetFromTFLite(str(path))
