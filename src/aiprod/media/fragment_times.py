"""When samples of fragmented MP4 are presented, where FFmpeg's reader says something else.

Fragments state when a sample is decoded and how much later it is shown (ISO/IEC 14496-12, 8.8.8). In version 1 the
second may be negative, and CMAF writers use that to show the first picture at once. FFmpeg then moves all pictures of
the track later by the largest such amount, and the sound not: pictures come a frame or two late against it.
"""

from __future__ import annotations

import functools
import os
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import av

from aiprod.media.errors import MediaError

_MOST = 1 << 20  # boxes that are looked at
_HEADER = 1 << 26  # bytes of a movie box that are searched, at most
_FRAGMENT = 1 << 24  # bytes of one fragment's box


def demuxed(container: Any, streams: Any) -> Iterator[Any]:
    """Packets of one stream or several, as ``container.demux`` gives them, with the times that the file states.

    Raises:
        MediaError: FFmpeg moves the pictures by one amount here and by another there.
    """
    packets = container.demux(streams)
    if not container.format.name.startswith("mov"):
        return packets
    late = late_ticks(container.name)
    wanted: Sequence[Any] = streams if isinstance(streams, list | tuple) else [streams]
    by_stream = {stream.index: late[stream.id] for stream in wanted if stream.id in late}
    return _moved(packets, by_stream) if by_stream else packets


def _moved(packets: Iterator[av.Packet], late: dict[int, int]) -> Iterator[av.Packet]:
    for packet in packets:
        if packet.pts is not None and (ticks := late.get(packet.stream.index)):
            packet.pts -= ticks
        yield packet


def late_ticks(path: Path | str) -> dict[int, int]:
    """How much later than the file states FFmpeg shows the samples of a track, by the track's number, in its ticks;
    only tracks where it does.

    Raises:
        MediaError: by one amount here and by another there.
    """
    try:
        state = os.stat(path)
    except OSError:
        return {}
    return _late_ticks(os.fspath(path), state.st_ino, state.st_size, state.st_mtime_ns)


@functools.lru_cache(maxsize=64)
def _late_ticks(path: str, *state: int) -> dict[int, int]:
    first: dict[int, int] = {}
    most: dict[int, int] = {}
    try:
        with open(path, "rb", buffering=1 << 12) as file:
            for fragment in _fragments(file):
                found: dict[int, int] = {}
                for number, early in _early(fragment):
                    found[number] = max(found.get(number, 0), early)
                for number, early in found.items():
                    first.setdefault(number, early)
                    most[number] = max(most.get(number, 0), early)
    except (OSError, struct.error):  # whether the file is sound is not asked here
        pass
    if any(first[number] != early for number, early in most.items()):
        raise MediaError(
            "timing",
            "its fragments show pictures earlier than they are decoded, by one amount at first and by more later on; "
            "FFmpeg does not read that in step with the sound",
            "rewrite it without fragments, with a tool that is not built on FFmpeg",
        )
    return {number: early for number, early in most.items() if early}


def _fragments(file: BinaryIO) -> Iterator[bytes]:
    """The ``moof`` boxes of a file that its movie box announces."""
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
            if kind == b"moov":
                announced = announced or any(inner == b"mvex" for inner, _ in _boxes(body))
            elif announced:
                yield body
        at += length


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
