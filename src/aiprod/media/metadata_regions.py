"""Where in a film metadata can lie: what of its file is neither pictures nor sound, nor a list of where they are."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple

_MOST = 1 << 22  # parts of a file that are looked at
_TAIL = 1 << 16  # bytes at the end of FLAC, where programs put tags of other formats
_ENDS = 1 << 24  # bytes at both ends of a file whose parts are not told apart
XMP_BOX = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")  # XMP specification, part 3; in MP4 and in ASF
C2PA_BOX = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")  # C2PA specification, A.5; in MP4


class Region(NamedTuple):
    """Bytes ``start`` to ``end - 1`` of a file; ``xmp``: they are an XMP packet, by what they lie in."""

    start: int
    end: int
    xmp: bool = False


def regions(file: BinaryIO, extension: str) -> Iterator[Region]:
    """The parts of a film that may hold metadata, in order.

    Args:
        extension: of what the file is by its bytes (:class:`aiprod.media.sniffing.ContentType`).
    """
    size = os.fstat(file.fileno()).st_size
    walk = _WALKS.get(extension)
    if walk is None:  # MPEG streams and Ogg have no place of their own for XMP
        yield Region(0, min(size, _ENDS))
        if size > _ENDS:
            yield Region(max(_ENDS, size - _ENDS), size)
        return
    begun = None  # of neighbours that are read as one
    behind = 0
    for count, (start, end, kept) in enumerate(walk(file, size)):
        if count > _MOST:
            break
        behind = end
        if kept == "media":
            if begun is not None:
                yield Region(begun, start)
            begun = None
        elif kept == "xmp":
            if begun is not None:
                yield Region(begun, start)
            begun = None
            yield Region(start, end, xmp=True)
        elif begun is None:
            begun = start
    if begun is not None or behind < size:  # what follows is no part of the container, and may be anything
        yield Region(behind if begun is None else begun, size)


_Parts = Iterator[tuple[int, int, str]]
"""Beginning, end, and ``media``, ``xmp`` or ``other``."""


def parts(file: BinaryIO, extension: str, size: int) -> _Parts:
    """The parts of a container that can be told apart, in order."""
    walk = _WALKS.get(extension)
    return iter(()) if walk is None else walk(file, size)


def _mp4(file: BinaryIO, size: int) -> _Parts:
    at = 0
    while at + 8 <= size:
        file.seek(at)
        head = file.read(32)
        length, begin = int.from_bytes(head[:4], "big"), 8
        if length == 1:
            length, begin = int.from_bytes(head[8:16], "big"), 16
        end = size if length == 0 else at + length
        if end < at + begin or end > size:
            return
        if head[4:8] == b"uuid" and head[begin : begin + 16] == XMP_BOX:
            yield at + begin + 16, end, "xmp"
        else:
            listed = (b"mdat", b"free", b"skip", b"wide", b"moof", b"mfra", b"sidx", b"ssix", b"prft")
            yield at, end, "media" if head[4:8] in listed else "other"
        at = end


_SEGMENT, _CLUSTER, _CUES, _VOID = 0x18538067, 0x1F43B675, 0x1C53BB6B, 0xEC


def _matroska(file: BinaryIO, size: int) -> _Parts:
    at, in_cluster = 0, False
    while at < size:
        file.seek(at)
        head = file.read(12)
        if not head or not head[0]:
            return
        id_bytes = 9 - head[0].bit_length()
        number = int.from_bytes(head[:id_bytes], "big")
        first = head[id_bytes] if len(head) > id_bytes else 0
        if id_bytes > 4 or not first:
            return
        length_bytes = 9 - first.bit_length()
        bits = (1 << 7 * length_bytes) - 1
        length = int.from_bytes(head[id_bytes : id_bytes + length_bytes], "big") & bits
        begin = at + id_bytes + length_bytes
        unknown = length == bits
        if id_bytes == 4:
            in_cluster = False
        if number == _SEGMENT or (number == _CLUSTER and unknown):  # its children follow
            in_cluster = number == _CLUSTER
            yield at, begin, "media" if in_cluster else "other"
            at = begin
            continue
        end = begin + length
        if unknown or end > size:
            return
        yield at, end, "media" if in_cluster or number in (_CLUSTER, _CUES, _VOID) else "other"
        at = end


def _riff(file: BinaryIO, size: int) -> _Parts:
    """Chunks of AVI and WAV; ``ds64`` of RF64 (EBU Tech 3306) has the length of ``data`` where 32 bits are too few."""
    at, long_data, samples = 0, 0, False  # whether `data` is sound: in WAV, once
    while at + 8 <= size:
        file.seek(at)
        head = file.read(24)
        length = int.from_bytes(head[4:8], "little")
        if head[:4] in (b"RIFF", b"RF64"):
            yield at, at + 12, "other"
            samples = samples or (at == 0 and head[8:12] == b"WAVE")
            at += 12
            continue
        if head[:4] == b"ds64":
            long_data = int.from_bytes(head[16:24], "little")
        if head[:4] == b"data" and length == 0xFFFFFFFF:
            length = long_data
        end = at + 8 + length + length % 2
        if end == size + 1:  # the last is not padded
            end = size
        if end > size:
            return
        sound = samples and head[:4] == b"data"
        samples = samples and not sound
        movie = head[:4] == b"LIST" and head[8:12] == b"movi"
        yield at, end, "media" if movie or sound or head[:4] == b"idx1" else "other"
        at = end


def _aiff(file: BinaryIO, size: int) -> _Parts:
    at = 12
    while at + 8 <= size:
        file.seek(at)
        head = file.read(8)
        length = int.from_bytes(head[4:8], "big")
        end = min(at + 8 + length + length % 2, size) if at + 8 + length <= size else size + 1
        if end > size:
            return
        yield at, end, "media" if head[:4] == b"SSND" else "other"
        at = end


def _flac(file: BinaryIO, size: int) -> _Parts:
    """Blocks of metadata (RFC 9639, 8); of the frames behind them, only the end may hold anything else."""
    at, last = 4, False
    while at + 4 <= size and not last:
        file.seek(at)
        head = file.read(4)
        last, end = bool(head[0] & 0x80), at + 4 + int.from_bytes(head[1:4], "big")
        if end > size:
            return
        yield at, end, "other"
        at = end
    behind = max(at, size - _TAIL)
    if last and behind > at:
        yield at, behind, "media"


_ASF_MEDIA = tuple(
    bytes.fromhex(guid)
    for guid in (
        "3626b2758e66cf11a6d900aa0062ce6c",  # data
        "90080033b1e5cf1189f400a0c90349cb",  # simple index
        "d329e2d6da35d111903400a0c90349be",  # index
    )
)


def _asf(file: BinaryIO, size: int) -> _Parts:
    at = 0
    while at + 24 <= size:
        file.seek(at)
        head = file.read(24)
        length = int.from_bytes(head[16:24], "little")
        if length < 24 or at + length > size:
            return
        kind = "xmp" if head[:16] == XMP_BOX else "media" if head[:16] in _ASF_MEDIA else "other"
        yield at + (24 if kind == "xmp" else 0), at + length, kind
        at += length


def _flv(file: BinaryIO, size: int) -> _Parts:
    file.seek(5)
    at = int.from_bytes(file.read(4), "big") + 4
    while at + 11 <= size:
        file.seek(at)
        head = file.read(11)
        end = at + 11 + int.from_bytes(head[1:4], "big") + 4
        if end > size:
            return
        yield at, end, "media" if head[0] & 0x1F in (8, 9) else "other"
        at = end


def _mxf(file: BinaryIO, size: int) -> _Parts:
    at = 0
    while at + 17 <= size:
        file.seek(at)
        head = file.read(25)
        if head[:4] != b"\x06\x0e\x2b\x34":
            return
        more = head[16] & 0x7F if head[16] & 0x80 else 0
        length = int.from_bytes(head[17 : 17 + more], "big") if more else head[16]
        end = at + 17 + more + length
        if end > size:
            return
        essence = head[4:7] == b"\x01\x02\x01" and head[8:12] in (b"\x0d\x01\x03\x01", b"\x03\x01\x02\x10")
        yield at, end, "media" if essence else "other"
        at = end


_WALKS: dict[str, Callable[[BinaryIO, int], _Parts]] = {
    "mp4": _mp4,
    "mov": _mp4,
    "mkv": _matroska,
    "webm": _matroska,
    "avi": _riff,
    "wav": _riff,
    "aiff": _aiff,
    "flac": _flac,
    "asf": _asf,
    "flv": _flv,
    "mxf": _mxf,
}
