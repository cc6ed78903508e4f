"""Faces by Haar cascades: weak evidence that asks for a human look. Faces are found, never matched or embedded."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from aiprod.qc.evidence import Plane, Still

VERSION = "1"
METHOD = (
    "Haar frontal-face cascade (alt2) on the stills, each hit confirmed by a second cascade (default) "
    "and an eye cascade on an enlarged cut-out; found when two stills show one; the search stops when that is decided"
)


@cache
def _cascade(name: str) -> cv2.CascadeClassifier:
    path = Path(cv2.data.haarcascades) / name  # type: ignore[attr-defined]
    return cv2.CascadeClassifier(str(path))


class Faces:
    """Looks at each still at a small fixed height; confirms every hit before it counts."""

    version = VERSION
    method = METHOD

    def __init__(self, height_px: int, stills: int, of: int) -> None:
        """Search ``stills`` evenly chosen ones ``of`` those that will be fed, at ``height_px``."""
        self._height = height_px
        self._fed = 0
        self._chosen = {round((i + 0.5) * of / min(stills, of) - 0.5) for i in range(min(stills, of))}
        self._seen: list[list[tuple[float, float, float, float]]] = []
        self._need = 1 if len(self._chosen) < 3 else 2

    def feed(self, still: Still) -> None:
        """Find faces in one still; stops as soon as the answer can no longer change."""
        index, self._fed = self._fed, self._fed + 1
        hits = sum(1 for boxes in self._seen if boxes)
        left = sum(1 for i in self._chosen if i >= index)
        if index in self._chosen and hits < self._need <= hits + left:
            self._seen.append(find_faces(still.luma, self._height))

    def figures(self) -> dict[str, Any]:
        """Number of stills with a face and the greatest number of faces in one."""
        if not self._seen:
            return {"status": "unmeasurable", "reason": "no stills"}
        hits = sum(1 for boxes in self._seen if boxes)
        largest = max((w * h for boxes in self._seen for _, _, w, h in boxes), default=0.0)
        return {
            "status": "ok",
            "stills": len(self._seen),
            "stills_with_faces": hits,
            "found": bool(hits >= self._need),
            "faces_max": max(len(boxes) for boxes in self._seen),
            "largest_fraction": largest,
        }


def find_faces(luma: Plane, height_px: int) -> list[tuple[float, float, float, float]]:
    """Confirmed faces as (x, y, w, h) shares of the picture."""
    scale = min(1.0, height_px / luma.shape[0])
    width = max(16, round(luma.shape[1] * scale))
    small = cv2.resize(luma, (width, max(16, round(luma.shape[0] * scale))), interpolation=cv2.INTER_AREA)
    least = max(20, height_px // 12)
    hits = _cascade("haarcascade_frontalface_alt2.xml").detectMultiScale(
        small, scaleFactor=1.3, minNeighbors=2, minSize=(least, least)
    )
    boxes: list[tuple[float, float, float, float]] = []
    for x, y, w, h in np.asarray(hits).reshape(-1, 4):
        margin = w // 3
        top, left = max(0, y - margin), max(0, x - margin)
        region = small[top : y + h + margin, left : x + w + margin]
        if _confirmed(region, int(w)):
            tall, wide = small.shape
            boxes.append((float(x / wide), float(y / tall), float(w / wide), float(h / tall)))
    return boxes


def _confirmed(region: np.ndarray, face_px: int) -> bool:
    """A second cascade, trained apart, finds the face on an enlarged cut-out as well, and a third finds an eye."""
    grow = max(1.0, 60.0 / face_px)
    large = cv2.resize(region, None, fx=grow, fy=grow, interpolation=cv2.INTER_LINEAR)
    least = int(face_px * grow * 0.6)
    second = _cascade("haarcascade_frontalface_default.xml").detectMultiScale(
        large, scaleFactor=1.1, minNeighbors=3, minSize=(least, least)
    )
    if len(second) == 0:
        return False
    grow = max(1.0, 120.0 / face_px)
    upper = cv2.resize(region[: int(region.shape[0] * 0.6)], None, fx=grow, fy=grow, interpolation=cv2.INTER_LINEAR)
    least = int(face_px * grow * 0.15)
    eyes = _cascade("haarcascade_eye.xml").detectMultiScale(
        upper, scaleFactor=1.05, minNeighbors=1, minSize=(least, least)
    )
    return len(eyes) > 0
