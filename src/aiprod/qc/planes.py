"""Small planes of pictures: averages for what is looked at in all of a film, single pixels for its noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from aiprod.qc.clip_context import Plane

_WIDE = {n: np.dtype(f"<u{n}") for n in (2, 4, 8)}


def coarse_factor(width_px: int, most_px: int) -> int:
    """By how much the planes of all frames are smaller: the least power of two that makes them no wider than three
    quarters of ``most_px``, for OpenCV averages two by two pixels in a third of the time of three by three."""
    return 1 << max(0, -(-4 * width_px // (3 * most_px)) - 1).bit_length()


def shrink(luma: Plane, factor: int) -> Plane:
    """Average whole factor×factor blocks (cut-off edges are dropped)."""
    h, w = luma.shape[0] // factor, luma.shape[1] // factor
    if factor == 1 or h < 1 or w < 1:
        return luma.copy()
    plane = luma[: h * factor, : w * factor]
    # OpenCV averages blocks quickly only by halves, and a running mean faster than blocks of any other size: of an odd
    # size it is the same to the last bit, for the middle pixel of a block has all of the block around it.
    while factor % 2 == 0:
        factor //= 2
        plane = cv2.resize(plane, (w * factor, h * factor), interpolation=cv2.INTER_AREA)
    if factor > 1:
        plane = cv2.blur(plane, (factor, factor))[factor // 2 :: factor, factor // 2 :: factor]
    return np.ascontiguousarray(plane)


class Shrinker:
    """Averages pictures as ``shrink`` does; how those of one shape are averaged is asked once, not for each.

    Args:
        factor: a power of two.
    """

    def __init__(self, factor: int) -> None:
        self._factor = factor
        self._shape: tuple[int, ...] = ()
        self._whole = slice(None), slice(None)
        self._steps: list[tuple[tuple[int, int], Plane | None]] = []

    def __call__(self, luma: Plane) -> Plane:
        """The plane [h, w] of a picture, an array of its own."""
        if luma.shape != self._shape:
            self._fit(luma.shape)
        if not self._steps:
            return luma.copy()
        plane = luma[self._whole]
        for size, between in self._steps:
            plane = cv2.resize(plane, size, between, 0, 0, cv2.INTER_AREA)
        return plane

    def larger(self, luma: Plane) -> Plane:
        """The plane of twice the size, on the way to the one that was made of this picture just now; an array of its
        own."""
        between = self._steps[-2][1] if len(self._steps) > 1 else None
        return shrink(luma, self._factor // 2) if between is None else between.copy()

    def _fit(self, shape: tuple[int, ...]) -> None:
        self._shape, self._steps, factor = shape, [], self._factor
        h, w = shape[0] // factor, shape[1] // factor
        if min(h, w) < 1:
            return
        self._whole = slice(0, h * factor), slice(0, w * factor)
        while factor > 1:
            factor //= 2
            between = np.empty((h * factor, w * factor), np.uint8) if factor > 1 else None
            self._steps.append(((w * factor, h * factor), between))


def scattered(luma: Plane, factor: int) -> Plane:
    """Single pixels from all over a picture, as an array of their own: of every 2k-th line each (k/2)-th, where k is
    ``factor`` or the next power of two. As many as of every k-th line each k-th, from half of the memory."""
    step = 1 << (factor - 1).bit_length()
    apart, width = max(1, step // 2), luma.shape[1]
    wide = _WIDE.get(apart)
    if wide is not None and apart <= width:  # as the low bytes of wider numbers, in a quarter of the time
        return luma[:: 2 * step, : width // apart * apart].view(wide).astype(np.uint8)
    return luma[:: 2 * step, ::apart].copy()
