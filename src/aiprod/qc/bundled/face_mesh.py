"""Follows faces through a film by the face mesh of MediaPipe, which this package bundles; they are not recognised.

468 points are found in a square round the face, which the points of the picture before say; where they are lost, or at
the start, BlazeFace looks for the face. OpenCV runs the networks unless told otherwise, so that figures and pictures
that depend on a face are the same whether LiteRT is installed or not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from aiprod.qc.bundled import blazeface
from aiprod.qc.bundled.catalogue import BundledNetwork
from aiprod.qc.bundled.fitting import Runtime, by_opencv, unit

MESH = BundledNetwork(
    "Face Mesh: 468 landmarks of a face (MediaPipe)",
    "Apache-2.0",
    {"face_landmark.tflite": "2efcb4f4de43c7614b80a3cc3e8a37354b3b3b40f75cce20f6f38f0f25d65493"},
    licence_files=("LICENSE", "NOTICE"),
)
_SIDE = 192
_LEFT_EYE, _RIGHT_EYE, _UPPER_LIP, _LOWER_LIP = 33, 263, 13, 14  # outer corners of the eyes, inner middle of the lips
_LIPS = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)  # their rim
_CHEEKS = ((50, 205, 187, 123), (280, 425, 411, 352))
_LIPS_MIN, _COLOUR_MIN = (
    24,
    1.5,
)  # pixels of a face, and mean of |a*| and |b*| in it, below which nothing is said of lips
_ROOM = 1.5  # side of the square, of the longer side of the face
_PRESENT_MIN = 0.5
_AGAIN = 5  # pictures until it is looked for again where there is none
_MOVED_MAX = 0.6  # of its size that a face moves between two pictures; further away it is another, or a cut

Points = NDArray[np.float64]
Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Face:
    """The points of a face in a picture, in pixels."""

    points: Points

    @property
    def eyes(self) -> float:
        """Distance of the outer corners of the eyes."""
        return float(np.linalg.norm(self.points[_RIGHT_EYE] - self.points[_LEFT_EYE]))

    @property
    def centre(self) -> Points:
        """Between the eyes."""
        middle: Points = (self.points[_RIGHT_EYE] + self.points[_LEFT_EYE]) / 2
        return middle

    @property
    def angle(self) -> float:
        """How far the line of the eyes is turned clockwise, in radians."""
        x, y = self.points[_RIGHT_EYE] - self.points[_LEFT_EYE]
        return float(np.arctan2(y, x))

    @property
    def mouth(self) -> float:
        """How far the mouth is below the eyes, in distances of their outer corners."""
        middle = (self.points[_UPPER_LIP] + self.points[_LOWER_LIP]) / 2 - self.centre
        return float(middle @ np.array([-np.sin(self.angle), np.cos(self.angle)])) / max(self.eyes, 1e-6)

    def lips_redder(self, picture: Picture) -> float | None:
        """How much redder the lips are than the cheeks, in a* of CIELAB; None where there is no colour, or no lips."""
        low, high = np.floor(self.points.min(0)).astype(int), np.ceil(self.points.max(0)).astype(int)
        low, high = low.clip(0), np.minimum(high, picture.shape[1::-1])
        if (high - low < _LIPS_MIN).any():
            return None
        part = picture[low[1] : high[1], low[0] : high[0]]
        lab = cv2.cvtColor(part.astype(np.float32) / np.float32(255), cv2.COLOR_RGB2LAB)
        if np.abs(lab[..., 1:]).mean() < _COLOUR_MIN:
            return None
        values = []
        for parts in ((_LIPS,), _CHEEKS):
            area = np.zeros(part.shape[:2], np.uint8)
            for corners in parts:
                cv2.fillPoly(area, [np.round(self.points[list(corners)] - low).astype(np.int32)], 1)
            if not area.any():
                return None
            values.append(float(lab[..., 1][area > 0].mean()))
        return values[0] - values[1]

    @property
    def aperture(self) -> float:
        """Distance of the inner lips, over that of the eyes."""
        return float(np.linalg.norm(self.points[_UPPER_LIP] - self.points[_LOWER_LIP])) / max(self.eyes, 1e-6)


def faces_in(picture: Picture, runtime: Runtime = by_opencv) -> list[Face]:
    """Every face of a picture, the largest first."""
    height, width = picture.shape[:2]
    faces = []
    for hit in blazeface.find(picture, runtime):
        x, y, w, h = np.array(hit["box"]) * (width, height, width, height)
        face = _mesh(runtime, picture, (x + w / 2, y + h / 2), _ROOM * max(w, h), 0.0)
        if face is not None:
            faces.append(face)
    return sorted(faces, key=lambda face: -face.eyes)


def follow(pictures: Iterable[Picture], which: int = 0, runtime: Runtime = by_opencv) -> Iterator[Face | None]:
    """One face through the pictures of a film; None where it is not seen.

    Args:
        which: of the faces where it is first seen, 0 is the largest.
        runtime: what runs the networks; with ``fastest``, points are the same to about a thousandth only.
    """
    face: Face | None = None
    wait = 0
    for picture in pictures:
        if face is not None:
            before = face
            low, high = before.points.min(0), before.points.max(0)
            centre, side = (low + high) / 2, float((high - low).max())
            face = _mesh(runtime, picture, (centre[0], centre[1]), _ROOM * side, before.angle)
            if face is not None and np.linalg.norm(face.centre - before.centre) > _MOVED_MAX * side:
                face = None
        if face is None and wait <= 0:
            faces = faces_in(picture, runtime)
            face = faces[which] if which < len(faces) else None
            wait = _AGAIN
        wait -= 1
        yield face


def _mesh(runtime: Runtime, picture: Picture, centre: tuple[float, float], side: float, angle: float) -> Face | None:
    """The points of the face in a turned square; None where the network sees none."""
    x, y = map(float, centre)
    matrix = cv2.getRotationMatrix2D((x, y), float(np.rad2deg(angle)), _SIDE / max(side, 1.0))
    matrix[:, 2] = matrix[:, 2] + _SIDE / 2 - np.array([x, y])
    crop = cv2.warpAffine(picture, matrix, (_SIDE, _SIDE), borderMode=cv2.BORDER_REPLICATE)
    points, present = runtime(MESH.file("face_landmark.tflite"))(unit(crop), ("conv2d_20", "conv2d_30"))
    if 1 / (1 + np.exp(-np.clip(float(present.reshape(-1)[0]), -50, 50))) < _PRESENT_MIN:
        return None
    back = cv2.invertAffineTransform(matrix)
    return Face(points.reshape(-1, 3)[:, :2].astype(np.float64) @ back[:, :2].T + back[:, 2])
