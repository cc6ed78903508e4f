"""Notices where pictures are missing from MPEG-1, MPEG-2 and MPEG-4 Part 2 streams: their decoders do not ask.

MPEG-1 and MPEG-2 number the pictures of a group in the order in which they are shown (ISO/IEC 13818-2, 6.3.9,
``temporal_reference``). MPEG-4 states times (ISO/IEC 14496-2, 6.3.5). Those may vary, and in a container that has
times they say no more than its own; where it only counts pictures and the film's times are even, a leap in them is a
picture that is missing.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av

from aiprod.media.picture_order import NOTHING, PictureOrder, Skip

_I, _B = 1, 3
_TOP = 1 << 10  # temporal_reference has ten bits
_RATES = (0, 24, 24, 25, 30, 30, 50, 60, 60)  # pictures a second of time codes, by frame_rate_code (6.3.3)
_AGREED = 1  # time codes that fit, before one that does not counts
_TRIED = 6  # reference pictures after which numbers that fit nowhere are not believed
_WATCHED = 12  # pictures of MPEG-4 whose times must be even before leaps count


class TemporalReferences:
    """Follows the numbers of the pictures of an MPEG-1 or MPEG-2 stream.

    Args:
        counted: whether its container only counts pictures. Then those that are missing at the end of a group, where
            numbers begin anew, are looked for by the groups' time codes.
    """

    def __init__(self, counted: bool = False) -> None:
        self._order = PictureOrder()
        self._low_delay, self._counted = False, counted
        self._rate = self._agreed = 0
        self._code: int | None = None
        self._pending = NOTHING
        self.restart()

    def restart(self) -> None:
        """Decoding begins anew, at another place."""
        self._order.restart()
        self._last: int | None = None  # the place of the latest reference, counted on beyond ten bits
        self._code = None
        self._size = 0  # pictures of the group, by the highest number

    def ended(self) -> Skip:
        """What is missing before the pictures that came last."""
        skip = self._pending + self._order.begins()
        return skip if self._order.believed else NOTHING

    def skips(self, packet: av.Packet) -> Skip:
        """What is missing before the picture in a packet."""
        data = bytes(memoryview(packet))
        skip = self._pending
        for code, at in _starts(data, (0x00, 0xB3, 0xB5, 0xB8)):
            if code == 0xB3 and at + 3 < len(data):  # sequence_header
                self._rate = _RATES[data[at + 3] & 15] if data[at + 3] & 15 < len(_RATES) else 0
            elif code == 0xB5 and data[at] >> 4 == 1 and at + 5 < len(data):  # sequence_extension
                self._low_delay = bool(data[at + 5] & 0x80)
            elif code == 0xB8 and at + 3 < len(data):
                self._size += self._order.owed
                skip += self._order.begins() + self._by_time_code(data[at : at + 4])
                self._size = 0
                if data[at + 3] & 0x20:  # broken_link: what the first refer to was cut away, by an editor who says so
                    self._order.restart()
                self._last = -1
            elif code == 0x00 and at + 1 < len(data):
                skip += self._picture(data[at] << 2 | data[at + 1] >> 6, data[at + 1] >> 3 & 7)
        tried = self._order.references >= _TRIED  # until then numbers that mean nothing cannot be told from losses
        self._pending = NOTHING if tried else skip
        return skip if tried and self._order.believed else NOTHING

    def _by_time_code(self, head: bytes) -> Skip:
        """What is missing at the end of the group before the one that begins with ``head``."""
        if not (self._counted and self._rate):
            return NOTHING
        bits = int.from_bytes(head, "big") >> 7
        minutes = 60 * (bits >> 19 & 31) + (bits >> 13 & 63)
        code = (60 * minutes + (bits >> 6 & 63)) * self._rate + (bits & 63)
        if bits >> 24:  # drop_frame_flag: two numbers are left out every minute that is no tenth
            code -= 2 * (minutes - minutes // 10)
        before, self._code = self._code, code
        if before is None or self._last is None:
            return NOTHING
        missing = code - before - self._size
        if missing == 0:
            self._agreed += 1
        elif self._agreed >= _AGREED and 0 < missing <= self._rate:
            return Skip(missing)
        else:
            self._agreed = 0
        return NOTHING

    def _picture(self, number: int, kind: int) -> Skip:
        if self._last is None:
            place = number
        else:
            ahead = (number - self._last) % _TOP
            place = self._last + (ahead if ahead < _TOP // 2 else ahead - _TOP)
        self._size = max(self._size, place + 1)
        if kind == _B and place >= self._order.due - 1:  # or a second field
            return self._order.between(place)
        skip = NOTHING
        if kind == _B or (self._last is not None and place < self._last):  # a group began, and its head is not there
            known = self._last is not None
            self.restart()
            if kind != _I:
                skip = Skip(1, True) if known else NOTHING
            if kind == _B:
                return skip
            place = number
        self._last = place
        return skip + self._order.reference(place, self._low_delay)


class PictureTimes:
    """Follows the times of the pictures of an MPEG-4 Part 2 stream in a container that counts pictures.

    Args:
        context: of its decoder, for the headers that stand outside of the packets.
    """

    def __init__(self, context: Any) -> None:
        self._resolution = self._bits = 0
        self._read_layer(bytes(context.extradata or b""))
        self.restart()

    def restart(self) -> None:
        """Decoding begins anew, at another place."""
        self._order = PictureOrder()
        self._second = self._second_before = 0
        self._latest: int | None = None  # time of the latest reference, and of the one before
        self._latest_before: int | None = None
        self._seen: list[tuple[int, bool]] | None = []
        self._step: Fraction | None = None
        self._place: int | None = None  # of the latest packet in the container
        self._empty = [0, 0, 0]  # places that the container leaves empty, since the latest references

    def ended(self) -> Skip:
        """What is missing before the pictures that came last."""
        return self._counted(self._order.begins())

    def skips(self, packet: av.Packet) -> Skip:
        """What is missing before the pictures in a packet."""
        data = bytes(memoryview(packet))
        if packet.dts is not None:
            if self._place is not None and packet.dts > self._place + 1:
                self._empty[0] += packet.dts - self._place - 1
            self._place = packet.dts
        skip = NOTHING
        self._read_layer(data)
        for code, at in _starts(data, (0xB3, 0xB6)):
            if code == 0xB3 and at + 2 < len(data):  # group_of_vop: hours 5, minutes 6, marker, seconds 6
                bits = int.from_bytes(data[at : at + 3], "big") >> 6
                self._second = self._second_before = 3600 * (bits >> 13) + 60 * (bits >> 7 & 63) + (bits & 63)
                self._latest = self._latest_before = None
            elif code == 0xB6 and self._resolution:
                header = self._time(data[at : at + 64])
                if header is not None:
                    skip += self._see(*header)
        return self._counted(skip)

    def _counted(self, skip: Skip) -> Skip:
        missing = skip.pictures - sum(self._empty)
        return Skip(missing, skip.torn) if missing > 0 and self._order.believed else NOTHING

    def _see(self, ticks: int, between: bool) -> Skip:
        if self._step is None:
            if self._seen is None:
                return NOTHING
            self._seen.append((ticks, between))
            if len(self._seen) < _WATCHED:
                return NOTHING
            seen, self._seen = self._seen, None
            self._step = _even([at for at, _ in seen])
            skip = NOTHING
            for item in seen if self._step is not None else ():
                skip += self._see(*item)
            return skip
        place = round(ticks / self._step)
        if between:
            return self._order.between(place)
        if place > self._order.due:
            self._empty = [0, *self._empty[:2]]
        return self._order.reference(place)

    def _time(self, head: bytes) -> tuple[int, bool] | None:
        """When a picture is shown, in ticks, and whether no other is made of it."""
        value, left = int.from_bytes(head, "big"), 8 * len(head)
        kind, left = value >> (left - 2) & 3, left - 2
        seconds = 0
        while left > self._bits + 2 and value >> (left - 1) & 1:
            seconds, left = seconds + 1, left - 1
        left -= 2 + self._bits  # the zero that ends the seconds, a marker, the ticks
        if left < 0:
            return None
        ticks = value >> left & ((1 << self._bits) - 1)
        between = kind == 2
        if between:
            at = (self._second_before + seconds) * self._resolution + ticks
            return self._in_second(at, self._latest_before), True
        self._second_before, self._second = self._second, self._second + seconds
        at = self._second * self._resolution + ticks
        moved = self._in_second(at, self._latest)
        self._second += moved > at
        self._latest_before, self._latest = self._latest, moved
        return moved, False

    def _in_second(self, at: int, after: int | None) -> int:
        """A time, a second later where the picture that began the second, and said so, is missing."""
        if after is not None and at < after < at + self._resolution < after + self._resolution // 2:
            return at + self._resolution
        return at

    def _read_layer(self, data: bytes) -> None:
        """Ticks a second, of the video object layer (6.2.3)."""
        at = next((at for code, at in _starts(data, range(0x20, 0x30))), None)
        if at is None:
            return
        bits = "".join(f"{byte:08b}" for byte in data[at : at + 64])
        try:
            here = 1 + 8
            here += 1 + 7 * int(bits[here])  # is_object_layer_identifier: verid 4, priority 3
            here += 4 + 16 * (bits[here : here + 4] == "1111")  # aspect_ratio_info, par of 8 and 8
            if bits[here] == "1":  # vol_control_parameters
                here += 1 + 2 + 1
                here += 1 + 79 * int(bits[here])  # vbv_parameters
            else:
                here += 1
            if bits[here : here + 2] != "00":  # not rectangular
                return
            here += 2 + 1
            self._resolution = int(bits[here : here + 16], 2)
            self._bits = max(1, (self._resolution - 1).bit_length())
        except (IndexError, ValueError):
            self._resolution = 0


def _even(ticks: list[int]) -> Fraction | None:
    """The distance of times that lie evenly, also where some are missing; None where they do not."""
    ordered = sorted(set(ticks))
    steps = [b - a for a, b in itertools.pairwise(ordered)][:-2]  # the last may still get one between
    if len(steps) < _WATCHED // 2:
        return None
    least = sorted(steps)[len(steps) // 3]
    alike = [step for step in steps if abs(step - least) <= 1]
    if not least or 3 * len(alike) < 2 * len(steps):
        return None
    step = Fraction(sum(alike), len(alike))
    return step if all(abs(s / step - round(s / step)) * step <= 1 for s in steps) else None


def _starts(data: bytes, codes: Any) -> Iterator[tuple[int, int]]:
    """Start codes of some kinds and where what follows them begins."""
    at = data.find(b"\0\0\1")
    while 0 <= at < len(data) - 4:
        if data[at + 3] in codes:
            yield data[at + 3], at + 4
        at = data.find(b"\0\0\1", at + 3)
