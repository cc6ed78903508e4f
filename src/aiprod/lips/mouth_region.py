"""Which part of a picture is redrawn: a square round mouth, jaw and cheeks, and a mask in it that never changes.

The mask does not follow the mouth, or its shape alone would tell how far the mouth was open; and it covers jaw and
cheeks, which move with the lips.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from aiprod.qc.bundled.face_mesh import Face

Floats = NDArray[np.float64]
Picture = NDArray[np.uint8]
_SIDE, _DOWN = 1.72, 0.97  # side of the square, and its middle below the eyes, in distances of the eyes' outer corners
_HALF, _OPENING, _LIP = 0.28, 0.27, 0.07  # half a mouth's width, a fully open one's height, a lip's, in the same
_FEATHER = 0.1  # of the side: how far the mask fades in
_FIELDS = ("x", "y", "side", "angle", "mouth")
_SMOOTH = 2  # pictures to either side over which a square is smoothed


@dataclass(frozen=True)
class Square:
    """Where the square lies, in pixels; it is not turned.

    Attributes:
        angle: of the face, in radians clockwise.
        mouth: how far the mouth is below the eyes, in distances of their outer corners.
    """

    x: float
    y: float
    side: float
    angle: float
    mouth: float

    @property
    def box(self) -> tuple[int, int, int]:
        """Left, top and side in whole pixels."""
        side = max(8, round(self.side))
        return round(self.x - side / 2), round(self.y - side / 2), side


def square_of(centre: Floats, eyes: float, angle: float, mouth: float) -> Square:
    """The square of a face whose eyes' middle, distance and angle (radians) are known, and where its mouth is."""
    down = np.array([-np.sin(angle), np.cos(angle)]) * _DOWN * eyes
    return Square(float(centre[0] + down[0]), float(centre[1] + down[1]), _SIDE * eyes, angle, mouth)


def squares_of(faces: Sequence[Face | None]) -> list[Square | None]:
    """The square of each picture, smoothed over neighbours; none where there is no face."""
    raw = [None if face is None else square_of(face.centre, face.eyes, face.angle, face.mouth) for face in faces]
    squares: list[Square | None] = []
    for n, here in enumerate(raw):
        if here is None:
            squares.append(None)
            continue
        # As many on both sides, or a head that moves would be followed late at the ends.
        reach = next(
            (k for k in range(_SMOOTH + 1) if not _there(raw, n - k - 1) or not _there(raw, n + k + 1)), _SMOOTH
        )
        near = [square for square in raw[n - reach : n + reach + 1] if square is not None]
        squares.append(Square(*(float(np.mean([getattr(s, name) for s in near])) for name in _FIELDS)))
    return squares


def _there(raw: Sequence[Square | None], n: int) -> bool:
    return 0 <= n < len(raw) and raw[n] is not None


def mask(side: int) -> NDArray[np.float32]:
    """How much of each pixel ``[side, side]`` of a square is redrawn: 1 in the middle, 0 at the rim."""
    at = (np.arange(side) + 0.5) / side * 2 - 1
    x, y = at[None], (at[:, None] - 0.06) / 0.92
    edge = 1 - (np.abs(x) ** 4 + np.abs(y) ** 4) ** 0.25  # a square with round corners: distance from its rim
    weights: NDArray[np.float32] = np.clip((edge - 0.02) / (2 * _FEATHER), 0, 1).astype(np.float32)
    return weights


def guide(mouth: Floats | NDArray[np.float32], square: Square, size: int) -> NDArray[np.float32]:
    """A sketch ``[3, size, size]`` of a mouth where it is to be drawn: what is between the lips, lips, upper teeth.

    Args:
        mouth: the four numbers of :data:`aiprod.speech.visemes.NUMBERS`.
    """
    aperture, width, rounding, teeth = (float(v) for v in mouth)
    at = ((np.arange(size, dtype=np.float32) + 0.5) / size - 0.5) * _SIDE
    turn, lean = np.float32(np.cos(square.angle)), np.float32(np.sin(square.angle))
    x = at[None] * turn + at[:, None] * lean
    y = at[:, None] * turn - at[None] * lean + np.float32(_DOWN - square.mouth)
    half = _HALF * (0.72 + 0.5 * width - 0.28 * rounding)
    bow = np.maximum(1 - np.abs(x / half) ** 2.2, 0)
    opening, thick = aperture * _OPENING, _LIP * (1 + 0.4 * rounding)
    pixel = np.float32(_SIDE / size)

    def between(top: float, bottom: float) -> NDArray[np.float32]:
        """1 from ``top`` to ``bottom``, both bent as lips are, and fading over a pixel."""
        inside = np.minimum(y - top * bow, bottom * bow - y) / pixel + 0.5
        band: NDArray[np.float32] = (np.clip(inside, 0, 1) * (bow > 0)).astype(np.float32)
        return band

    upper, lower = -0.4 * opening, 0.6 * opening
    inner = between(upper, lower) * np.float32(min(1.0, opening / (0.5 * float(pixel))))
    lips = between(upper - thick, lower + 1.25 * thick)
    return np.stack([inner, lips, inner * between(upper, upper + 1.1 * thick * teeth) * teeth])


def cut(picture: Picture, square: Square, size: int) -> Picture:
    """The square as ``[size, size, 3]``; beyond the picture its edge goes on."""
    left, top, side = square.box
    height, width = picture.shape[:2]
    pad = max(0, -left, -top, left + side - width, top + side - height)
    if pad:
        picture = np.asarray(cv2.copyMakeBorder(picture, pad, pad, pad, pad, cv2.BORDER_REPLICATE), np.uint8)
    part = picture[top + pad : top + pad + side, left + pad : left + pad + side]
    way = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(part, (size, size), interpolation=way), np.uint8)


def paste(picture: Picture, square: Square, drawn: Picture) -> Picture:
    """A copy of the picture with what was drawn in its square; pixels outside of the mask keep their bytes."""
    left, top, side = square.box
    height, width = picture.shape[:2]
    x0, y0, x1, y1 = max(0, left), max(0, top), min(width, left + side), min(height, top + side)
    if x0 >= x1 or y0 >= y1:
        return picture.copy()
    inner = slice(y0 - top, y1 - top), slice(x0 - left, x1 - left)
    way = cv2.INTER_AREA if side < drawn.shape[0] else cv2.INTER_CUBIC
    new = _linear(np.asarray(cv2.resize(drawn, (side, side), interpolation=way), np.uint8)[inner])
    share = mask(side)[inner][..., None]
    pasted = picture.copy()
    part = pasted[y0:y1, x0:x1]
    mixed = _coded(_linear(part) * (1 - share) + new * share)
    pasted[y0:y1, x0:x1] = np.where(share > 0, mixed, part)
    return pasted


def _linear(coded: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Light, nearly: mixed as codes, a dark and a light pixel would give too dark a seam."""
    return np.power(coded.astype(np.float32) / np.float32(255), np.float32(2.2))


def _coded(linear: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.round(np.power(linear.clip(0, 1), np.float32(1 / 2.2)) * 255).astype(np.uint8)
