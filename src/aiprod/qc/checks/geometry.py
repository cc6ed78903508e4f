"""Picture size and shape as a viewer sees them, and black borders that never change."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from aiprod.media.facts import VideoFacts
from aiprod.qc.evidence import SmallFrame

VERSION = "1"
METHOD = (
    "stored size, sample aspect and rotation by the stream; borders by the greatest mean each row and column reaches"
)


def measure(video: VideoFacts) -> dict[str, Any]:
    """Stored and displayed size in pixels; aspect is width over height as displayed."""
    width, height = video.display_width, video.display_height
    return {
        "status": "ok",
        "width": video.width,
        "height": video.height,
        "display_width": width,
        "display_height": height,
        "shorter_side": min(width, height),
        "aspect": width / height,
        "rotation_deg": video.orientation.rotation_deg,
        "sar": list(video.sar),
        "interlaced": video.interlaced,
        "hdr": video.hdr,
        "bit_depth": video.bit_depth,
        "full_range": video.full_range,
        "matrix": video.matrix,
        "primaries": video.primaries,
        "transfer": video.transfer,
        "pixel_format": video.pixel_format,
    }


class Borders:
    """Letterbox and pillarbox: rows and columns that stay at black in every frame while the rest does not."""

    version = VERSION
    method = METHOD

    def __init__(self) -> None:
        self._rows: np.ndarray | None = None
        self._columns: np.ndarray | None = None
        self._black = 16.0
        self._range = 219.0

    def feed(self, frame: SmallFrame) -> None:
        """Keep the running maximum of each row's and column's mean."""
        rows = cv2.reduce(frame.plane, 1, cv2.REDUCE_AVG, dtype=cv2.CV_32F).ravel()
        columns = cv2.reduce(frame.plane, 0, cv2.REDUCE_AVG, dtype=cv2.CV_32F).ravel()
        self._black, self._range = frame.black_level, frame.white_level - frame.black_level
        if self._rows is None or self._columns is None:
            self._rows, self._columns = rows, columns
        else:
            np.maximum(self._rows, rows, out=self._rows)
            np.maximum(self._columns, columns, out=self._columns)

    def figures(self) -> dict[str, Any]:
        """Border widths as shares of height and width."""
        if self._rows is None or self._columns is None:
            return {"status": "unmeasurable", "reason": "no frames"}
        limit = self._black + 0.06 * self._range
        top, bottom = _dark_ends(self._rows, limit)
        left, right = _dark_ends(self._columns, limit)
        if top + bottom >= self._rows.size or left + right >= self._columns.size:
            return {"status": "unmeasurable", "reason": "the whole picture is black"}
        h, w = self._rows.size, self._columns.size
        return {
            "status": "ok",
            "top": top / h,
            "bottom": bottom / h,
            "left": left / w,
            "right": right / w,
            "letterboxed": _bars(top / h, bottom / h),
            "pillarboxed": _bars(left / w, right / w),
        }


def _bars(one: float, other: float) -> bool:
    """Whether two dark edges are bars: both there, of like width, and with a picture between them.

    A dark scene has dark edges too, but hardly two of the same width.
    """
    return min(one, other) > 0.01 and abs(one - other) <= 0.03 and one + other <= 0.7


def _dark_ends(values: np.ndarray, limit: float) -> tuple[int, int]:
    bright = np.flatnonzero(values > limit)
    if bright.size == 0:
        return int(values.size), 0
    return int(bright[0]), int(values.size - 1 - bright[-1])
