"""Finds files that are several recordings, joined byte by byte, where readers would stop at the end of the first."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

_MOST = 1 << 20  # parts of a file that are looked at
_ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_MXF_HEADER = bytes.fromhex("02050101 0d010201 0102")  # behind the four bytes of every key
_OGG_FIRST = 2  # "beginning of stream", RFC 3533, 6


def second_recording(path: Path | str, extension: str) -> int | None:
    """Where in a file a second recording begins, in bytes; None where there is none, or none that is hidden.

    In MPEG streams and Matroska the clock of the pictures shows it, and so it is not looked for here.

    Args:
        extension: of what the file is by its bytes (:class:`aiprod.media.sniffing.ContentType`).
    """
    walk = _WALKS.get(extension)
    if walk is None:
        return None
    size = os.path.getsize(path)
    with open(path, "rb", buffering=1 << 12) as file:
        for count, (at, begins) in enumerate(walk(file, size)):
            if begins or count > _MOST:
                return at if begins else None
    return None


def _mp4(file: BinaryIO, size: int) -> Iterator[tuple[int, bool]]:
    """Boxes of ISO/IEC 14496-12: a second ``moov`` that is no repetition before fragments."""
    at, complete = 0, False
    while at + 8 <= size:
        file.seek(at)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if length == 0 or at + length > size:
            return
        if length < 8:
            return
        whole = head[4:8] == b"moov" and b"mvex" not in file.read(min(length, 1 << 24))
        yield at, whole and complete
        complete = complete or whole
        at += length


def _flv(file: BinaryIO, size: int) -> Iterator[tuple[int, bool]]:
    """Tags of Flash Video, each behind the size of the one before."""
    file.seek(5)
    at = int.from_bytes(file.read(4), "big") + 4
    while at >= 13 and at + 11 <= size:
        file.seek(at)
        head = file.read(11)
        yield at, head[:4] == b"FLV\x01"
        at += 11 + int.from_bytes(head[1:4], "big") + 4


def _asf(file: BinaryIO, size: int) -> Iterator[tuple[int, bool]]:
    """Top-level objects: a GUID and a length."""
    at = 0
    while at + 24 <= size:
        file.seek(at)
        head = file.read(24)
        yield at, at > 0 and head[:16] == _ASF_HEADER
        length = int.from_bytes(head[16:24], "little")
        if length < 24:
            return
        at += length


def _mxf(file: BinaryIO, size: int) -> Iterator[tuple[int, bool]]:
    """KLV triplets of SMPTE ST 377-1: a second header partition."""
    at = 0
    while at + 17 <= size:
        file.seek(at)
        head = file.read(25)
        if head[:4] != b"\x06\x0e\x2b\x34":
            return
        yield at, at > 0 and head[4:14] == _MXF_HEADER
        more = head[16] & 0x7F if head[16] & 0x80 else 0
        length = int.from_bytes(head[17 : 17 + more], "big") if more else head[16]
        at += 17 + more + length


def _riff(file: BinaryIO, size: int) -> Iterator[tuple[int, bool]]:
    """RIFF chunks: further ones of one AVI are called AVIX."""
    at = 0
    while at + 12 <= size:
        file.seek(at)
        head = file.read(12)
        if head[:4] != b"RIFF":
            return
        yield at, at > 0 and head[8:12] == b"AVI "
        length = int.from_bytes(head[4:8], "little")
        at += 8 + length + length % 2


def _ogg(file: BinaryIO, size: int) -> Iterator[tuple[int, bool]]:
    """Pages of RFC 3533: a chain begins streams behind the data of others."""
    at, data = 0, False
    while at + 27 <= size:
        file.seek(at)
        head = file.read(27)
        if head[:4] != b"OggS":
            return
        first = bool(head[5] & _OGG_FIRST)
        yield at, first and data
        data = data or not first
        at += 27 + head[26] + sum(file.read(head[26]))


_WALKS: dict[str, Callable[[BinaryIO, int], Iterator[tuple[int, bool]]]] = {
    "mp4": _mp4,
    "mov": _mp4,
    "flv": _flv,
    "asf": _asf,
    "mxf": _mxf,
    "avi": _riff,
    "ogv": _ogg,
}
