"""When each sample of an MP4 file is presented, read from its boxes (ISO/IEC 14496-12) and not by FFmpeg.

FFmpeg's writer moves, stretches and drops offsets by options and by what is negative: what a film holds is what its
boxes say in the end.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

_FOLDERS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"moof", b"traf", b"mvex"}


@dataclass
class Track:
    """One track: presentation times of its samples in decoding order, seconds, negative where an edit hides them."""

    kind: str = ""
    scale: int = 1
    shift: Fraction = Fraction(0)
    ticks: list[int] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    number: int = 0
    length: int = 0  # of a sample, where a fragment does not say

    def times(self) -> list[Fraction]:
        first, scale = self.shift.numerator * self.scale, self.shift.denominator
        return [Fraction(first + tick * scale, self.scale * scale) for tick in self.ticks]


def tracks(path: Path) -> list[Track]:
    """The tracks of a film, in order."""
    data = path.read_bytes()
    found: list[Track] = []
    movie_scale = 1
    counts: list[tuple[int, int]] = []
    edits: list[tuple[Track, bytes]] = []
    here: Track | None = None
    decoded = 0
    for kind, body in _boxes(data):
        version = body[0] if body else 0
        if kind == b"mvhd":
            movie_scale = struct.unpack_from(">I", body, 20 if version else 12)[0]
        elif kind == b"tkhd":
            here = Track(number=struct.unpack_from(">I", body, 20 if version else 12)[0])
            found.append(here)
        elif kind == b"mdhd" and here:
            here.scale = struct.unpack_from(">I", body, 20 if version else 12)[0]
        elif kind == b"hdlr" and here and not here.kind:
            here.kind = body[8:12].decode()
        elif kind == b"elst" and here:
            edits.append((here, body))
        elif kind == b"stts" and here:
            counts = [struct.unpack_from(">II", body, 8 + 8 * n) for n in range(_count(body))]
            at = 0
            for many, step in counts:
                here.ticks += range(at, at + many * step, step) if step else [at] * many
                here.lengths += [step] * many
                at += many * step
        elif kind == b"ctts" and here:
            at = 0
            for n in range(_count(body)):
                many, offset = struct.unpack_from(">Ii", body, 8 + 8 * n)
                for k in range(at, at + many):
                    here.ticks[k] += offset
                at += many
        elif kind == b"stsz" and here and not struct.unpack_from(">I", body, 8)[0]:
            here.ticks.clear()  # FFmpeg's writer lists times of samples that come in fragments, and no such samples
            here.lengths.clear()
        elif kind == b"trex":
            number, _, length = struct.unpack_from(">III", body, 4)
            next(t for t in found if t.number == number).length = length
        elif kind == b"tfhd":
            flags, number = struct.unpack_from(">I", body)[0] & 0xFFFFFF, struct.unpack_from(">I", body, 4)[0]
            here = next(t for t in found if t.number == number)
            skip = 8 + 8 * bool(flags & 1) + 4 * bool(flags & 2)
            if flags & 8:
                here.length = struct.unpack_from(">I", body, skip)[0]
        elif kind == b"tfdt":
            decoded = struct.unpack_from(">Q" if version else ">I", body, 4)[0]
        elif kind == b"trun" and here:
            decoded = _run(body, here, decoded)
    for track, body in edits:
        _edit(track, body, movie_scale)
    return found


def _boxes(data: bytes, start: int = 0, end: int | None = None) -> Iterator[tuple[bytes, bytes]]:
    at, end = start, len(data) if end is None else end
    while at + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, at)
        head = 8
        if size == 1:
            size, head = struct.unpack_from(">Q", data, at + 8)[0], 16
        size = size or end - at
        if kind in _FOLDERS:
            yield from _boxes(data, at + head, at + size)
        elif kind != b"mdat":
            yield kind, data[at + head : at + size]
        at += size


def _count(body: bytes) -> int:
    return int(struct.unpack_from(">I", body, 4)[0])


def _run(body: bytes, track: Track, decoded: int) -> int:
    flags = struct.unpack_from(">I", body)[0] & 0xFFFFFF
    at = 8 + 4 * bool(flags & 1) + 4 * bool(flags & 4)
    for _ in range(_count(body)):
        length, offset = track.length, 0
        if flags & 0x100:
            length = struct.unpack_from(">I", body, at)[0]
            at += 4
        at += 4 * bool(flags & 0x200) + 4 * bool(flags & 0x400)
        if flags & 0x800:
            offset = struct.unpack_from(">i", body, at)[0]
            at += 4
        track.ticks.append(decoded + offset)
        track.lengths.append(length)
        decoded += length
    return decoded


def _edit(track: Track, body: bytes, movie_scale: int) -> None:
    """Empty edits before the first that shows something, and where in the media that one begins."""
    form, step = (">Qq", 20) if body[0] else (">Ii", 12)
    for n in range(_count(body)):
        length, begins = struct.unpack_from(form, body, 8 + n * step)
        if begins < 0:
            track.shift += Fraction(length, movie_scale)
        else:
            track.shift -= Fraction(begins, track.scale)
            return
