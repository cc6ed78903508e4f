"""What most clips of a film have in one place, counted for many films at once on the bits of their sketches."""

from __future__ import annotations

import numpy as np

from aiprod.qc.overlays.edge_sketch import COLUMNS, DIRECTIONS, ROWS, Cells, Planes


def held(planes: Planes, least: int) -> Planes:
    """Cells in which the same edges stay in at least ``least`` of the clips of each of many films.

    Counts are kept as planes of bits and raised for 64 cells at a time.

    Args:
        planes: [films, clips, 3, 21].

    Returns:
        uint64 [films, 4, 21]: a plane a direction.
    """
    counts: list[Planes] = []
    for clip in range(planes.shape[1]):
        there, lower, upper = (planes[:, clip, i] for i in range(3))
        low, high = there & ~upper, there & upper
        carry = np.stack((low & ~lower, low & lower, high & ~lower, high & lower), axis=1)
        for place, count in enumerate(counts):
            counts[place], carry = count ^ carry, count & carry
        if clip + 1 == 1 << len(counts):  # as many as the bits so far can count, and one more
            counts.append(carry)
    more, same = np.zeros_like(counts[0]), ~np.zeros_like(counts[0])
    for place in reversed(range(len(counts))):
        if least >> place & 1:
            same = same & counts[place]
        else:
            more, same = more | (same & counts[place]), same & ~counts[place]
    return more | same


def cells_held(planes: Planes) -> Cells:
    """The cells of what ``held`` gives of some films, uint8 [films, 28, 48]."""
    bits = np.unpackbits(np.ascontiguousarray(planes.astype("<u8")).view(np.uint8), axis=-1, bitorder="little")
    numbers = np.arange(1, DIRECTIONS + 1, dtype=np.uint8)[:, None]
    return (bits * numbers).max(axis=1).reshape(-1, ROWS, COLUMNS)
