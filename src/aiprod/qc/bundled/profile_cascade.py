"""Faces in profile, which networks for faces hardly see: OpenCV's Haar cascade for profiles, asked again and again.

Asked once it answers for petals and folds as well. A profile answers in many neighbouring windows, at every size and
turned a little either way; what only resembles one does so in a few.

P. Viola and M. Jones, "Rapid Object Detection using a Boosted Cascade of Simple Features", CVPR 2001. The cascade is
David Bradley's and comes with OpenCV (BSD-3-Clause, its header says).
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from aiprod.qc.clip_context import Plane

WINDOWS_MIN = 40
"""Of the looks at one side: from so many windows on there is a profile. On half A of the open films what is none has 4
at most, and most profiles that answer at all have over 100."""
_FACE_PX = (24, 30, 38)  # sizes at which a face is shown to windows of 20 pixels
_TURNS = (0, -8, 8, -16, 16)  # degrees
_CUT_OUT = 1.9  # times a face's size
_STEP = 1.12  # between the sizes of windows
_WINDOW = 20


def windows(luma: Plane, left: float, top: float, size: float) -> int:
    """How many windows answer for a profile about a square, facing the side for which there are more.

    Args:
        luma: uint8 [H, W], upright.
        left, top, size: of the square, in pixels.
    """
    square = left + size / 2, top + size / 2, size
    first = _cut_out(luma, square, (_FACE_PX[0], _TURNS[0]))
    sides = [side for side in (False, True) if _answers(first, side)]  # else the other looks are saved
    if not sides:
        return 0
    looks = [_cut_out(luma, square, (face_px, turn)) for face_px in _FACE_PX for turn in _TURNS]
    return max(sum(_answers(look, side) for look in looks) for side in sides)


def _answers(look: Plane, mirrored: bool) -> int:
    seen = np.ascontiguousarray(look[:, ::-1]) if mirrored else look
    smallest = (_WINDOW, _WINDOW)
    return len(_cascade().detectMultiScale(seen, scaleFactor=_STEP, minNeighbors=0, minSize=smallest))


def _cut_out(luma: Plane, square: tuple[float, float, float], look: tuple[int, float]) -> Plane:
    """What is about a square (middle and size), which has so many pixels a side then, turned by so many degrees."""
    (x, y, size), (face_px, turn) = square, look
    reach, side = _CUT_OUT * size, round(_CUT_OUT * face_px)
    scale, angle = side / reach, np.deg2rad(turn)
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    place = np.array([[cos, sin, side / 2 - cos * x - sin * y], [-sin, cos, side / 2 + sin * x - cos * y]])
    margin = round(reach)  # turned, a square's corners reach beyond it by a fifth
    x0, y0 = max(0, round(x) - margin), max(0, round(y) - margin)
    near = luma[y0 : max(y0, round(y)) + margin, x0 : max(x0, round(x)) + margin]
    place[:, 2] += place[:, :2] @ np.array([x0, y0])
    soft = max(1, round(1 / scale))  # what would alias in the smaller picture
    near = cv2.blur(near, (soft, soft)) if soft > 1 else near
    return cv2.warpAffine(near, place, (side, side), borderMode=cv2.BORDER_REPLICATE)


@lru_cache(maxsize=1)
def _cascade() -> cv2.CascadeClassifier:
    path = Path(cv2.data.haarcascades) / "haarcascade_profileface.xml"  # type: ignore[attr-defined]
    return cv2.CascadeClassifier(str(path))
