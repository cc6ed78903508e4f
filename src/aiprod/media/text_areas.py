"""Where words lie in files of film and sound: boxes, sets, chunks and tags that are there for words.

``udta`` and ``meta`` of MP4, tags and chapters of Matroska, sets of MXF, the header of ASF, chunks of AVI and WAV such
as ``INFO``, ``bext``, ``iXML`` and ``axml``, ID3, APE. Neither lists of samples, nor covers, nor attached files such as
fonts, which speak of their own rights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import BinaryIO

from aiprod.media.ebml import elements
from aiprod.media.metadata_regions import C2PA_BOX, XMP_BOX, parts
from aiprod.media.tag_formats import APE, ID3, INFO, MATROSKA, NOTICE, TEXT, syncsafe

Area = tuple[int, int, str]
"""Beginning and end, in bytes of the file, and the format of the words in it, or what they are called."""


def _mp4(file: BinaryIO, size: int) -> Iterator[Area]:
    yield from _boxes(file, 0, size, within=False)


def _boxes(file: BinaryIO, start: int, end: int, *, within: bool) -> Iterator[Area]:
    """The boxes that hold words; ``within``: these are inside ``udta`` or ``meta``, so that every one does."""
    at = start
    while at + 8 <= end:
        file.seek(at)
        head = file.read(36)
        length, kind, body = int.from_bytes(head[:4], "big"), head[4:8], at + 8
        if length == 1:
            length, body = int.from_bytes(head[8:16], "big"), at + 16
        last = end if length == 0 else at + length
        if last < body or last > end:  # of another kind: as words
            if within:
                yield at, end, TEXT
            return
        if kind in (b"moov", b"trak", b"moof", b"traf"):
            yield from _boxes(file, body, last, within=False)
        elif kind in (b"udta", b"ilst"):
            yield from _boxes(file, body, last, within=True)
        elif kind == b"meta":  # ISO's has a version before its boxes, QuickTime's has none
            full = head[body - at : body - at + 4] == bytes(4) and head[body - at + 4 : body - at + 8] != b"hdlr"
            yield from _boxes(file, body + 4 * full, last, within=True)
        elif kind == b"uuid" and not within:
            if head[8:24] not in (XMP_BOX, C2PA_BOX):
                yield body + 16, last, TEXT
        elif within and kind not in (b"covr", b"XMP_", b"iloc", b"idat", b"free", b"skip"):
            yield body, last, "copyright" if kind == b"cprt" else TEXT
        at = last


_NO_WORDS = tuple(bytes.fromhex(element) for element in ("1941a469", "1654ae6b", "114d9b74", "18538067", "1a45dfa3"))
_TAGS_ELEMENT, _ATTACHMENTS = bytes.fromhex("1254c367"), bytes.fromhex("1941a469")


def _matroska(file: BinaryIO, size: int) -> Iterator[Area]:
    """Everything but tracks, what leads to others, and attached files that are no text."""
    for start, end, kind in parts(file, "mkv", size):
        file.seek(start)
        number = file.read(4)
        if kind == "other" and number == _ATTACHMENTS:
            yield from _attached_texts(file, start, end)
        if kind == "other" and number not in _NO_WORDS:
            yield start, end, MATROSKA if number == _TAGS_ELEMENT else TEXT


def _attached_texts(file: BinaryIO, start: int, end: int) -> Iterator[Area]:
    """Attached files that say of themselves that they are text."""
    for number, begin, last in elements(file, start, end):
        if number in (0x1941A469, 0x61A7):
            yield from _attached_texts(file, begin, last)
        elif number == 0x4660:
            file.seek(begin)
            if not file.read(min(last - begin, 64)).startswith(b"text/"):
                return
        elif number == 0x465C:
            yield begin, last, TEXT


_NUMBERS = (b"RIFF", b"RF64", b"ds64", b"JUNK", b"PAD ", b"_PMX", b"C2PA", b"fmt ", b"fact", b"PEAK", b"cue ", b"smpl")


def _riff(file: BinaryIO, size: int) -> Iterator[Area]:
    """Chunks of AVI and of WAV in RIFF or RF64 that may hold words."""
    for start, end, kind in parts(file, "avi", size):
        file.seek(start)
        head = file.read(12)
        if kind != "other" or head[:4] in _NUMBERS or head[8:12] == b"hdrl":
            continue
        body = start + 8
        last = min(end, body + int.from_bytes(head[4:8], "little"))
        if head[:4] == b"LIST" and head[8:12] == b"INFO":
            yield body + 4, last, INFO
        elif head[:4].lower() in (b"ixml", b"axml", b"bext", b"id3 "):
            yield body, last, head[:4].decode().lower().strip()
        else:
            yield start, end, TEXT


def _aiff(file: BinaryIO, size: int) -> Iterator[Area]:
    for start, end, kind in parts(file, "aiff", size):
        file.seek(start)
        head = file.read(4)
        if kind == "other" and head not in (b"COMM", b"MARK", b"INST", b"FVER"):
            id3 = head.lower() == b"id3 "
            yield start + 8, end, ID3 if id3 else NOTICE if head == b"(c) " else TEXT


def _flac(file: BinaryIO, size: int) -> Iterator[Area]:
    """Blocks of applications, such as chunks of the WAV that it was made from; of Vorbis comments FFmpeg gives all."""
    for start, end, _ in parts(file, "flac", size):
        file.seek(start)
        if file.read(1)[0] & 0x7F == 2:
            yield start + 4, end, TEXT
    yield from _appended(file, size)


def _mp3(file: BinaryIO, size: int) -> Iterator[Area]:
    at = 0
    while (length := _id3_length(file, at)) and at + length <= size:  # several may follow each other
        yield at, at + length, ID3
        at += length
    yield from _appended(file, size)


def _id3_length(file: BinaryIO, at: int) -> int:
    file.seek(at)
    head = file.read(10)
    if head[:3] != b"ID3" or len(head) < 10:
        return 0
    return 10 + syncsafe(head[6:10]) + (10 if head[5] & 0x10 else 0)


def _appended(file: BinaryIO, size: int) -> Iterator[Area]:
    """ID3v1 and APEv2 at the end of a file."""
    end = size
    file.seek(max(0, end - 128))
    if file.read(3) == b"TAG":
        end -= 128
        yield end, size, TEXT
    file.seek(max(0, end - 32))
    foot = file.read(32)
    if foot[:8] == b"APETAGEX":
        length = int.from_bytes(foot[12:16], "little")
        if 32 <= length <= end:
            yield end - length, end - 32, APE


def _asf(file: BinaryIO, size: int) -> Iterator[Area]:
    return ((start, end, TEXT) for start, end, kind in parts(file, "asf", size) if kind == "other")


def _flv(file: BinaryIO, size: int) -> Iterator[Area]:
    return ((start, end, TEXT) for start, end, kind in parts(file, "flv", size) if kind == "other")


def _mxf(file: BinaryIO, size: int) -> Iterator[Area]:
    """Local sets of structural and descriptive metadata (SMPTE ST 377-1), neither indexes nor fill."""
    for start, end, kind in parts(file, "mxf", size):
        file.seek(start)
        key = file.read(16)
        if kind == "other" and key[4:6] == b"\x02\x53" and key[8:11] != b"\x0d\x01\x02":
            yield start + 16, end, TEXT


AREAS: dict[str, Callable[[BinaryIO, int], Iterator[Area]]] = {
    "mp4": _mp4,
    "mov": _mp4,
    "mkv": _matroska,
    "webm": _matroska,
    "avi": _riff,
    "wav": _riff,
    "aiff": _aiff,
    "flac": _flac,
    "mp3": _mp3,
    "asf": _asf,
    "flv": _flv,
    "mxf": _mxf,
}
