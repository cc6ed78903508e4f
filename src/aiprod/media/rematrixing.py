"""Turns Y'CbCr of another matrix or range into limited-range BT.709, 4:2:0 staying 4:2:0.

The turn from one matrix to another is linear, so chroma stays at its own resolution, and colours outside of what R'G'B'
can hold are kept. Sums and tables of whole numbers only: the same bytes on every processor.
"""

from __future__ import annotations

import functools
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from aiprod.media.colour import SWS_709, Codes, planes, to_rgb, values

_FINE = 6  # bits behind the point
_ROUND = 1 << (_FINE - 1)
_MIDDLE = 128  # what is added to a difference of luma, whose size is 42 at most, so that it has no sign
_BAND = 1 << 15  # chroma values that are worked on at once, so that they stay in the processor's cache

Fixed = NDArray[np.int16]


def limited_709(frame: av.VideoFrame, matrix: int, full: bool, bits: int) -> av.VideoFrame:
    """A yuv420p or yuv420p16le picture as limited-range BT.709, yuv420p.

    Args:
        matrix: of the picture, swscale's number.
        full: its range.
        bits: of the source, whose codes were moved up where the picture has 16.
    """
    converted = av.VideoFrame(frame.width, frame.height, "yuv420p")
    source, target = planes(frame), planes(converted)
    if source[0].dtype != np.uint8 or bits != 8:
        _deep(source, target, _tables(matrix, full, bits, source[0].dtype == np.uint16), matrix != SWS_709)
    elif matrix == SWS_709:
        for plane, codes, table in zip(target, source, _codes_of_codes(full), strict=True):
            cv2.LUT(codes, table, dst=plane)
    else:
        _turned(source, target, matrix, full)
    return converted


@functools.cache
def _tables(matrix: int, full: bool, bits: int, wide: bool) -> tuple[Fixed, ...]:
    """Tables over codes that give limited-range BT.709 with ``_FINE`` bits behind the point: luma of luma, of Cb, of
    Cr; Cb of Cb, of Cr; Cr of Cb, of Cr."""
    luma, chroma = values(full, bits, wide)
    turn = np.linalg.inv(to_rgb(SWS_709)) @ to_rgb(matrix)
    unit = 2.0**_FINE

    def table(scale: float, of: NDArray[np.float64], offset: float = 0.0) -> Fixed:
        return np.clip(np.rint((scale * of + offset) * unit), -32_768, 32_767).astype(np.int16)

    return (
        table(219.0, luma, 16.0),
        *(table(219 * turn[0, n], chroma) for n in (1, 2)),
        *(table(224 * turn[m, n], chroma, 128.0 if m == n else 0.0) for m in (1, 2) for n in (1, 2)),
    )


@functools.cache
def _codes_of_codes(full: bool) -> tuple[NDArray[np.uint8], ...]:
    """Luma, Cb and Cr of BT.709 in 8 bits, for the codes of each."""
    tables = _tables(SWS_709, full, 8, False)
    luma, cb, cr = (np.clip((tables[n] + _ROUND) >> _FINE, 0, 255).astype(np.uint8) for n in (0, 3, 6))
    return luma, cb, cr


@functools.cache
def _lanes(matrix: int, full: bool) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What a code of Cb and one of Cr of 8 bits add to the luma's difference, to Cb and to Cr, as the first three of
    four 16-bit numbers side by side: OpenCV looks them up as one of 64 bits."""
    tables = _tables(matrix, full, 8, False)
    nothing = np.zeros(256, np.int16)
    of_cb = [tables[1] + ((_MIDDLE << _FINE) + _ROUND), tables[3] + _ROUND, tables[5], nothing]
    of_cr = [tables[2], tables[4], tables[6] + _ROUND, nothing]
    first, second = (np.stack(lanes, axis=1).astype(np.int16).view(np.float64).reshape(256) for lanes in (of_cb, of_cr))
    return first, second


def _turned(source: list[Codes], target: list[Codes], matrix: int, full: bool) -> None:
    """All planes of a picture of 8 bits, some lines at a time."""
    luma, cb, cr = source
    of_cb, of_cr = _lanes(matrix, full)
    tall, wide = cb.shape
    width = luma.shape[1]
    step = max(1, _BAND // wide)
    for first in range(0, tall, step):
        behind = min(tall, first + step)
        above, below = max(0, first - 1), min(tall, behind + 1)  # the lines beside them are mixed in
        lanes = cv2.LUT(cb[above:below], of_cb).view(np.int16)  # type: ignore[call-overload]
        lanes += cv2.LUT(cr[above:below], of_cr).view(np.int16)  # type: ignore[call-overload]
        split: Any = cv2.split(lanes.reshape(below - above, wide, 4))
        difference, *chroma, _ = split
        for plane, value in zip(target[1:], chroma, strict=True):
            own = value[first - above : behind - above]
            own >>= _FINE
            plane[first:behind] = np.clip(own, 0, 255, out=own)
        even, odd = _doubled(difference.view(np.uint16), first - above, below - behind)
        lines = slice(2 * first, min(2 * behind, luma.shape[0]))
        if full:
            bright: Any = cv2.LUT(luma[lines], _tables(matrix, full, 8, False)[0])
            bright += _side_by_side(even, odd)[: bright.shape[0], :width].view(np.int16)
            bright >>= _FINE
            bright -= _MIDDLE
            target[0][lines] = np.clip(bright, 0, 255, out=bright)
        else:  # a code stands for itself, so that whole codes can be added, and saturate
            even >>= _FINE
            odd >>= _FINE
            more = _side_by_side(even.astype(np.uint8), odd.astype(np.uint8))[: lines.stop - lines.start, :width]
            middle = _middles(more.shape[0], width)
            bright = cv2.add(luma[lines], cv2.subtract(more, middle))
            cv2.subtract(bright, cv2.subtract(middle, more), dst=target[0][lines])


@functools.lru_cache(maxsize=4)
def _middles(height: int, width: int) -> NDArray[np.uint8]:
    """Only read."""
    return np.full((height, width), _MIDDLE, np.uint8)


def _doubled(small: NDArray[np.uint16], before: int, behind: int) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """Even and odd columns of twice the size as 4:2:0 is placed (H.264 annex E, type 0): columns on the even ones,
    lines between two.

    Args:
        before: lines at the top, 0 or 1, that are only mixed into the next; without it the first line is its own
            neighbour.
        behind: likewise at the bottom.
    """
    last = len(small) - behind
    more = small * np.uint16(3)
    more += np.uint16(2)
    lines = np.empty((last - before, 2, small.shape[1]), np.uint16)
    np.add(more[1:last], small[: last - 1], out=lines[1 - before :, 0])
    np.add(more[before : len(small) - 1], small[before + 1 :], out=lines[: len(small) - 1 - before, 1])
    if not before:
        np.add(more[0], small[0], out=lines[0, 0])
    if not behind:
        np.add(more[-1], small[-1], out=lines[-1, 1])
    even = lines.reshape(-1, small.shape[1])
    even >>= np.uint16(2)
    odd = np.empty_like(even)
    np.add(even.reshape(-1)[:-1], even.reshape(-1)[1:], out=odd.reshape(-1)[:-1])  # as one line, which is quicker
    odd += np.uint16(1)
    odd >>= np.uint16(1)
    odd[:, -1] = even[:, -1]
    return even, odd


def _side_by_side(even: NDArray[Any], odd: NDArray[Any]) -> NDArray[Any]:
    """Columns that take turns."""
    return np.asarray(cv2.merge([even, odd])).reshape(even.shape[0], 2 * even.shape[1])


def _deep(source: list[Codes], target: list[Codes], tables: tuple[Fixed, ...], turns: bool) -> None:
    """All planes of a picture whose codes have more than 8 bits."""
    luma, cb, cr = source
    bright = tables[0].take(luma)
    if turns:
        even, odd = _doubled((tables[1].take(cb) + tables[2].take(cr) + (_MIDDLE << _FINE)).view(np.uint16), 0, 0)
        bright += _side_by_side(even, odd)[: luma.shape[0], : luma.shape[1]].view(np.int16)
        bright -= _MIDDLE << _FINE
    _finish(bright, target[0])
    for own, other, first, plane in ((cb, cr, 3, target[1]), (cr, cb, 6, target[2])):
        value = tables[first].take(own)
        if turns:
            value += tables[4 if first == 3 else 5].take(other)
        _finish(value, plane)


def _finish(value: Fixed, plane: Codes) -> None:
    """Round to whole codes."""
    value += _ROUND
    value >>= _FINE
    plane[:] = np.clip(value, 0, 255, out=value)
