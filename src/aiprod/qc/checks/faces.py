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
    "on an enlarged cut-out; a film has faces when two stills or one third of them do, whichever is more"
)


@cache
def _cascade(name: str) -> cv2.CascadeClassifier:
    path = Path(cv2.data.haarcascades) / name  # type: ignore[attr-defined]
    return cv2.CascadeClassifier(str(path))


class Faces:
    """Looks at each still at a small fixed height; confirms every hit before it counts."""

    version = VERSION
    method = METHOD

    def __init__(self, height_px: int) -> None:
        self._height = height_px
        self._seen: list[list[tuple[float, float, float, float]]] = []

    def feed(self, still: Still) -> None:
        """Find faces in one still; boxes are kept as shares of the picture."""
        self._seen.append(find_faces(still.luma, self._height))

    def figures(self) -> dict[str, Any]:
        """Number of stills with a face and the greatest number of faces in one."""
        if not self._seen:
            return {"status": "unmeasurable", "reason": "no stills"}
        hits = sum(1 for boxes in self._seen if boxes)
        need = max(1, min(2, len(self._seen) // 2), round(len(self._seen) / 3))
        largest = max((w * h for boxes in self._seen for _, _, w, h in boxes), default=0.0)
        return {
            "status": "ok", "stills": len(self._seen), "stills_with_faces": hits, "found": bool(hits >= need),
            "faces_max": max(len(boxes) for boxes in self._seen), "largest_fraction": largest,
        }


def find_faces(luma: Plane, height_px: int) -> list[tuple[float, float, float, float]]:
    """Confirmed faces as (x, y, w, h) shares of the picture."""
    scale = min(1.0, height_px / luma.shape[0])
    width = max(16, round(luma.shape[1] * scale))
    small = cv2.resize(luma, (width, max(16, round(luma.shape[0] * scale))), interpolation=cv2.INTER_AREA)
    least = max(20, height_px // 12)
    hits = _cascade("haarcascade_frontalface_alt2.xml").detectMultiScale(
        small, scaleFactor=1.15, minNeighbors=4, minSize=(least, least)
    )
    boxes: list[tuple[float, float, float, float]] = []
    for x, y, w, h in np.asarray(hits).reshape(-1, 4):
        margin = w // 3
        top, left = max(0, y - margin), max(0, x - margin)
        region = small[top : y + h + margin, left : x + w + margin]
        if _confirmed(region, int(w)):
            boxes.append((x / small.shape[1], y / small.shape[0], w / small.shape[1], h / small.shape[0]))
    return boxes


def _confirmed(region: Plane, face_px: int) -> bool:
    """A second cascade, trained apart, finds the face as well, on an enlarged cut-out."""
    grow = max(1.0, 60.0 / face_px)
    large = cv2.resize(region, None, fx=grow, fy=grow, interpolation=cv2.INTER_LINEAR)
    least = int(face_px * grow * 0.6)
    second = _cascade("haarcascade_frontalface_default.xml").detectMultiScale(
        large, scaleFactor=1.1, minNeighbors=3, minSize=(least, least)
    )
    return len(second) > 0
