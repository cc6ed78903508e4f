"""Where edges stay in one clip, and which way they point: the sketch by which clips are compared for a shared mark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from aiprod.qc.overlays.edge_sketch import COLUMNS, DIRECTIONS, ROWS, Cells

_STRENGTH = 5.0  # levels per pixel of the mean gradient: a faint white logo on mid-grey has twice as much
_AGREEMENT = 0.8  # length of the mean gradient over the mean of the lengths: 1 where it always points the same way
_LEAST = 0.6  # lasting gradient of a cell, levels per pixel over its area: a short stroke through it
_MOST = 0.4  # of the cells, the strongest: before a still camera nearly everything stays
_EDGE = 0.02
_FLAT = 1.0  # levels per pixel: what never shows more is not a picture but a bar, whatever its colour
_BEGINS = 1 / 3  # of a line: so much of a picture begins at a bar's edge; a logo on a black sky begins here and there
_SMEAR = 3  # pixels over which scaling and coding smear a bar's edge

_FEW = 512  # places: fewer are sorted one by one sooner than rows are compared
_STEEPEST = 4 * 255  # slope of one picture, in eighths of a level per pixel
Slopes = NDArray[np.int16]
"""Eight times the slope at each pixel of each picture of a clip, in levels per pixel, [n, h, w]."""


Pictures = Sequence[NDArray[np.int16]] | Slopes
"""The same, of pictures that need not lie side by side in memory."""


def slopes_of(planes: Sequence[NDArray[np.uint8]]) -> tuple[Slopes, Slopes]:
    """Slopes to the right and downwards of pictures of one size."""
    right, down = np.empty((2, len(planes), *planes[0].shape), np.int16)
    for n, plane in enumerate(planes):
        cv2.Sobel(plane, cv2.CV_16S, 1, 0, dst=right[n])
        cv2.Sobel(plane, cv2.CV_16S, 0, 1, dst=down[n])
    return right, down


def ranked(rows: Sequence[NDArray[Any]] | NDArray[Any], place: int) -> NDArray[Any]:
    """What is at this place of the rows [n][K] in ascending order, at each of K places: whole rows are compared, in a
    fraction of the time that it takes to sort place by place."""
    if rows[0].size < _FEW:
        return np.asarray(np.sort(np.array(rows), axis=0)[place])
    ordered = list(rows)
    for low, high, least, most in _towards(len(ordered), place):
        one, other = ordered[low], ordered[high]
        if least:
            ordered[low] = np.minimum(one, other)
        if most:
            ordered[high] = np.maximum(one, other)
    return ordered[place]


@lru_cache(maxsize=4)
def _towards(count: int, place: int) -> list[tuple[int, int, bool, bool]]:
    """Of :func:`_network`, what one place depends on: whether the smaller and whether the larger value is wanted."""
    wanted, steps = {place}, []
    for low, high in reversed(_network(count)):
        if low in wanted or high in wanted:
            steps.append((low, high, low in wanted, high in wanted))
            wanted |= {low, high}
    return steps[::-1]


def _network(count: int) -> list[tuple[int, int]]:
    """Which places to compare to sort so many values: Batcher's merge exchange (Knuth, TAOCP 3, 5.2.2, algorithm M)."""
    pairs = []
    size = 1 << max(0, (count - 1).bit_length() - 1)
    part = size
    while part:
        width, offset, apart = size, 0, part
        while True:
            pairs += [(i, i + apart) for i in range(count - apart) if i & part == offset]
            if width == part:
                break
            apart, width, offset = width - part, width >> 1, part
        part >>= 1
    return pairs


def cells_that_stay(right: Slopes, down: Slopes, borders: Mapping[str, Any]) -> Cells:
    """The direction in which the lasting gradient of each cell points, 0 where none lasts.

    Sums are of whole numbers, so that every processor gives the same sketch.

    Args:
        right: slopes to the right.
        down: slopes downwards.
        borders: figures of the black borders, which are left out, as are flat bars of any colour.

    Returns:
        Numbers from 0 to 4, uint8 [28, 48] (see ``mark_sketch``).
    """
    n, h, w = right.shape
    x_sum, y_sum = summed(right), summed(down)
    squared = x_sum.astype(np.int32) ** 2 + y_sum.astype(np.int32) ** 2
    place = np.flatnonzero((squared >= (8 * round(_STRENGTH) * n) ** 2) & picture_between_bars(right, down, borders))
    length = np.sqrt(squared.ravel()[place])
    if place.size:
        own = np.zeros(place.size, np.float32)
        for pictures in zip(right, down, strict=True):  # one at a time, which a processor's cache holds
            x, y = (picture.take(place).astype(np.float32) for picture in pictures)
            own += np.sqrt(x * x + y * y)
        lasting = length >= _AGREEMENT * own
        place, length = place[lasting], length[lasting]
    y, x = np.divmod(place, w)
    along, downwards = x_sum[y, x].astype(np.int64), y_sum[y, x].astype(np.int64)
    direction = np.where(np.abs(along) >= np.abs(downwards), 2 * (along < 0), 1 + 2 * (downwards < 0))
    count = ROWS * COLUMNS
    cell = (y * ROWS // h) * COLUMNS + x * COLUMNS // w
    sums = np.bincount(direction * count + cell, weights=length, minlength=DIRECTIONS * count)
    by_direction = sums.reshape(DIRECTIONS, count)
    total = by_direction.sum(axis=0)
    stays = total >= 8 * n * _LEAST * h * w / count
    most = int(_MOST * count)
    if np.count_nonzero(stays) > most:
        stays[np.argsort(-total, kind="stable")[most:]] = False
    return np.where(stays, by_direction.argmax(axis=0) + 1, 0).astype(np.uint8).reshape(ROWS, COLUMNS)


def summed(slopes: Pictures) -> NDArray[Any]:
    """Sums over the pictures, [h, w], in the narrowest numbers that hold them, which are the quickest."""
    total = np.zeros(slopes[0].shape, np.int16 if len(slopes) * _STEEPEST < 1 << 15 else np.int32)
    for picture in slopes:
        total += picture
    return total


def picture_between_bars(right: Pictures, down: Pictures, borders: Mapping[str, Any]) -> NDArray[np.bool_]:
    """What is picture and neither a bar nor its edge nor the edge of all, bool [h, w]."""
    every = max(1, len(right) // 6)
    most = np.zeros(right[0].shape, np.int16)
    for picture in (*right[::every], *down[::every]):  # one at a time, which a processor's cache holds
        np.maximum(most, np.abs(picture), out=most)
    active = most > 8 * _FLAT
    inside = np.ones(active.shape, np.bool_)
    sides = [("top", inside, active), ("bottom", inside[::-1], active[::-1])]
    sides += [("left", inside.T, active.T), ("right", inside.T[::-1], active.T[::-1])]
    for name, view, lines in sides:
        black = int(np.ceil((borders.get(name) or 0.0) * len(lines)))
        bar = max(black + 1 if black else 0, _bar(lines))
        view[: bar + max(2, int(_EDGE * len(lines)))] = False
    return inside


def _bar(active: NDArray[np.bool_]) -> int:
    """Lines of a flat bar and its edge. Args: active: bool [lines, length], the outermost first."""
    share = active.mean(axis=1)
    begins = np.flatnonzero(share > 0.02)
    first = int(begins[0]) if begins.size else len(share)
    if first < 2 or first == len(share) or share[first : first + _SMEAR].max() < _BEGINS:
        return 0
    return first + _SMEAR
