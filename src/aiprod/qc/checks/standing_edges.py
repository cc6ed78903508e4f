"""How much of a scene stands still, whatever passes before it: edges that are there in most pictures of a clip.

Flow between neighbouring pictures cannot tell a hand that fills the picture from a camera that moves. Pictures from all
over the clip can: behind what passes, the same edges come back in the same place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from aiprod.qc.checks.persistent_edges import Pictures, Slopes, picture_between_bars, ranked, slopes_of
from aiprod.qc.clip_context import Plane

_STRONG = 5.0  # levels per pixel
_NEAR = 0.5  # of the usual slope: so far may a picture's slope be from it
_MOST = 0.55  # of the pictures
_LEAST = 6  # pictures
_USED = 12
_ROWS, _COLUMNS = 4, 6
_OCCUPIED, _CELL = 0.01, 0.3  # edges of a cell: share of its pixels; share of them that stands


class Standing(NamedTuple):
    """What stands.

    Attributes:
        share: of the edges of a usual picture.
        border: share of the cells along the picture's border (with edges in them) in which it is the rule.
        sides, quarters: of the picture in which there is such a cell.
    """

    share: float
    border: float
    sides: int
    quarters: int

    @property
    def scene(self) -> bool:
        """Whether it is the scene: along the border, and in more quarters than a banner or a frame lies in."""
        return self.half and self.quarters >= 3

    @property
    def half(self) -> bool:
        """Whether it may be the scene: half of it, where something large passes. So do stripes that move along."""
        return self.border >= 0.3 and self.sides >= 2 and self.quarters >= 2


def standing(
    planes: Sequence[Plane], borders: Mapping[str, Any], slopes: tuple[Slopes, Slopes] | None = None
) -> Standing | None:
    """What stands in pictures that are spread over a clip; None where they are too few.

    Args:
        planes: small planes of one size, uint8 [h, w].
        borders: figures of black bars, whose edges are left out.
        slopes: of the planes, where they are known.
    """
    if len(planes) < _LEAST:
        return None
    right, down = slopes or slopes_of(planes)
    chosen = [i * len(right) // _USED for i in range(_USED)] if len(right) > _USED else range(len(right))
    across, along = [right[i] for i in chosen], [down[i] for i in chosen]
    inside = picture_between_bars(across, along, borders)
    usual = _usual(across, along)
    # Squares of lengths, in whole numbers; what stands is asked only of places whose usual slope is strong.
    size = _squared(usual[0], usual[1]).ravel()
    strong = np.flatnonzero(inside.ravel() & (size >= (8 * _STRONG) ** 2))
    x, y = (of.ravel()[strong] for of in usual)
    near = np.zeros(strong.size, np.uint8)
    within = _NEAR**2 * size[strong]
    for right_of, down_of in zip(across, along, strict=True):  # picture by picture, which a processor's cache holds
        near += (_squared(right_of.take(strong) - x, down_of.take(strong) - y) <= within).view(np.uint8)
    stands = np.zeros(inside.shape, np.uint8)
    stands.ravel()[strong] = near / len(across) >= _MOST
    edges = np.zeros(inside.shape, np.uint8)
    for right_of, down_of in zip(across, along, strict=True):
        # 16 bits are enough: what would not fit stays at the greatest number, which is over the limit too.
        squares = cv2.add(cv2.multiply(right_of, right_of), cv2.multiply(down_of, down_of))
        edges += (np.asarray(squares) >= int((8 * _STRONG) ** 2)).view(np.uint8)
    edges[~inside] = 0
    away = cv2.dilate(stands, np.ones((5, 5), np.uint8)) == 0
    kept, rest = float(np.count_nonzero(stands)), float(edges[away].sum()) / len(across)
    there = _cells(edges) / len(across)
    known = there > _OCCUPIED
    cells = (_cells(stands) > _CELL * there) & known
    border = np.ones_like(cells)
    border[1:-1, 1:-1] = False
    count = int((known & border).sum())
    return Standing(
        share=kept / (kept + rest) if kept else 0.0,
        border=float((cells & border).sum()) / count if count >= _LEAST else 0.0,
        sides=sum(bool(side.any()) for side in (cells[0], cells[-1], cells[:, 0], cells[:, -1])),
        quarters=sum(bool(part.any()) for half in np.split(cells, 2, axis=0) for part in np.split(half, 2, axis=1)),
    )


def _usual(right: Pictures, down: Pictures) -> NDArray[np.int16]:
    """The median slope of each pixel over time [2, h, w]; 0 where it cannot be strong, which need not be sorted.

    A strong slope is at least 1/√2 as strong along one of the axes, and a median so strong means that half are.
    """
    middle = len(right) // 2
    part = int(8 * _STRONG / 2**0.5)
    likely = np.zeros(right[0].shape, bool)
    for slopes in (right, down):
        above, below = np.zeros((2, *likely.shape), np.uint8)
        for picture in slopes:
            above += (picture >= part).view(np.uint8)
            below += (picture <= -part).view(np.uint8)
        likely |= (above >= len(slopes) - middle) | (below > middle)
    usual = np.zeros((2, *likely.shape), np.int16)
    places = np.flatnonzero(likely)
    for of, slopes in zip(usual, (right, down), strict=True):
        of.ravel()[places] = ranked([picture.take(places) for picture in slopes], middle)
    return usual


def _squared(right: NDArray[np.int16], down: NDArray[np.int16]) -> NDArray[np.int32]:
    x, y = right.astype(np.int32), down.astype(np.int32)
    return np.asarray(x * x + y * y)


def _cells(values: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Means over the cells, as rows of a matrix take them: a resizing by areas takes six times as long."""
    rows, columns = _shares(values.shape[0], _ROWS), _shares(values.shape[1], _COLUMNS)
    return np.asarray(rows @ values.astype(np.float32) @ columns.T)


@lru_cache(maxsize=16)
def _shares(length: int, count: int) -> NDArray[np.float32]:
    """What each pixel adds to the mean of each of so many parts of a line, float32 [count, length]."""
    edges = np.linspace(0.0, length, count + 1)
    pixel = np.arange(length)
    inside = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    return (np.clip(inside, 0.0, 1.0) * (count / length)).astype(np.float32)
