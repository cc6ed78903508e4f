"""The sketch of what stays in place in a clip, as text in a manifest and as words that many clips are compared by.

The picture is a grid of 28 rows and 48 columns of cells. A cell in which edges stay is a number from 1 to 4, the way in
which most of its lasting gradient points (right, down, left, up, each with 45 degrees to either side); 0 is a cell
without any. A sketch is three planes of bits, one per cell: whether edges stay, and the two bits of the number minus 1.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

ROWS, COLUMNS = 28, 48
DIRECTIONS = 4
LEAST = 6
"""Cells of the smallest mark; a clip with fewer needs no sketch."""
WORDS = ROWS * COLUMNS // 64
"""Of one plane."""
_BYTES = 3 * WORDS * 8  # a multiple of three: texts can be joined and decoded at once

Cells = NDArray[np.uint8]
Planes = NDArray[np.uint64]


def as_text(cells: Cells) -> str:
    """Base64 of the sketch of one clip.

    Args:
        cells: numbers from 0 to 4, uint8 [28, 48].
    """
    return base64.b64encode(planes_of(cells[None]).astype("<u8").tobytes()).decode()


def planes_of(cells: Cells) -> Planes:
    """The sketches of several clips as words.

    Args:
        cells: uint8 [n, 28, 48].

    Returns:
        uint64 [n, 3, 21]: whether edges stay, the lower and the upper bit of the direction.
    """
    flat = cells.reshape(len(cells), -1)
    there, direction = flat > 0, np.where(flat > 0, flat - 1, 0)
    bits = np.stack((there, direction & 1, direction >> 1), axis=1)
    return np.packbits(bits, axis=-1, bitorder="little").view("<u8").astype(np.uint64)


def read(texts: Sequence[str]) -> Planes:
    """The sketches of several clips, uint64 [n, 3, 21].

    Raises:
        ValueError: a text is no sketch.
    """
    content = base64.b64decode("".join(texts), validate=True)
    if len(content) != _BYTES * len(texts):
        raise ValueError("a sketch of another size")
    return np.frombuffer(content, "<u8").astype(np.uint64).reshape(-1, 3, WORDS)


def cells_of(planes: Planes) -> Cells:
    """The cells of several sketches, uint8 [n, 28, 48]."""
    content = np.ascontiguousarray(planes.astype("<u8")).view(np.uint8)
    bits = np.unpackbits(content, axis=-1, bitorder="little")
    there, lower, upper = bits[:, 0], bits[:, 1], bits[:, 2]
    return np.where(there > 0, 1 + lower + 2 * upper, 0).astype(np.uint8).reshape(-1, ROWS, COLUMNS)


def agreeing(first: Planes, second: Planes) -> Planes:
    """Cells in which edges of the same direction stay in both, one bit a cell.

    Args:
        first: [..., 3, 21].
        second: likewise, or broadcast.

    Returns:
        uint64 [..., 21].
    """
    differing = (first[..., 1, :] ^ second[..., 1, :]) | (first[..., 2, :] ^ second[..., 2, :])
    return first[..., 0, :] & second[..., 0, :] & ~differing
