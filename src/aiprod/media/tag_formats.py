"""Names and texts in the formats of tags that files of film and sound bear: Matroska, INFO, bext, iXML, ID3, APE.

Of bytes in no format that is known here, the runs of characters.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Iterator

from aiprod.media.ebml import elements
from aiprod.rights.embedded import properties_of_xml

TEXT = "text"  # what words are called whose name is not known
_LEAST = 4  # characters
_UTF_8 = re.compile(
    rb"(?:[\t\n\r\x20-\x7e]|[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3})+"
)
_BREAK = re.compile(r"[^\t\n\r -\ud7ff\uf900-\ufefe\uff01-\uffee]+|[\x7f-\x9f]+")
_LETTERS = re.compile(r"[^\W\d_]{2}")
READ_ELSEWHERE = (b"xmpmeta", "xmpmeta".encode("utf-16-le")[:-1], b"<rdf:RDF", b"jumb")
"""What begins texts that are read by themselves: XMP and C2PA."""
MATROSKA, INFO, ID3, APE, NOTICE = "tags", "info", "id3", "ape", "notice"
"""Names of formats; of the others their chunk is the name."""


def runs_of_text(data: bytes) -> Iterator[str]:
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


def _simple_tags(data: bytes, name: str = "") -> Iterator[tuple[str, str]]:
    """Names and values in ``Tags`` of Matroska (RFC 9559, 5.1.8), of whatever target, also one that is not there."""
    parts = [(number, data[begin:end]) for number, begin, end in elements(io.BytesIO(data), 0, len(data))]
    for number, body in parts:
        if number == 0x45A3:
            name = f"{name}/{body.decode('utf-8', 'replace')}".strip("/\0")
    for number, body in parts:
        if number == 0x4487:
            yield name or TEXT, body.decode("utf-8", "replace").strip("\0 ")
        elif number in (0x1254C367, 0x7373, 0x67C8):
            yield from _simple_tags(body, name)


def syncsafe(data: bytes) -> int:
    """The number in the bytes of ID3, each of which holds seven bits."""
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
        properties = properties_of_xml(document)
        yield from [("unreadable_text", "XML that cannot be read")] if properties is None else properties


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
        yield from ((TEXT, text) for text in runs_of_text(data))
        return
    version, flags = data[3], data[5]
    body = data[10 : 10 + syncsafe(data[6:10])]
    if flags & 0x80 and version < 4:
        body = body.replace(b"\xff\0", b"\xff")
    at = 0
    if flags & 0x40 and version > 2:
        at = syncsafe(body[:4]) if version == 4 else 4 + int.from_bytes(body[:4], "big")
    wide = 3 if version == 2 else 4
    head = 6 if version == 2 else 10
    while at + head <= len(body) and body[at]:
        name = body[at : at + wide].decode("latin-1")
        sized = body[at + wide : at + 2 * wide]
        length = syncsafe(sized) if version == 4 else int.from_bytes(sized, "big")
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
        description, _, address = content[1:].partition(b"\0")
        texts = [_decoded(description), address.strip(b"\0").decode("latin-1")]
    elif name.startswith("W"):
        texts = [content.decode("latin-1").strip("\0 ")]
    elif (name.startswith("T") or with_language) and content and content[0] < len(_ID3_ENCODINGS):
        text = content[4 if with_language else 1 :].decode(_ID3_ENCODINGS[content[0]], "replace")
        texts = [each.strip("\ufeff ") for each in text.split("\0")]
    elif name in _ID3_PICTURES or any(mark in content for mark in READ_ELSEWHERE):
        return
    else:
        yield from ((f"{name} {TEXT}", text) for text in runs_of_text(content))
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


PARSERS: dict[str, Callable[[bytes], Iterable[tuple[str, str]]]] = {
    MATROSKA: _simple_tags,
    INFO: _info,
    ID3: _id3,
    APE: _ape,
    NOTICE: _notice,
    "bext": _bext,
    "ixml": _xml,
    "axml": _xml,
}
