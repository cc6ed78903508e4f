"""The words in the service tables of an MPEG transport stream: what a network, a service or a programme is called.

They are sections beside pictures and sound (ISO/IEC 13818-1, 2.4.4) on reserved packet ids (ETSI EN 300 468, 5.1.3),
of which FFmpeg reads a part and PyAV gives none.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from aiprod.media.sniffing import TS_PACKETS

_PIDS = {0x10: "network", 0x11: "service", 0x12: "event"}  # NIT; SDT and BAT; EIT
_ATSC = 0x1FFB  # A/65 has tables of another form there
_BLOCK = 1 << 14  # packets that are looked at together
_MOST = 4096  # different sections; a week's programme guide of a whole network is more than a film says
_MAX_SECTION = 4098
_CODES = {n: f"iso8859-{n + 4}" for n in range(1, 12) if n != 8}  # there is no twelfth part
_CODES |= {0x11: "utf-16-be", 0x12: "euc_kr", 0x13: "gb2312", 0x14: "utf-16-be", 0x15: "utf-8"}
# ISO/IEC 6937: the mark comes before its letter; in Unicode it follows.
_MARKS = dict(
    enumerate("\u0300\u0301\u0302\u0303\u0304\u0306\u0307\u0308\0\u030a\u0327\0\u030b\u0328\u030c", start=0xC1)
)
_SIGNS = {0xD2: "®", 0xD3: "©", 0xD4: "™", 0xA9: "‘", 0xB9: "’", 0xAA: "“", 0xBA: "”", 0xFB: "ß", 0xE1: "Æ", 0xF1: "æ"}


def service_texts(path: Path) -> Iterator[tuple[str, str]]:
    """Names (``service_name``, ``event_text``) and texts of the tables in a transport stream, each once.

    A text that is coded in a way that is not read here comes as ``unreadable_text``, and says how.
    """
    seen: set[tuple[str, str]] = set()
    for pid, section in _sections(path):
        texts = _texts(_PIDS[pid], section) if pid in _PIDS else [("unreadable_text", "tables as ATSC defines them")]
        for text in texts:
            if text[1] and text not in seen:
                seen.add(text)
                yield text


def _sections(path: Path) -> Iterator[tuple[int, bytes]]:
    """Packet id and bytes of every section that is whole, each once; sections that are too many come as ATSC's do."""
    under_way: dict[int, bytearray] = {}
    seen: set[bytes] = set()
    with open(path, "rb") as file:
        for packet in _packets(file):
            pid = (packet[1] & 0x1F) << 8 | packet[2]
            if pid == _ATSC:
                yield pid, b""
                return
            begin = 4 + (packet[4] + 1 if packet[3] & 0x20 else 0)
            if not packet[3] & 0x10 or begin >= len(packet):
                continue
            payload = packet[begin:]
            if packet[1] & 0x40:  # the first byte says where a new section begins
                start = 1 + payload[0]
                if pid in under_way:
                    under_way[pid] += payload[1:start]
                    yield from _whole(pid, under_way[pid], seen)
                under_way[pid] = bytearray(payload[start:])
            elif pid in under_way:
                under_way[pid] += payload
            if pid in under_way:
                yield from _whole(pid, under_way[pid], seen)


def _whole(pid: int, data: bytearray, seen: set[bytes]) -> Iterator[tuple[int, bytes]]:
    """Take the sections that are complete off the beginning of ``data``."""
    while len(data) >= 3 and data[0] != 0xFF:  # which is stuffing
        length = 3 + ((data[1] & 0x0F) << 8 | data[2])
        if length > _MAX_SECTION or len(data) < length:
            return
        section = bytes(data[:length])
        del data[:length]
        if section not in seen and len(seen) < _MOST:
            seen.add(section)
            yield pid, section


def _packets(file: BinaryIO) -> Iterator[bytes]:
    """The packets of the tables, 188 bytes each."""
    head = file.read(_BLOCK)
    length = _length(head)
    file.seek(_begin(head, length))
    rest = b""
    while data := file.read(_BLOCK * length):
        data = rest + data
        flat = np.frombuffer(data, np.uint8)
        starts = np.arange(0, max(0, len(flat) - 187), length)
        if not (flat[starts] == 0x47).all():  # bytes got lost: a packet has another before or behind it
            sync = flat == 0x47
            known = np.zeros(len(flat), bool)
            known[:-length] |= sync[:-length] & sync[length:]
            known[length:] |= sync[:-length] & sync[length:]
            starts = np.flatnonzero(known[: max(0, len(flat) - 187)])
        pids = (flat[starts + 1].astype(np.int32) & 0x1F) << 8 | flat[starts + 2]
        wanted = ((flat[starts + 1] & 0x80) == 0) & np.isin(pids, [*_PIDS, _ATSC])
        for start in starts[wanted].tolist():
            yield data[start : start + 188]
        behind = int(starts[-1]) + length if len(starts) else len(data) - length
        rest = data[max(0, min(behind, len(data))) :]


def _length(head: bytes) -> int:
    """Bytes from one packet to the next: that at which the most sync bytes stand."""
    return max(TS_PACKETS, key=lambda length: float(_syncs(head, length).max()))


def _begin(head: bytes, length: int) -> int:
    """Where the first packet begins."""
    return int(_syncs(head, length).argmax())


def _syncs(head: bytes, length: int) -> NDArray[np.float64]:
    """How many of the packets begin with a sync byte if they begin at each of the bytes, from 0 to 1."""
    rows = np.frombuffer(head, np.uint8, len(head) // length * length).reshape(-1, length)
    return np.asarray((rows == 0x47).mean(axis=0)) if len(rows) else np.zeros(length)


def _texts(kind: str, section: bytes) -> Iterator[tuple[str, str]]:
    """The texts in the descriptors of one section; a long one goes on from one descriptor to the next."""
    long = ""
    for tag, body in _descriptors(kind, section[:-4]):
        try:
            for name, text in _of_descriptor(tag, body):
                if tag == 0x4E and name == "event_text":
                    long += text
                else:
                    yield name, text
        except IndexError:  # a length that leads out of it
            continue
    yield "event_text", long


def _descriptors(kind: str, section: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and body of every descriptor of a section: after its header, and in each entry of its loop."""
    table = section[0] if section else 0
    if kind == "event" and 0x4E <= table <= 0x6F:
        first, entry = 14, 12
    elif table in (0x42, 0x46):  # SDT
        first, entry = 11, 5
    elif table in (0x40, 0x41, 0x4A):  # NIT, BAT: descriptors of their own before the loop
        own = _twelve(section, 8)
        yield from _listed(section[10 : 10 + own])
        first, entry = 12 + own, 6
    else:
        return
    at = first
    while at + entry <= len(section):
        length = _twelve(section, at + entry - 2)
        yield from _listed(section[at + entry : at + entry + length])
        at += entry + length


def _twelve(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "big") & 0x0FFF


def _listed(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 2 <= len(data):
        yield data[at], data[at + 2 : at + 2 + data[at + 1]]
        at += 2 + data[at + 1]


def _of_descriptor(tag: int, body: bytes) -> Iterator[tuple[str, str]]:
    """What is text in a descriptor (EN 300 468, 6.2)."""
    if tag in (0x40, 0x47):
        yield _text("network" if tag == 0x40 else "bouquet", body)
    elif tag == 0x48:
        yield _text("service_provider", after := _counted(body, 1))
        yield _text("service_name", _counted(body, 2 + len(after)))
    elif tag == 0x4D:
        yield _text("event_name", name := _counted(body, 3))
        yield _text("event_text", _counted(body, 4 + len(name)))
    elif tag == 0x4E:
        at, end = 5, 5 + body[4]
        while at < end:
            yield _text("event_item", what := _counted(body, at))
            yield _text("event_item", item := _counted(body, at + 1 + len(what)))
            at += 2 + len(what) + len(item)
        yield _text("event_text", _counted(body, end))
    elif tag == 0x50:
        yield _text("component_text", body[6:])
    elif tag in (0x5B, 0x5C, 0x5D, 0x5E):  # the same in several languages
        at = 1 if tag == 0x5E else 0
        while at + 3 < len(body):
            for _ in range(2 if tag == 0x5D else 1):
                yield _text("translated_name", name := _counted(body, at + 3))
                at += 1 + len(name)
            at += 3


def _counted(data: bytes, at: int) -> bytes:
    """What follows a byte that says how long it is."""
    return data[at + 1 : at + 1 + data[at]]


def _text(name: str, data: bytes) -> tuple[str, str]:
    """A text by EN 300 468, annex A: its first byte may name an alphabet."""
    if not data:
        return name, ""
    first, rest = data[0], data[1:]
    if first == 0x1F:
        return "unreadable_text", f"{name}, which is compressed"
    if first == 0x10 and len(data) > 2 and data[2] in {*range(1, 16)} - {12}:
        return name, _plain(data[3:].decode(f"iso8859-{data[2]}", "replace"))
    if first in _CODES:
        return name, _plain(rest.decode(_CODES[first], "replace"))
    return name, _plain(_iso_6937(data))


def _iso_6937(data: bytes) -> str:
    """ISO/IEC 6937 where that is what it is; a byte that means nothing in it is taken for ISO 8859-1."""
    characters, mark = [], ""
    for byte in data:
        if (before := _MARKS.get(byte, "\0")) != "\0":
            mark = before
            continue
        characters.append(_SIGNS.get(byte, chr(byte)) + mark)
        mark = ""
    return "".join(characters)


def _plain(text: str) -> str:
    """Without the codes for emphasis, which are in the private range, or in the control range of eight bits."""
    broken = text.replace("\x8a", "\n").replace("\ue08a", "\n")
    return "".join(c for c in broken if not "\x80" <= c <= "\x9f" and not "\ue080" <= c <= "\ue09f").strip("\0 \n")
