"""What a file is by its first bytes. Names and extensions are never believed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aiprod.base.opening import open_file
from aiprod.media.errors import MediaError

TS_PACKETS = {188: "MPEG transport stream", 192: "AVCHD or Blu-ray transport stream", 204: "MPEG transport stream"}
_TS_SYNCS = 5  # packets in a row that must begin alike where the first byte is not the first of a packet
_MP4_BOXES = {b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot", b"styp", b"moof", b"sidx", b"uuid"}
_OLD_MOV = (b"wide", b"pnot", b"moov", b"mdat")  # QuickTime before it had a file type box
_READ = "MP4, MOV, Matroska, WebM, AVI, MPEG-TS, MPEG-PS, AVCHD, FLV, Ogg, MXF or ASF"
HEAD = 4096  # bytes that are enough to tell
SOUND_ALONE = frozenset({"wav", "flac", "aiff", "mp3"})
"""Demuxers of files that hold no picture."""


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
        with open_file(path) as file:
            head = file.read(HEAD)
    except FileNotFoundError:
        raise MediaError("missing", "the file does not exist") from None
    except OSError as error:
        raise MediaError("unreadable", f"the file cannot be read ({error.strerror})", "fix its permissions") from None
    if not head:
        raise MediaError("empty", "the file has zero bytes")
    kind = sniff_bytes(head) or sniff_sound(head)
    if kind is None and (bare := elementary(head)) is not None:
        raise MediaError(
            "not-media",
            f"{bare} without a container, and so without times and sound",
            "put them into MP4 or Matroska at their rate, as with `ffmpeg -framerate 25 -i FILE -c copy FILE.mp4`",
        )
    if kind is None:
        raise MediaError("not-media", "the bytes are not a media container that is read here", f"give {_READ}")
    return kind


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
    return _transport_stream(head)


def sniff_sound(head: bytes) -> ContentType | None:
    """The format of a file that holds sound alone; such files are no films, and are read where sound is asked for."""
    if head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE":
        return ContentType("WAV", "wav", "wav")
    if head[:4] == b"fLaC":
        return ContentType("FLAC", "flac", "flac")
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return ContentType("AIFF", "aiff", "aiff")
    if head[:3] == b"ID3" or (head[:1] == b"\xff" and head[1:2] in (b"\xfb", b"\xfa", b"\xf3", b"\xf2")):
        return ContentType("MP3", "mp3", "mp3")
    return None


def _transport_stream(head: bytes) -> ContentType | None:
    """ISO/IEC 13818-1 packets: bare (188 bytes), behind a time stamp of 4 bytes (192: cameras, discs) or before 16
    bytes that correct errors (204). A recording of a broadcast may begin within a packet."""
    for length, name in TS_PACKETS.items():
        kind = ContentType(name, "mpegts", "mts" if length == 192 else "ts")
        for begin in (4, *range(length)) if length == 192 else range(length):
            syncs = head[begin : begin + _TS_SYNCS * length : length]
            if syncs.strip(b"\x47"):
                continue
            if len(syncs) == _TS_SYNCS or (begin == 0 and length == 188 and len(head) >= length):
                return kind
    return None


_ELEMENTARY = {
    b"\x00\x00\x01\xb3": "MPEG-1 or MPEG-2 pictures",
    b"\x00\x00\x01\xb0": "MPEG-4 pictures",
    b"\x00\x00\x01\x67": "H.264 pictures",
    b"\x00\x00\x01\x27": "H.264 pictures",
    b"\x00\x00\x01\x09": "H.264 pictures",
    b"\x00\x00\x01\x40": "H.265 pictures",
    b"\x00\x00\x01\x46": "H.265 pictures",
    b"DKIF": "VP8, VP9 or AV1 pictures in IVF",
    b"YUV4MPEG2": "uncoded pictures (YUV4MPEG2)",
}


def elementary(head: bytes) -> str | None:
    """What coded pictures without a container a file holds; they have no times, and so they are not read."""
    begin = head[1:] if head[:4] == b"\x00\x00\x00\x01" else head
    return next((words for start, words in _ELEMENTARY.items() if begin.startswith(start)), None)
