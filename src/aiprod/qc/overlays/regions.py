"""Regions of a grid of cells: their parts, the area of boxes round them, and what is nothing but a line."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aiprod.qc.overlays.edge_sketch import COLUMNS, ROWS, Cells

_LINE = 0.5  # of a side

Mask = NDArray[np.bool_]


def is_line(template: Cells) -> bool:
    """Whether a template is nothing but one straight edge over much of the picture, as beside a bar."""
    y, x = np.nonzero(template)
    tall, wide = int(np.ptp(y)) + 1, int(np.ptp(x)) + 1
    directions = np.bincount(template[y, x])
    return min(tall, wide) <= 2 and max(tall / ROWS, wide / COLUMNS) >= _LINE and bool(directions.max() >= 0.8 * y.size)


def grown(mask: Mask) -> Mask:
    """A region and the cells beside it."""
    wide = np.pad(mask, 1)
    wide = wide[:-2] | wide[1:-1] | wide[2:]
    return np.asarray(wide[:, :-2] | wide[:, 1:-1] | wide[:, 2:])


def boxed(mask: Mask) -> Mask:
    """A region with the boxes round its parts."""
    filled = mask.copy()
    for part in _parts(mask):
        y, x = np.nonzero(part)
        filled[y.min() : y.max() + 1, x.min() : x.max() + 1] = True
    return filled


def area_of(mask: Mask) -> float:
    """Share of the picture that boxes round the parts of a region of cells cover.

    A part that is n cells long touches n + 1 on average, so one is taken off, down to a half.
    """
    area = 0.0
    for part in _parts(mask):
        y, x = np.nonzero(part)
        area += max(0.5, float(np.ptp(y))) / ROWS * max(0.5, float(np.ptp(x))) / COLUMNS
    return min(1.0, area)


def _parts(mask: Mask) -> list[Mask]:
    """The parts of a region that more than one empty cell separates."""
    rest, found = mask.copy(), []
    while rest.any():
        part = np.zeros_like(mask)
        part.flat[int(np.flatnonzero(rest)[0])] = True
        while True:
            wider = grown(grown(part)) & mask
            if (wider == part).all():
                break
            part = wider
        found.append(part)
        rest &= ~part
    return found
