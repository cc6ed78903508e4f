"""Finds what a film says of its own rights: its container's tags and words, XMP packets, and C2PA manifests."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from aiprod.media.container import DEFAULT, Limits, opened
from aiprod.media.metadata_regions import Region, regions
from aiprod.media.metadata_texts import MAX_BYTES, metadata_texts
from aiprod.media.service_tables import service_texts
from aiprod.media.sniffing import ContentType, sniff
from aiprod.media.tag_formats import TEXT
from aiprod.media.training_mining import statement_in
from aiprod.rights.embedded import MAX_XMP, statement_from_tags, statement_from_xmp
from aiprod.rights.statements import merged

# XMP stands in an element of its own or, as the specification allows, in RDF alone.
_BEGIN = re.compile(rb"<((?:[\w.-]{1,40}:)?(?:x[ma]pmeta|RDF))(?=[\s/>])")
_WIDE = "xmpmeta".encode("utf-16-le")[:-1]  # in UTF-16 of either order
_LONGEST = 64  # bytes of the beginning of a packet that tell it
_PIECE = 1 << 20
_MAX_PACKETS = 64
_MAX_BYTES = 256 << 20  # of a film's metadata that are searched


def embedded_statement(path: Path, limits: Limits = DEFAULT) -> dict[str, Any]:
    """The fields of the statement that a film makes; empty where it says nothing of rights.

    Raises:
        MediaError: it does not open.
    """
    packets = [statement_from_xmp(packet) for packet in xmp_packets(path, sniff(path).extension)]
    with opened(path, limits) as (container, kind):
        known = "\n".join([*container.metadata.values(), *(v for s in container.streams for v in s.metadata.values())])
        tags = [statement_from_tags(container.metadata.items(), f" in the {kind.name} file")]
        tags += [statement_from_tags(s.metadata.items(), f" in stream {s.index} ({s.type})") for s in container.streams]
        chapters = ((name, value) for each in container.chapters() for name, value in each["metadata"].items())
        tags.append(statement_from_tags(chapters, " in a chapter"))
    if kind.demuxer == "mpegts":
        tags.append(statement_from_tags(service_texts(path), " in the service tables"))
    tags.append(_besides(path, kind, known))
    signed = statement_in(path, kind.extension)
    statements = [statement for statement in (*tags, signed, *packets, _not_searched(path)) if statement]
    return merged(statements)


def _besides(path: Path, kind: ContentType, known: str) -> dict[str, Any]:
    """What is said in metadata that FFmpeg does not give, beyond what is ``known`` from it."""
    texts, whole = metadata_texts(path, kind.extension)
    new = ((name, text) for name, text in texts if name != TEXT or text not in known)
    statement = statement_from_tags(new, f" in the metadata of the {kind.name} file")
    most = f"the film has more than {MAX_BYTES >> 20} MiB of words in its metadata, which are not read"
    return statement if whole else merged([statement, {"objections": [most]}])


def xmp_packets(path: Path, extension: str) -> Iterator[bytes]:
    """The XMP packets of a film, in bounded memory; one that is too long comes cut, longer than is read.

    Only what may hold metadata is read, and of that :data:`_MAX_BYTES` at most.
    """
    count = 0
    with open(path, "rb") as file:
        for region in _searched(file, extension):
            packets = list(_packets_in(file, region))
            if region.xmp and not packets:
                packets = _whole(file, region)
            for packet in packets:
                yield packet
                count += 1
                if count >= _MAX_PACKETS:
                    yield b""  # which counts as one that cannot be read: there may be more
                    return


def _not_searched(path: Path) -> dict[str, Any]:
    """An objection where a film has more metadata than is searched: what it says there is not known."""
    with open(path, "rb") as file:
        total = sum(region.end - region.start for region in regions(file, sniff(path).extension))
    if total <= _MAX_BYTES:
        return {}
    most = f"{_MAX_BYTES >> 20} MiB are searched for statements of rights at most"
    return {"objections": [f"the film has {total >> 20} MiB that are neither pictures nor sound, {most}"]}


def _searched(file: BinaryIO, extension: str) -> Iterator[Region]:
    left = _MAX_BYTES
    for region in regions(file, extension):
        if left <= 0:
            return
        yield region._replace(end=min(region.end, region.start + left))
        left -= region.end - region.start


def _packets_in(file: BinaryIO, region: Region) -> Iterator[bytes]:
    at = region.start
    while at < region.end:
        file.seek(at)
        piece = file.read(min(_PIECE, region.end - at))
        if not piece:
            return
        begin = _BEGIN.search(piece)
        wide = piece.find(_WIDE, 0, begin.start() if begin else len(piece))
        if wide >= 0:  # statement_from_xmp will not understand it, and says so
            yield piece[max(0, wide - 8) : wide + _LONGEST]
            at += wide + len(_WIDE)
            continue
        if begin is None:
            if at + len(piece) >= region.end:
                return
            at += max(1, len(piece) - _LONGEST)
            continue
        file.seek(at + begin.start())
        packet = file.read(min(MAX_XMP + _LONGEST, region.end - at - begin.start()))
        end = re.search(rb"</" + re.escape(begin[1]) + rb"\s*>", packet)
        if end is not None:
            packet = packet[: end.end()]
        elif len(packet) > MAX_XMP:
            packet = packet[: MAX_XMP + 1]
        yield packet
        at += begin.start() + len(packet)


def _whole(file: BinaryIO, region: Region) -> list[bytes]:
    """What stands where a packet should, unless it is empty."""
    file.seek(region.start)
    content = file.read(min(MAX_XMP + 1, region.end - region.start))
    return [content] if content.strip(b"\0 \t\r\n") else []
