"""Notices where pictures are missing from an H.264 stream: its decoder fills them in without a word.

Every picture that others are predicted from has the next number (ITU-T H.264, 7.4.3, ``frame_num``). Where one is
skipped, what follows is made of the wrong picture until the next key picture, and comes out torn.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import av

_MORE_FIELDS = {100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135}  # profiles with chroma_format_idc
_HEAD = 64  # bytes of a unit that hold what is read of it
_SLICES = (1, 5)
_IDR, _SPS, _PPS = 5, 7, 8


@dataclass(frozen=True)
class _Numbering:
    """How a sequence numbers its pictures."""

    bits: int
    gaps_allowed: bool
    planes_apart: bool


class FrameNumbers:
    """Follows the numbers of the pictures of one stream.

    Args:
        context: of its decoder, for the parameter sets that stand outside of the packets.
    """

    def __init__(self, context: Any) -> None:
        self._sets: dict[int, _Numbering] = {}
        self._of_pictures: dict[int, int] = {}
        self._last: int | None = None
        extra = bytes(context.extradata or b"")
        self._length_bytes = (extra[4] & 3) + 1 if len(extra) > 6 and extra[0] == 1 else 0
        for unit in _listed(extra) if self._length_bytes else _between_starts(extra):
            self._read_set(unit)

    def restart(self) -> None:
        """Decoding begins anew, at another place."""
        self._last = None

    def skips(self, packet: av.Packet) -> bool:
        """Whether pictures are missing before the one in a packet."""
        data = bytes(memoryview(packet))
        skipped = False
        try:
            for unit in _prefixed(data, self._length_bytes) if self._length_bytes else _between_starts(data):
                kind = unit[0] & 31 if unit else 0
                if kind in (_SPS, _PPS):
                    self._read_set(unit)
                elif kind in _SLICES:
                    skipped = self._slice(unit) or skipped
                    break  # the others are of the same picture
        except (IndexError, ValueError):  # whether it decodes is not asked here
            self._last = None
        return skipped

    def _slice(self, unit: bytes) -> bool:
        bits = _Bits(unit[1:_HEAD])
        bits.golomb()  # first_mb_in_slice
        bits.golomb()  # slice_type
        numbering = self._sets.get(self._of_pictures.get(bits.golomb(), -1))
        if numbering is None:
            self._last = None
            return False
        if numbering.planes_apart:
            bits.take(2)
        number, top = bits.take(numbering.bits), 1 << numbering.bits
        last, reference = self._last, bool(unit[0] & 0x60)
        if unit[0] & 31 == _IDR or last is None:
            skipped = False
        else:  # a picture that sets the numbering back without being a key picture (8.2.1) is met in no recording
            skipped = number not in (last, (last + 1) % top) and not numbering.gaps_allowed
        if reference or last is None or skipped:
            self._last = number
        return skipped

    def _read_set(self, unit: bytes) -> None:
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


class _Bits:
    """Reads bits and Exp-Golomb codes (9.1), without the bytes that keep start codes from arising (7.4.1)."""

    def __init__(self, data: bytes) -> None:
        plain = data[:1024].replace(b"\0\0\3", b"\0\0")
        self._value, self._left = int.from_bytes(plain, "big"), 8 * len(plain)

    def take(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            raise IndexError
        return (self._value >> self._left) & ((1 << count) - 1)

    def golomb(self) -> int:
        zeros = 0
        while not self.take(1):
            zeros += 1
            if zeros > 32:
                raise ValueError
        return (1 << zeros) - 1 + self.take(zeros)


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
    width = bits.golomb() + 4
    order = bits.golomb()
    if order == 0:
        bits.golomb()
    elif order == 1:
        bits.take(1)
        bits.golomb()
        bits.golomb()
        for _ in range(bits.golomb()):
            bits.golomb()
    bits.golomb()
    if width > 16:
        raise ValueError
    return number, _Numbering(width, bool(bits.take(1)), planes_apart)


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


def _prefixed(data: bytes, length_bytes: int) -> Iterator[bytes]:
    at = 0
    while at + length_bytes < len(data):
        size = int.from_bytes(data[at : at + length_bytes], "big")
        at += length_bytes
        yield data[at : at + min(size, 1024)]
        at += size


def _between_starts(data: bytes) -> Iterator[bytes]:
    at = data.find(b"\0\0\1")
    while at >= 0:
        begin = at + 3
        at = data.find(b"\0\0\1", begin)
        yield data[begin : min(len(data) if at < 0 else at, begin + 1024)]
