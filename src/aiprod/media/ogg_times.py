"""When packets of an Ogg stream are presented, where FFmpeg's reader says something else.

A page of Ogg (RFC 3533) states when the last packet that ends in it ends. Those before it follow each other without a
gap, so a pause lies before the first of them. FFmpeg counts on from the page before instead, and only the next page
shows it the pause: it comes a page too late, and one before the last page or before the first sound is lost.
"""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import av

_LEAST_S = 0.015  # as long as the shortest lost packet; shorter steps are roundings
_MOST_PAGES = 1 << 20
_FIRST, _LAST = 2, 4  # flags of a page: begins a stream, ends it

Moves = Mapping[tuple[int, int], int]
"""(place of a page in the file, how many-eth of the packets that FFmpeg places there) → ticks to add."""


def moves(container: Any, stream: Any) -> Moves:
    """Which packets of a stream are later than FFmpeg says, and by how much."""
    try:
        state = os.stat(container.name)
    except OSError:
        return {}
    return _moves(os.fspath(container.name), stream.index, state.st_ino, state.st_size, state.st_mtime_ns)


@functools.lru_cache(maxsize=64)
def _moves(path: str, index: int, *state: int) -> Moves:
    packets: list[tuple[int, int | None, int]] = []  # place, stamp, length
    try:
        with av.open(path, format="ogg", metadata_errors="replace") as container:
            stream = container.streams[index]
            tick_s = float(stream.time_base or 0)
            for packet in container.demux(stream):
                if (packet.pos is not None and packet.pts is not None) or packet.size:
                    packets.append((packet.pos or 0, packet.pts, packet.duration or 0))
        ends, last = _pages(Path(path), index)
    except (OSError, av.error.FFmpegError, ValueError):  # whether the file is sound is not asked here
        return {}
    headers = (ends[-1] if ends else 0) - len(packets)
    if headers < 0 or not tick_s:
        return {}
    added = _added(packets, [end - headers for end in ends if end > headers], last, _LEAST_S / tick_s)
    places = [place for place, _, _ in packets]
    numbers = itertools.chain.from_iterable(range(len(list(same))) for _, same in itertools.groupby(places))
    return {key: ticks for key, ticks in zip(zip(places, numbers, strict=True), added, strict=True) if ticks}


def _added(
    packets: list[tuple[int, int | None, int]], ends: list[int], last: tuple[int, int] | None, least: float
) -> list[int]:
    """What is to be added to the stamp of each packet.

    Args:
        ends: number of packets up to the end of each page.
        last: what the last page but one and the last one state, in ticks.
    """
    added = [0] * len(packets)
    begins = [0, *ends[:-1]]
    for begin, end in zip(begins, ends, strict=True):
        if end == begin:
            continue
        _, stamp, length = packets[end - 1]
        if end < len(packets):
            following = packets[end][1]
            jump = 0 if stamp is None or following is None else following - stamp - length
        else:
            lengths = sum(length for _, _, length in packets[begin:end])
            jump = 0 if last is None else last[1] - last[0] - lengths
        if jump >= least:
            added[begin:end] = [jump] * (end - begin)
    return added


def _pages(path: Path, index: int) -> tuple[list[int], tuple[int, int] | None]:
    """Number of packets of a stream up to the end of each of its pages, and what the last two pages say of time, where
    they count samples."""
    serials: list[int] = []
    ends: list[int] = []
    stated: list[int] = []
    counted, samples = 0, False
    with open(path, "rb", buffering=1 << 16) as file:
        size = os.fstat(file.fileno()).st_size
        at = 0
        for _ in range(_MOST_PAGES):
            file.seek(at)
            head = file.read(27)
            if len(head) < 27 or head[:4] != b"OggS":
                break
            lacing = file.read(head[26])
            serial = int.from_bytes(head[14:18], "little")
            if head[5] & _FIRST and serial not in serials:
                serials.append(serial)
                if len(serials) == index + 1:
                    samples = _counts_samples(file)
            if index < len(serials) and serial == serials[index]:
                counted += sum(length < 255 for length in lacing)
                granule = int.from_bytes(head[6:14], "little", signed=True)
                if granule >= 0:  # else no packet ends in it
                    ends.append(counted)
                    stated.append(granule)
            at += 27 + len(lacing) + sum(lacing)
            if at >= size:
                break
    return ends, (stated[-2], stated[-1]) if samples and len(stated) > 1 else None


def _counts_samples(file: BinaryIO) -> bool:
    """Whether a stream, whose first packet begins here, is one of sound that counts samples."""
    return file.read(8).startswith((b"OpusHead", b"\x01vorbis", b"\x7fFLAC"))
