"""Finds what a film says of its own rights in its container's tags and its XMP packets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aiprod.media.container import DEFAULT, Limits, opened
from aiprod.rights.embedded import MAX_XMP, said_by_tags, said_by_xmp
from aiprod.rights.statements import merged

_BEGIN, _END = b"<x:xmpmeta", b"</x:xmpmeta>"
_PIECE = 1 << 20
_MAX_PACKETS = 64


def said_inside(path: Path, limits: Limits = DEFAULT) -> dict[str, Any]:
    """The fields of the statement that a film makes; empty where it says nothing of rights.

    Raises:
        MediaError: it does not open.
    """
    packets = [said_by_xmp(packet) for packet in xmp_packets(path)]
    with opened(path, limits) as (container, _):
        tags = list(container.metadata.items())
        tags += [pair for stream in container.streams for pair in stream.metadata.items()]
    said = [statement for statement in (said_by_tags(tags), *packets) if statement]
    return merged(said)


def xmp_packets(path: Path) -> Iterator[bytes]:
    """The XMP packets of a file, in bounded memory; one that is too long comes cut, longer than is read."""
    tail, found, packet = b"", 0, b""
    with open(path, "rb") as file:
        while piece := file.read(_PIECE):
            data = tail + piece
            while True:
                if not packet:
                    begin = data.find(_BEGIN)
                    if begin < 0:
                        tail = data[-len(_BEGIN) + 1 :]
                        break
                    packet, data = _BEGIN, data[begin + len(_BEGIN) :]
                end = data.find(_END)
                if end < 0 and len(packet) + len(data) <= MAX_XMP:
                    keep = len(_END) - 1
                    packet, tail = packet + data[:-keep], data[-keep:]
                    break
                cut = end + len(_END) if end >= 0 else MAX_XMP
                yield (packet + data[:cut])[: MAX_XMP + 1] if end >= 0 else packet + data[: MAX_XMP + 1]
                found, packet, data = found + 1, b"", data[cut:]
                if found >= _MAX_PACKETS:
                    return
    if packet:
        yield packet + tail
