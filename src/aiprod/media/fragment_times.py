"""When samples of fragmented MP4 are presented, where FFmpeg's reader says something else.

Fragments state when a sample is decoded and how much later it is shown (ISO/IEC 14496-12, 8.8.8). In version 1 the
second may be negative, and CMAF writers use that to show the first picture at once. FFmpeg then moves all pictures of
the track later by the largest such amount, and the sound not: pictures come a frame or two late against it.

A film may also list its first samples in the movie box and go on in fragments. FFmpeg reads what the movie box lists
right and moves the rest, as long as no fragment asks for more than the movie box did.

Fragments that do not state when they begin (8.8.12) follow each other, unless they say it in a box of their own (Smooth
Streaming). Where there is an index as well (8.16.3), FFmpeg
places them by that, in other ticks and without the tracks that it does not list.
"""

from __future__ import annotations

import functools
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from aiprod.media.errors import MediaError

_MOST = 1 << 20  # boxes that are looked at
_HEADER = 1 << 26  # bytes of a movie box that are searched, at most
_FRAGMENT = 1 << 24  # bytes of one fragment's box
_TFXD = bytes.fromhex("6d1d9b05 42d5 44e6 80e2 141daff757b2")  # when a fragment begins, as Smooth Streaming says it


class Late(NamedTuple):
    """How much later than the file states FFmpeg shows samples of a track, in the track's ticks.

    Attributes:
        ticks: by so much.
        from_byte: samples that lie before this byte of the file are not late.
    """

    ticks: int
    from_byte: int = 0


def late_ticks(path: Path | str) -> dict[int, Late]:
    """How much later than the file states FFmpeg shows the samples of a track, by the track's number; only tracks
    where it does.

    Raises:
        MediaError: by one amount here and by another there, or by an index.
    """
    try:
        state = os.stat(path)
    except OSError:
        return {}
    return _late_ticks(os.fspath(path), state.st_ino, state.st_size, state.st_mtime_ns)


@functools.lru_cache(maxsize=64)
def _late_ticks(path: str, *state: int) -> dict[int, Late]:
    first: dict[int, int] = {}
    most: dict[int, int] = {}
    listed: dict[int, int] = {}
    from_byte = 0
    begun: dict[int, list[int]] = {}
    backwards = False
    indexed = untimed = smooth = False
    try:
        with open(path, "rb", buffering=1 << 12) as file:
            for at, kind, body in _movie_and_fragments(file):
                if kind == b"moov":
                    listed = dict(_listed(body))
                    continue
                if kind == b"sidx":
                    indexed = True
                    continue
                if not _timed(body):
                    untimed, smooth = True, smooth or _smooth(body)
                from_byte = from_byte or at
                for number, ticks in _begins(body):
                    before = begun.setdefault(number, [])
                    backwards |= bool(before) and ticks < max(before) and ticks not in before
                    before.append(ticks)
                by_track: dict[int, int] = {}
                for number, early in _early(body):
                    by_track[number] = max(by_track.get(number, 0), early)
                for number, early in by_track.items():
                    first.setdefault(number, early)
                    most[number] = max(most.get(number, 0), early)
    except (OSError, struct.error):  # whether the file is sound is not asked here
        pass
    if backwards:
        raise MediaError(
            "timing",
            "its fragments are not in the order of their times, and FFmpeg passes over what comes too late",
            "put its segments together again, in the order of their numbers",
        )
    if smooth:
        raise MediaError(
            "timing",
            "its fragments say when they begin in the way of Smooth Streaming (`tfxd`), which FFmpeg does not read",
            "rewrite it without fragments, with a tool that is not built on FFmpeg",
        )
    if indexed and untimed:
        raise MediaError(
            "timing",
            "its fragments do not state when they begin, and FFmpeg places them by an index (`sidx`) that says less",
            "rewrite it without fragments, with a tool that is not built on FFmpeg",
        )
    late: dict[int, Late] = {}
    for number, early in most.items():
        # What the movie box lists is read with its own amount, which then holds for the fragments as well.
        known = listed.get(number, first[number])
        if early > known:
            raise MediaError(
                "timing",
                "its fragments show pictures earlier than they are decoded, by one amount at first and by more later "
                "on; FFmpeg does not read that in step with the sound",
                "rewrite it without fragments, with a tool that is not built on FFmpeg",
            )
        if known:
            late[number] = Late(known, from_byte if number in listed else 0)
    return late


def fragments_begin(path: Path | str) -> int | None:
    """The place of the first fragment of a film; None where it has none."""
    try:
        state = os.stat(path)
    except OSError:
        return None
    return _fragments_begin(os.fspath(path), state.st_ino, state.st_size, state.st_mtime_ns)


@functools.lru_cache(maxsize=64)
def _fragments_begin(path: str, *state: int) -> int | None:
    try:
        with open(path, "rb", buffering=1 << 12) as file:
            return next((at for at, kind, _ in _movie_and_fragments(file) if kind == b"moof"), None)
    except OSError:
        return None


def _movie_and_fragments(file: BinaryIO) -> Iterator[tuple[int, bytes, bytes]]:
    """The movie box of a file that announces fragments, and their ``moof`` and ``sidx`` boxes: place, kind,
    content (none of an index)."""
    at, size, announced = 0, os.fstat(file.fileno()).st_size, False
    for _ in range(_MOST):
        file.seek(at)
        head = file.read(16)
        if len(head) < 8:
            return
        length, kind, begin = int.from_bytes(head[:4], "big"), head[4:8], 8
        if length == 1:
            length, begin = int.from_bytes(head[8:], "big"), 16
        length = length or size - at
        if length < begin:
            return
        if kind in (b"moov", b"moof"):
            file.seek(at + begin)
            body = file.read(min(length - begin, _HEADER if kind == b"moov" else _FRAGMENT))
            if kind == b"moov" and not announced:
                announced = any(inner == b"mvex" for inner, _ in _boxes(body))
                if announced:
                    yield at, kind, body
            elif kind == b"moof" and announced:
                yield at, kind, body
        elif kind == b"sidx":
            yield at, kind, b""
        at += length


def _listed(movie: bytes) -> Iterator[tuple[int, int]]:
    """Number of each track of which the movie box lists samples, and how much before its decoding FFmpeg takes one of
    them to be shown, at most."""
    for kind, track in _boxes(movie):
        if kind != b"trak":
            continue
        boxes = dict(_boxes(track))
        header = boxes.get(b"tkhd", b"")
        table = _within(boxes.get(b"mdia", b""), b"minf", b"stbl")
        if len(header) < 24 or not any(_count(table.get(name, b""), at) for name, at in ((b"stsz", 8), (b"stz2", 8))):
            continue
        offsets = table.get(b"ctts", b"")
        count = min(_count(offsets, 4), max(0, len(offsets) - 8) // 8)
        # FFmpeg does not look at the last two entries here.
        early = [-struct.unpack_from(">i", offsets, 12 + 8 * n)[0] for n in range(count - 2)]
        yield int.from_bytes(header[20:24] if header[0] else header[12:16], "big"), max(0, *early, 0)


def _within(data: bytes, *names: bytes) -> dict[bytes, bytes]:
    """The boxes in a box that lies in others."""
    boxes = dict(_boxes(data))
    for name in names:
        boxes = dict(_boxes(boxes.get(name, b"")))
    return boxes


def _count(body: bytes, at: int) -> int:
    return int.from_bytes(body[at : at + 4], "big")


def _timed(fragment: bytes) -> bool:
    """Whether a fragment states for each of its tracks when it begins."""
    return all(b"tfdt" in dict(_boxes(body)) for kind, body in _boxes(fragment) if kind == b"traf")


def _begins(fragment: bytes) -> Iterator[tuple[int, int]]:
    """Number of each track of a fragment that says when it begins, and that time in the track's ticks."""
    for kind, body in _boxes(fragment):
        if kind == b"traf":
            boxes = dict(_boxes(body))
            head, time = boxes.get(b"tfhd", b""), boxes.get(b"tfdt", b"")
            if len(head) >= 8 and len(time) >= (12 if time[:1] == b"\1" else 8):
                yield _count(head, 4), int.from_bytes(time[4:12] if time[0] else time[4:8], "big")


def _smooth(fragment: bytes) -> bool:
    """Whether a fragment says when it begins in a box of Smooth Streaming."""
    tracks = [body for kind, body in _boxes(fragment) if kind == b"traf"]
    return any(kind == b"uuid" and body.startswith(_TFXD) for track in tracks for kind, body in _boxes(track))


def _early(fragment: bytes) -> Iterator[tuple[int, int]]:
    """Track number and how much before its decoding a sample is shown, at most, for each run of a fragment."""
    for kind, body in _boxes(fragment):
        if kind != b"traf":
            continue
        number = 0
        for inner, content in _boxes(body):
            if inner == b"tfhd" and len(content) >= 8:
                number = int.from_bytes(content[4:8], "big")
            elif inner == b"trun" and len(content) >= 8:
                yield number, _earliest(content)


def _earliest(run: bytes) -> int:
    flags, count = struct.unpack_from(">II", run)
    if not flags & 0x800:  # no offsets
        return 0
    begin = 8 + 4 * bool(flags & 1) + 4 * bool(flags & 4)
    before = sum(4 for flag in (0x100, 0x200, 0x400) if flags & flag)
    step = before + 4
    count = min(count, (len(run) - begin) // step)
    offsets = struct.unpack(f">{count * step // 4}i", run[begin : begin + count * step])[before // 4 :: step // 4]
    return max(0, -min(offsets, default=0))


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(data):
        length, begin = int.from_bytes(data[at : at + 4], "big"), 8
        if length == 1:
            length, begin = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        length = length or len(data) - at
        if length < begin:
            return
        yield data[at + 4 : at + 8], data[at + begin : at + length]
        at += length
