"""What a file is by its first bytes. Names and extensions are never believed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aiprod.media.errors import MediaError

_TS_PACKET = 188
_MP4_BOXES = {b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot", b"styp", b"moof", b"sidx", b"uuid"}
_OLD_MOV = (b"wide", b"pnot", b"moov", b"mdat")  # QuickTime before it had a file type box
HEAD = 4096  # bytes that are enough to tell


@dataclass(frozen=True)
class ContentType:
    """A container format.

    Args:
        demuxer: FFmpeg's name of the reader that is forced, so that no other reader is tried.
        extension: without the dot; what the file is stored under.
    """

    name: str
    demuxer: str
    extension: str


def sniff(path: Path | str) -> ContentType:
    """The container format of a file.

    Raises:
        MediaError: missing, unreadable, empty or not a container that is read here (playlists are not: they name
            other files).
    """
    try:
        with open(path, "rb") as file:
            head = file.read(HEAD)
    except FileNotFoundError:
        raise MediaError("missing", "the file does not exist") from None
    except OSError as error:
        raise MediaError("unreadable", f"the file cannot be read ({error.strerror})", "mend its permissions") from None
    if not head:
        raise MediaError("empty", "the file has zero bytes")
    found = sniff_bytes(head)
    if found is None:
        raise MediaError("not-media", "the bytes are not a media container that is read here")
    return found


def sniff_bytes(head: bytes) -> ContentType | None:
    """The container format of a file that starts with ``head`` (:data:`HEAD` bytes serve), None where it is not one."""
    if head[4:8] in _MP4_BOXES:
        quicktime = (head[4:8] == b"ftyp" and head[8:12] == b"qt  ") or head[4:8] in _OLD_MOV
        return ContentType("QuickTime" if quicktime else "MP4", "mov", "mov" if quicktime else "mp4")
    if head[:4] == b"\x1a\x45\xdf\xa3":
        webm = b"webm" in head[:64]
        return ContentType("WebM" if webm else "Matroska", "matroska", "webm" if webm else "mkv")
    if head[:4] == b"OggS":
        return ContentType("Ogg", "ogg", "ogv")
    if head[:3] == b"FLV":
        return ContentType("Flash Video", "flv", "flv")
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return ContentType("AVI", "avi", "avi")
    if head[:4] == b"\x00\x00\x01\xba":
        return ContentType("MPEG program stream", "mpeg", "mpg")
    if head[:4] == b"\x06\x0e\x2b\x34":
        return ContentType("MXF", "mxf", "mxf")
    if head[:4] == b"\x30\x26\xb2\x75":
        return ContentType("ASF", "asf", "asf")
    sync = range(0, min(len(head), 5 * _TS_PACKET), _TS_PACKET)
    if len(head) >= _TS_PACKET and all(head[at] == 0x47 for at in sync):
        return ContentType("MPEG transport stream", "mpegts", "ts")
    return None
