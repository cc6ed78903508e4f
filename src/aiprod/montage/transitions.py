"""Transitions between two pictures: weights, masks and places, on planes of one size.

Wipe numbers are those of SMPTE ST 258M, as SMIL 2.0 lists them too.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiprod.errors import AiprodError

Plane = NDArray[Any]  # uint8, or uint16 of 10 bits
Map = NDArray[np.float32]
_Shape = Callable[[Map, Map], NDArray[Any]]


def _clock(x: Map, y: Map, start: float) -> Map:
    angle = np.arctan2(x - 0.5, 0.5 - y) / (2 * np.pi) - start
    return np.asarray(angle % 1.0, np.float32)


def _most(*parts: Map) -> Map:
    return np.maximum.reduce(parts)


# When each point of the frame (x and y in 0..1, from the upper left) goes over to the new picture.
_SHAPES: dict[int, tuple[str, _Shape]] = {
    1: ("bar, left to right", lambda x, y: x),
    2: ("bar, top to bottom", lambda x, y: y),
    3: ("box from top left", _most),
    4: ("box from top right", lambda x, y: _most(1 - x, y)),
    5: ("box from bottom right", lambda x, y: _most(1 - x, 1 - y)),
    6: ("box from bottom left", lambda x, y: _most(x, 1 - y)),
    7: ("four boxes, corners in", lambda x, y: _most(0.5 - abs(x - 0.5), 0.5 - abs(y - 0.5)) * 2),
    21: ("barn door, vertical", lambda x, y: abs(x - 0.5) * 2),
    22: ("barn door, horizontal", lambda x, y: abs(y - 0.5) * 2),
    23: ("box from top centre", lambda x, y: _most(abs(x - 0.5) * 2, y)),
    24: ("box from right centre", lambda x, y: _most(1 - x, abs(y - 0.5) * 2)),
    25: ("box from bottom centre", lambda x, y: _most(abs(x - 0.5) * 2, 1 - y)),
    26: ("box from left centre", lambda x, y: _most(x, abs(y - 0.5) * 2)),
    41: ("diagonal from top left", lambda x, y: (x + y) / 2),
    42: ("diagonal from top right", lambda x, y: (1 - x + y) / 2),
    45: ("barn door, diagonal from bottom left", lambda x, y: abs(x - y)),
    46: ("barn door, diagonal from top left", lambda x, y: abs(x + y - 1)),
    101: ("iris, rectangle", lambda x, y: _most(abs(x - 0.5), abs(y - 0.5)) * 2),
    102: ("iris, diamond", lambda x, y: abs(x - 0.5) + abs(y - 0.5)),
    119: ("iris, ellipse", lambda x, y: np.hypot(x - 0.5, y - 0.5) * np.float32(2**0.5)),
    201: ("clock from twelve", lambda x, y: _clock(x, y, 0.0)),
    202: ("clock from three", lambda x, y: _clock(x, y, 0.25)),
    203: ("clock from six", lambda x, y: _clock(x, y, 0.5)),
    204: ("clock from nine", lambda x, y: _clock(x, y, 0.75)),
}
WIPES: dict[int, str] = {code: name for code, (name, _) in _SHAPES.items()}


def check_wipe(code: int) -> None:
    """Refuse a wipe that is not drawn.

    Raises:
        AiprodError: with the numbers that are.
    """
    if code not in WIPES:
        hint = f"one of {', '.join(map(str, WIPES))}; `aiprod cut --wipes` shows them"
        raise AiprodError(f"the wipe SMPTE {code} is not drawn", hint)


@lru_cache(maxsize=16)
def _turn(code: int, height: int, width: int) -> Map:
    """When each pixel goes over, float32 [H, W] in 0..1, at the middle of the pixel."""
    x = (np.arange(width, dtype=np.float32) + 0.5)[None] / width
    y = (np.arange(height, dtype=np.float32) + 0.5)[:, None] / height
    shape = _SHAPES[code][1](*np.broadcast_arrays(x, y))
    return np.ascontiguousarray(np.clip(shape, 0, 1), np.float32)


def wipe_mask(  # noqa: PLR0917
    code: int, progress: float, height: int, width: int, softness: float = 0.0, reverse: bool = False
) -> Map:
    """Opacity of the new picture, float32 [H, W]; 0 everywhere at progress 0 and 1 everywhere at progress 1.

    Args:
        softness: width of the edge in shares of the frame; 0 is a hard edge, of one pixel's rounding.
    """
    turn = _turn(code, height, width)
    if reverse:
        turn = 1 - turn
    if softness <= 0:
        return (turn < progress).astype(np.float32)
    return np.clip((progress * (1 + softness) - turn) / softness, 0, 1).astype(np.float32)


def blended(old: Plane, new: Plane, weight: float) -> Plane:
    """``(1 - weight) * old + weight * new``, rounded to nearest."""
    import cv2

    return np.asarray(cv2.addWeighted(old, 1 - weight, new, weight, 0), old.dtype)


def masked(old: Plane, new: Plane, mask: Map) -> Plane:
    """The new picture over the old one by a mask of the planes' size, rounded to nearest."""
    mixed = old + (new.astype(np.float32) - old) * mask
    return np.asarray(np.rint(mixed), old.dtype)


def moved(  # noqa: PLR0917
    old: Plane, new: Plane, progress: float, towards: str, push: bool, step: int = 1
) -> Plane:
    """The new picture comes in towards a side, over the old one (``slide``) or pushing it out (``push``).

    Args:
        step: by which the distance is divisible, so that planes of chroma keep with luma.
    """
    axis = 1 if towards in ("left", "right") else 0
    size = old.shape[axis]
    gone = min(size, max(0, round(progress * size / step) * step))
    if axis == 0:
        return np.ascontiguousarray(
            moved(old.T, new.T, gone / size, {"up": "left", "down": "right"}[towards], push, 1).T
        )
    out = np.empty_like(old)
    if towards == "left":  # it enters at the right
        out[:, size - gone :] = new[:, :gone]
        out[:, : size - gone] = old[:, gone:] if push else old[:, : size - gone]
    else:
        out[:, :gone] = new[:, size - gone :]
        out[:, gone:] = old[:, : size - gone] if push else old[:, gone:]
    return out
