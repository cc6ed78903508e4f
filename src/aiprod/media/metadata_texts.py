"""The words in a container's metadata, whatever bears them: boxes, tags and sets that FFmpeg does not know or drops.

Only what is there for words is read (``udta`` and ``meta`` of MP4, tags and chapters of Matroska, sets of MXF, the
header of ASF): neither lists of samples, nor covers, nor attached files such as fonts, which speak of their own rights.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from aiprod.media.metadata_regions import C2PA_BOX, XMP_BOX, parts

MAX_BYTES = 16 << 20  # of areas with words
TEXT = "text"  # what words are called whose name is not known
_LEAST = 4  # characters
_UTF_8 = re.compile(
    rb"(?:[\t\n\r\x20-\x7e]|[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3})+"
)
_BREAK = re.compile(r"[^\t\n\r -\ud7ff\uf900-\ufefe\uff01-\uffee]+|[\x7f-\x9f]+")
_LETTERS = re.compile(r"[^\W\d_]{2}")
_READ_ELSEWHERE = (b"xmpmeta", "xmpmeta".encode("utf-16-le")[:-1], b"<rdf:RDF", b"jumb")

_Area = tuple[int, int, str]
"""Beginning and end, in bytes of the file, and what the words in it are called."""
_TAGS = "tags"


def metadata_texts(path: Path, extension: str) -> tuple[list[tuple[str, str]], bool]:
    """Names and texts of a film's metadata, each once, and whether all of it was read (:data:`MAX_BYTES` at most are).

    Args:
        extension: of what the file is by its bytes (:class:`aiprod.media.sniffing.ContentType`).
    """
    find = _AREAS.get(extension)
    if find is None:
        return [], True
    found: dict[tuple[str, str], None] = {}
    left = MAX_BYTES
    with open(path, "rb") as file:
        for start, end, name in find(file, os.fstat(file.fileno()).st_size):
            if end - start > left:
                return list(found), False
            left -= end - start
            file.seek(start)
            data = file.read(end - start)
            if name == _TAGS:
                found |= dict.fromkeys(_simple_tags(data))
            elif not any(mark in data for mark in _READ_ELSEWHERE):
                found |= dict.fromkeys((name, text) for text in _texts(data))
    return list(found), True


def _texts(data: bytes) -> Iterator[str]:
    """Runs of characters in UTF-8, and in UTF-16 of either order where most of the bytes are such text."""
    for match in _UTF_8.finditer(data):
        yield from _of_letters(match[0].decode("utf-8", "replace"))
    for encoding in ("utf-16-be", "utf-16-le") if data.count(0) > _LEAST else ():
        for begin in (0, 1):
            for piece in _BREAK.split(data[begin:].decode(encoding, "replace")):
                if sum(character <= "\u04ff" for character in piece) * 2 > len(piece):  # else bytes taken for it
                    yield from _of_letters(piece)


def _of_letters(text: str) -> Iterator[str]:
    words = text.strip()
    if len(words) >= _LEAST and _LETTERS.search(words):
        yield words


def _mp4(file: BinaryIO, size: int) -> Iterator[_Area]:
    yield from _boxes(file, 0, size, within=False)


def _boxes(file: BinaryIO, start: int, end: int, *, within: bool) -> Iterator[_Area]:
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


def _matroska(file: BinaryIO, size: int) -> Iterator[_Area]:
    """Everything but tracks, what leads to others, and attached files that are no text."""
    for start, end, kind in parts(file, "mkv", size):
        file.seek(start)
        number = file.read(4)
        if kind == "other" and number == _ATTACHMENTS:
            yield from _attached_texts(file, start, end)
        if kind == "other" and number not in _NO_WORDS:
            yield start, end, _TAGS if number == _TAGS_ELEMENT else TEXT


def _attached_texts(file: BinaryIO, start: int, end: int) -> Iterator[_Area]:
    """Attached files that say of themselves that they are text."""
    for number, begin, last in _elements(file, start, end):
        if number in (0x1941A469, 0x61A7):
            yield from _attached_texts(file, begin, last)
        elif number == 0x4660:
            file.seek(begin)
            if not file.read(min(last - begin, 64)).startswith(b"text/"):
                return
        elif number == 0x465C:
            yield begin, last, TEXT


def _simple_tags(data: bytes, name: str = "") -> Iterator[tuple[str, str]]:
    """Names and values in ``Tags`` of Matroska (RFC 9559, 5.1.8), of whatever target, also one that is not there."""
    found = [(number, data[begin:end]) for number, begin, end in _elements(io.BytesIO(data), 0, len(data))]
    for number, body in found:
        if number == 0x45A3:
            name = f"{name}/{body.decode('utf-8', 'replace')}".strip("/\0")
    for number, body in found:
        if number == 0x4487:
            yield name or TEXT, body.decode("utf-8", "replace").strip("\0 ")
        elif number in (0x1254C367, 0x7373, 0x67C8):
            yield from _simple_tags(body, name)


def _elements(file: BinaryIO, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Ids, beginnings and ends of the contents of EBML's elements in a part of a file, as far as they are whole."""
    at = start
    while at < end:
        file.seek(at)
        head = file.read(12)
        if not head or head[0] < 0x10:
            return
        begin = 9 - head[0].bit_length()
        if begin >= len(head) or not head[begin]:
            return
        width = 9 - head[begin].bit_length()
        length = int.from_bytes(head[begin : begin + width], "big") & ((1 << 7 * width) - 1)
        body, at = at + begin + width, at + begin + width + length
        if at > end:
            return
        yield int.from_bytes(head[:begin], "big"), body, at


def _avi(file: BinaryIO, size: int) -> Iterator[_Area]:
    for start, end, kind in parts(file, "avi", size):
        file.seek(start)
        head = file.read(12)
        if kind == "other" and head[:4] not in (b"RIFF", b"JUNK", b"_PMX", b"C2PA") and head[8:12] != b"hdrl":
            yield start, end, TEXT


def _asf(file: BinaryIO, size: int) -> Iterator[_Area]:
    return ((start, end, TEXT) for start, end, kind in parts(file, "asf", size) if kind == "other")


def _flv(file: BinaryIO, size: int) -> Iterator[_Area]:
    return ((start, end, TEXT) for start, end, kind in parts(file, "flv", size) if kind == "other")


def _mxf(file: BinaryIO, size: int) -> Iterator[_Area]:
    """Local sets of structural and descriptive metadata (SMPTE ST 377-1), neither indexes nor fill."""
    for start, end, kind in parts(file, "mxf", size):
        file.seek(start)
        key = file.read(16)
        if kind == "other" and key[4:6] == b"\x02\x53" and key[8:11] != b"\x0d\x01\x02":
            yield start + 16, end, TEXT


_AREAS: dict[str, Callable[[BinaryIO, int], Iterator[_Area]]] = {
    "mp4": _mp4,
    "mov": _mp4,
    "mkv": _matroska,
    "webm": _matroska,
    "avi": _avi,
    "asf": _asf,
    "flv": _flv,
    "mxf": _mxf,
}
