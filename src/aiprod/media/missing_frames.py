"""Notices where pictures are missing from a stream: decoders fill them in, or go on, without a word.

In H.264 every picture that others are predicted from has the next number (ITU-T H.264, 7.4.3, ``frame_num``). Where
one is skipped, what follows is made of the wrong picture until the next key picture, and comes out torn.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import av

from aiprod.media.missing_mpeg_frames import PictureTimes, TemporalReferences
from aiprod.media.picture_order import NOTHING, Skip

_MORE_FIELDS = {100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135}  # profiles with chroma_format_idc
_HEAD = 64  # bytes of a unit that hold what is read of it
_SLICES = (1, 5)
_HELD = 16  # pictures that may be decoded before one that is shown earlier
_IDR, _SPS, _PPS = 5, 7, 8
_COUNTING = ("avi", "mxf")  # containers that say which picture comes next, and not when


def counts_pictures(container: Any) -> bool:
    """Whether a container has no times, so that what follows a missing picture comes too early."""
    return container.format.name in _COUNTING


def numbers_of(stream: Any) -> FrameNumbers | TemporalReferences | PictureTimes | None:
    """What follows the numbers of a stream's pictures; None for codecs that do not number them."""
    context = stream.codec_context
    if context.name == "h264":
        return FrameNumbers(context, counts_pictures(stream.container))
    if context.name in ("mpeg1video", "mpeg2video"):
        return TemporalReferences(counts_pictures(stream.container))
    if context.name == "mpeg4" and counts_pictures(stream.container):
        return PictureTimes(context)
    return None


@dataclass(frozen=True)
class _Numbering:
    """How a sequence numbers its pictures."""

    bits: int
    gaps_allowed: bool
    planes_apart: bool
    order_bits: int  # of the order of showing; 0 where it is not stated for each picture, or fields may be coded


class FrameNumbers:
    """Follows the numbers of the pictures of one stream.

    Args:
        context: of its decoder, for the parameter sets that stand outside of the packets.
        counted: whether its container only counts pictures. Then those of which no other is made are looked for by
            the order in which pictures are shown.
    """

    def __init__(self, context: Any, counted: bool = False) -> None:
        self._counted, self._gaps, self._unshown = counted, _OrderCounts(), 0
        self._sets: dict[int, _Numbering] = {}
        self._of_pictures: dict[int, int] = {}
        self._known: dict[bytes, tuple[_Numbering, int]] = {}  # by two bytes: what is behind the number, in 64 bits
        self._last: int | None = None
        extra = bytes(context.extradata or b"")
        self._length_bytes = (extra[4] & 3) + 1 if len(extra) > 6 and extra[0] == 1 else 0
        for unit in _listed(extra) if self._length_bytes else _between_starts(extra):
            self._read_set(unit)

    def restart(self) -> None:
        """Decoding begins anew, at another place."""
        self._last = None
        self._gaps.restart()

    def ended(self) -> Skip:
        """What is missing before the pictures that came last."""
        return Skip(self._unshown + self._gaps.flush())

    def skips(self, packet: av.Packet) -> Skip:
        """What is missing before the picture in a packet; pictures of which no other is made have no number."""
        skipped = 0
        try:
            unit = self._first_slice(memoryview(packet))
            if unit is not None:
                skipped = self._slice(unit)
        except (IndexError, ValueError):  # whether it decodes is not asked here
            self._last = None
        if skipped:
            self._gaps.owed += 1
            return Skip(skipped, torn=True)
        count, self._unshown = self._unshown, 0
        return Skip(count) if count else NOTHING

    def _first_slice(self, data: memoryview) -> bytes | None:
        """The beginning of a packet's first slice; the others are of the same picture. Sets before it are read."""
        width = self._length_bytes
        if not width:
            for unit in _between_starts(bytes(data)):
                kind = unit[0] & 31 if unit else 0
                if kind in _SLICES:
                    return unit
                if kind in (_SPS, _PPS):
                    self._read_set(unit)
            return None
        at, whole = 0, len(data)
        while at + width < whole:
            size = int.from_bytes(data[at : at + width], "big")
            at += width
            kind = data[at] & 31 if size else 0
            if kind in _SLICES:
                return bytes(data[at : at + min(size, _HEAD)])
            if kind in (_SPS, _PPS):
                self._read_set(bytes(data[at : at + min(size, 1024)]))
            at += size
        return None

    def _slice(self, unit: bytes) -> int:
        known, head = self._known.get(unit[1:3]), unit[1:9]
        if known is not None and len(head) == 8 and b"\0\0\3" not in head:
            numbering, behind = known
            number, top = int.from_bytes(head, "big") >> behind & (1 << numbering.bits) - 1, 1 << numbering.bits
        else:
            bits = _Bits(unit[1:_HEAD])
            whole = bits.left
            bits.golomb()  # first_mb_in_slice
            bits.golomb()  # slice_type
            found = self._sets.get(self._of_pictures.get(bits.golomb(), -1))
            if found is None:
                self._last = None
                return 0
            numbering, read = found, whole - bits.left
            if numbering.planes_apart:
                bits.take(2)
            number, top = bits.take(numbering.bits), 1 << numbering.bits
            if self._counted and numbering.order_bits:
                if unit[0] & 31 == _IDR:
                    bits.golomb()  # idr_pic_id
                order = bits.take(numbering.order_bits)
                key, reference = unit[0] & 31 == _IDR, unit[0] & 0x60 > 0
                self._unshown += self._gaps.picture(order, numbering.order_bits, key, reference)
            elif read <= 16 and not numbering.planes_apart:  # most slices of a film begin in a few ways
                self._known[unit[1:3]] = numbering, 64 - read - numbering.bits
        last, reference = self._last, bool(unit[0] & 0x60)
        if unit[0] & 31 == _IDR or last is None:
            skipped = 0
        else:  # a picture that sets the numbering back without being a key picture (8.2.1) is met in no recording
            # One or more: where a key picture is missing the numbers do not say how many.
            skipped = int(number not in (last, (last + 1) % top) and not numbering.gaps_allowed)
        if reference or last is None or skipped:
            self._last = number
        return skipped

    def _read_set(self, unit: bytes) -> None:
        self._known.clear()
        try:
            kind = unit[0] & 31
            if kind == _SPS:
                number, numbering = _sequence(_Bits(unit[1:1024]))
                self._sets[number] = numbering
            elif kind == _PPS:
                bits = _Bits(unit[1:_HEAD])
                number = bits.golomb()
                self._of_pictures[number] = bits.golomb()
        except (IndexError, ValueError):
            pass


class _OrderCounts:
    """Follows the order in which pictures are shown (8.2.1.1, ``pic_order_cnt``) from one key picture to the next.

    Attributes:
        owed: missing pictures that were counted by their other number.
    """

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Nothing is known up to the next key picture."""
        self._live, self.owed = False, 0
        self._waiting: list[int] = []
        self._shown = self._step = 0
        self._before = 0, 0

    def picture(self, low: int, bits: int, key: bool, reference: bool) -> int:
        """How many are missing before those that are shown by now."""
        missing = 0
        if key:
            missing = self.flush()
            self.restart()
            self._live, self._shown = True, -1
        if not self._live:
            return 0
        high, before = self._before
        top = 1 << bits
        if before - low >= top // 2:
            high += top
        elif low - before > top // 2:
            high -= top
        if reference:
            self._before = high, low
        heapq.heappush(self._waiting, high + low)
        return missing + self._pass(_HELD)

    def flush(self) -> int:
        """How many are missing before those that are left."""
        return self._pass(0)

    def _pass(self, left: int) -> int:
        missing = 0
        if len(self._waiting) > left and not self._step:
            ordered = sorted(self._waiting)
            self._step = min((b - a for a, b in itertools.pairwise(ordered)), default=0)
        while len(self._waiting) > left and self._step > 0:
            order = heapq.heappop(self._waiting)
            if order <= self._shown:  # they count from another place, which is no key picture
                self._live = False
                self._waiting.clear()
                return missing
            if self._shown >= 0:
                missing += max(0, (order - self._shown) // self._step - 1)
            self._shown = order
        counted = min(self.owed, missing)
        self.owed -= counted
        return missing - counted


class _Bits:
    """Reads bits and Exp-Golomb codes (9.1), without the bytes that keep start codes from arising (7.4.1).

    Attributes:
        left: how many bits are left.
    """

    def __init__(self, data: bytes) -> None:
        plain = data[:1024].replace(b"\0\0\3", b"\0\0")
        self._value, self.left = int.from_bytes(plain, "big"), 8 * len(plain)  # of what is left

    def take(self, count: int) -> int:
        left = self.left - count
        if left < 0:
            raise IndexError
        taken = self._value >> left
        self._value -= taken << left
        self.left = left
        return taken

    def golomb(self) -> int:
        rest = self._value.bit_length()
        zeros = self.left - rest
        if zeros > 32:
            raise ValueError
        self.left = rest
        return self.take(zeros + 1) - 1


def _sequence(bits: _Bits) -> tuple[int, _Numbering]:
    """Number and numbering of a sequence parameter set (7.3.2.1.1)."""
    profile = bits.take(8)
    bits.take(16)
    number, planes_apart = bits.golomb(), False
    if profile in _MORE_FIELDS:
        chroma = bits.golomb()
        planes_apart = chroma == 3 and bool(bits.take(1))
        bits.golomb()
        bits.golomb()
        bits.take(1)
        if bits.take(1):
            for index in range(12 if chroma == 3 else 8):
                if bits.take(1):
                    _skip_scaling(bits, 16 if index < 6 else 64)
    width, order_bits = bits.golomb() + 4, 0
    order = bits.golomb()
    if order == 0:
        order_bits = bits.golomb() + 4
    elif order == 1:
        bits.take(1)
        bits.golomb()
        bits.golomb()
        for _ in range(bits.golomb()):
            bits.golomb()
    bits.golomb()
    if width > 16 or order_bits > 16:
        raise ValueError
    gaps_allowed = bool(bits.take(1))
    bits.golomb()  # width
    bits.golomb()  # height
    return number, _Numbering(width, gaps_allowed, planes_apart, order_bits if bits.take(1) else 0)


def _skip_scaling(bits: _Bits, count: int) -> None:
    last = following = 8
    for _ in range(count):
        if following:
            code = bits.golomb()
            step = (code + 1) // 2 if code % 2 else -(code // 2)
            following = (last + step) % 256
        last = following or last


def _listed(extra: bytes) -> Iterator[bytes]:
    """The parameter sets in the configuration record of MP4 (ISO/IEC 14496-15, 5.3.3.1)."""
    at = 5
    for mask in (31, 255):
        if at >= len(extra):
            return
        count, at = extra[at] & mask, at + 1
        for _ in range(count):
            size = int.from_bytes(extra[at : at + 2], "big")
            yield extra[at + 2 : at + 2 + size]
            at += 2 + size


def _between_starts(data: bytes) -> Iterator[bytes]:
    at = data.find(b"\0\0\1")
    while at >= 0:
        begin = at + 3
        at = data.find(b"\0\0\1", begin)
        yield data[begin : min(len(data) if at < 0 else at, begin + 1024)]
