"""The words in a container's metadata, whatever bears them: boxes, tags and sets that FFmpeg does not know or drops.

Only what is there for words is read (``udta`` and ``meta`` of MP4, tags and chapters of Matroska, sets of MXF, the
header of ASF, chunks of AVI and WAV such as ``INFO``, ``bext``, ``iXML`` and ``axml``, ID3, APE): neither lists of
samples, nor covers, nor attached files such as fonts, which speak of their own rights.
"""

from __future__ import annotations

import codecs
import io
import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from aiprod.media.metadata_regions import C2PA_BOX, XMP_BOX, parts
from aiprod.rights.embedded import properties_of_xml

MAX_BYTES = 16 << 20  # of areas with words
_COPYRIGHT = "copyright"
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
            if name in _PARSERS:
                found |= dict.fromkeys(_PARSERS[name](data))
            elif not any(mark in data for mark in _READ_ELSEWHERE):
                values = [_wide(value) for value in _values(data)] if name == _COPYRIGHT else _values(data)
                found |= dict.fromkeys((name, text) for value in values for text in _texts(value))
    return list(found), True


def _wide(value: bytes) -> bytes:
    """The notice of 3GPP (TS 26.244, 8.4) in UTF-8; it stands behind version, flags and language, and may be UTF-16."""
    text = value[6:] if value[:4] == bytes(4) else value
    if text[:2] in (codecs.BOM_UTF16_BE, codecs.BOM_UTF16_LE):
        return text.decode("utf-16", "ignore").encode()
    return text


def _values(data: bytes) -> Iterator[bytes]:
    """What a tag of iTunes holds, without the heads of its ``data`` boxes, which look like words; other areas whole."""
    at = 0
    while data[at + 4 : at + 8] == b"data":
        length = int.from_bytes(data[at : at + 4], "big")
        if not 16 <= length <= len(data) - at:
            break
        yield data[at + 16 : at + length]
        at += length
    if at < len(data):
        yield data[at:]


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
            yield body, last, _COPYRIGHT if kind == b"cprt" else TEXT
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


_NUMBERS = (b"RIFF", b"RF64", b"ds64", b"JUNK", b"PAD ", b"_PMX", b"C2PA", b"fmt ", b"fact", b"PEAK", b"cue ", b"smpl")


def _riff(file: BinaryIO, size: int) -> Iterator[_Area]:
    """Chunks of AVI and of WAV in RIFF or RF64 that may hold words."""
    for start, end, kind in parts(file, "avi", size):
        file.seek(start)
        head = file.read(12)
        if kind != "other" or head[:4] in _NUMBERS or head[8:12] == b"hdrl":
            continue
        body = start + 8
        last = min(end, body + int.from_bytes(head[4:8], "little"))
        if head[:4] == b"LIST" and head[8:12] == b"INFO":
            yield body + 4, last, _INFO
        elif head[:4].lower() in (b"ixml", b"axml", b"bext", b"id3 "):
            yield body, last, head[:4].decode().lower().strip()
        else:
            yield start, end, TEXT


def _aiff(file: BinaryIO, size: int) -> Iterator[_Area]:
    for start, end, kind in parts(file, "aiff", size):
        file.seek(start)
        head = file.read(4)
        if kind == "other" and head not in (b"COMM", b"MARK", b"INST", b"FVER"):
            id3 = head.lower() == b"id3 "
            yield start + 8, end, _ID3 if id3 else _NOTICE if head == b"(c) " else TEXT


def _flac(file: BinaryIO, size: int) -> Iterator[_Area]:
    """Blocks of applications, such as chunks of the WAV that it was made from; of Vorbis comments FFmpeg gives all."""
    for start, end, _ in parts(file, "flac", size):
        file.seek(start)
        if file.read(1)[0] & 0x7F == 2:
            yield start + 4, end, TEXT
    yield from _appended(file, size)


def _mp3(file: BinaryIO, size: int) -> Iterator[_Area]:
    at = 0
    while (length := _id3_length(file, at)) and at + length <= size:  # several may follow each other
        yield at, at + length, _ID3
        at += length
    yield from _appended(file, size)


def _id3_length(file: BinaryIO, at: int) -> int:
    file.seek(at)
    head = file.read(10)
    if head[:3] != b"ID3" or len(head) < 10:
        return 0
    return 10 + _seven_bits(head[6:10]) + (10 if head[5] & 0x10 else 0)


def _appended(file: BinaryIO, size: int) -> Iterator[_Area]:
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
            yield end - length, end - 32, _APE


def _seven_bits(data: bytes) -> int:
    number = 0
    for byte in data:
        number = number << 7 | byte & 0x7F
    return number


def _decoded(data: bytes) -> str:
    """A text of unstated encoding."""
    data = data.split(b"\0", 1)[0]
    try:
        return data.decode("utf-8").strip()
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace").strip()


def _info(data: bytes) -> Iterator[tuple[str, str]]:
    """Names and texts of a ``LIST`` of ``INFO`` (RIFF): each, also where one is there twice."""
    at = 0
    while at + 8 <= len(data):
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        name, text = data[at : at + 4], _decoded(data[at + 8 : at + 8 + length])
        if text:
            known = {b"ICOP": "ICOP copyright", b"IART": "IART artist", b"ISRC": "ISRC source"}
            yield known.get(name, name.decode("latin-1")), text
        at += 8 + length + length % 2


def _bext(data: bytes) -> Iterator[tuple[str, str]]:
    """Words of Broadcast Wave (EBU Tech 3285)."""
    fields = (("Description", 0, 256), ("Originator creator", 256, 288), ("OriginatorReference", 288, 320))
    for name, start, end in (*fields, ("CodingHistory", 602, len(data))):
        if text := _decoded(data[start:end]):
            yield f"bext {name}", text


def _xml(data: bytes) -> Iterator[tuple[str, str]]:
    """Words of an XML document, by their elements and attributes; of one that cannot be read nobody knows them."""
    document = data.strip(b"\0 \t\r\n")
    if document:
        found = properties_of_xml(document)
        yield from [("unreadable_text", "XML that cannot be read")] if found is None else found


_ID3_NAMES = {  # ID3v2.4 and 2.2, 4: what is said of rights, and who is credited
    **dict.fromkeys(("TCOP", "TCR"), "copyright"),
    **dict.fromkeys(("TPRO", "TOWN"), "copyright"),
    **dict.fromkeys(("WCOP", "WCP"), "web_statement"),
    "USER": "terms_of_use",
    **dict.fromkeys(("TPUB", "TPB", "WPUB", "WPB"), "publisher"),
    **dict.fromkeys(("TPE1", "TP1", "TCOM", "TCM"), "artist"),
}
_ID3_ENCODINGS = ("latin-1", "utf-16", "utf-16-be", "utf-8")
_ID3_PICTURES = ("APIC", "PIC", "GEOB", "GEO")


def _id3(data: bytes) -> Iterator[tuple[str, str]]:
    """Names and texts of the frames of ID3v2; of those that are compressed or encrypted, that they cannot be read."""
    if data[:3] != b"ID3" or len(data) < 10:
        yield from ((TEXT, text) for text in _texts(data))
        return
    version, flags = data[3], data[5]
    body = data[10 : 10 + _seven_bits(data[6:10])]
    if flags & 0x80 and version < 4:
        body = body.replace(b"\xff\0", b"\xff")
    at = 0
    if flags & 0x40 and version > 2:
        at = _seven_bits(body[:4]) if version == 4 else 4 + int.from_bytes(body[:4], "big")
    wide = 3 if version == 2 else 4
    head = 6 if version == 2 else 10
    while at + head <= len(body) and body[at]:
        name = body[at : at + wide].decode("latin-1")
        sized = body[at + wide : at + 2 * wide]
        length = _seven_bits(sized) if version == 4 else int.from_bytes(sized, "big")
        content = body[at + head : at + head + length]
        marks = body[at + 9] if version > 2 else 0
        at += head + length
        if marks & (0x0C if version == 4 else 0xC0):
            yield "unreadable_text", f"the ID3 frame {name} is compressed or encrypted"
            continue
        if version == 4:
            content = content[bool(marks & 0x40) + 4 * bool(marks & 0x01) :]
            content = content.replace(b"\xff\0", b"\xff") if marks & 0x02 or flags & 0x80 else content
        yield from _id3_frame(name, content)


def _id3_frame(name: str, content: bytes) -> Iterator[tuple[str, str]]:
    called = f"{name} {_ID3_NAMES[name]}" if name in _ID3_NAMES else name
    own = name in ("TXXX", "TXX", "WXXX", "WXX")
    with_language = name in ("COMM", "COM", "USLT", "ULT", "USER")
    if name in ("WXXX", "WXX"):
        told, _, address = content[1:].partition(b"\0")
        texts = [_decoded(told), address.strip(b"\0").decode("latin-1")]
    elif name.startswith("W"):
        texts = [content.decode("latin-1").strip("\0 ")]
    elif (name.startswith("T") or with_language) and content and content[0] < len(_ID3_ENCODINGS):
        text = content[4 if with_language else 1 :].decode(_ID3_ENCODINGS[content[0]], "replace")
        texts = [each.strip("\ufeff ") for each in text.split("\0")]
    elif name in _ID3_PICTURES or any(mark in content for mark in _READ_ELSEWHERE):
        return
    else:
        yield from ((f"{name} {TEXT}", text) for text in _texts(content))
        return
    if own:  # the first is what the second is called
        called = f"{name} {texts[0]}".strip()
        texts = texts[1:]
    yield from ((called, text) for text in texts if text)


def _ape(data: bytes) -> Iterator[tuple[str, str]]:
    """Items of APEv2 that are texts or addresses."""
    at = data.startswith(b"APETAGEX") * 32
    while at + 8 <= len(data):
        length, flags = (int.from_bytes(data[at + n : at + n + 4], "little") for n in (0, 4))
        name, _, _ = data[at + 8 : at + 8 + 256].partition(b"\0")
        begin = at + 8 + len(name) + 1
        at = begin + length
        if flags >> 1 & 3 != 1:  # binary
            for text in data[begin:at].decode("utf-8", "replace").split("\0"):
                yield name.decode("latin-1"), text


def _notice(data: bytes) -> Iterator[tuple[str, str]]:
    if text := _decoded(data):
        yield "copyright", text


_INFO, _ID3, _APE, _NOTICE = "info", "id3", "ape", "notice"
_PARSERS: dict[str, Callable[[bytes], Iterable[tuple[str, str]]]] = {
    _TAGS: _simple_tags,
    _INFO: _info,
    _ID3: _id3,
    _APE: _ape,
    _NOTICE: _notice,
    "bext": _bext,
    "ixml": _xml,
    "axml": _xml,
}


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
    "avi": _riff,
    "wav": _riff,
    "aiff": _aiff,
    "flac": _flac,
    "mp3": _mp3,
    "asf": _asf,
    "flv": _flv,
    "mxf": _mxf,
}
