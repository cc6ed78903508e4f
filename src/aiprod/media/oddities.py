"""What a film holds besides pictures and sound to train on, or that changes how it is shown: each is said in a note."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import av

from aiprod.media.container import opened, video_stream
from aiprod.media.media_info import MediaFacts, VideoFacts

_STEREO = {
    1: "side by side",
    2: "one above the other",
    3: "picture by picture",
    4: "as a chequerboard",
    5: "side by side, quincunx",
    6: "line by line",
    7: "column by column",
}
_MOST_BYTES = 1 << 26  # of a movie box that is searched for edit lists
_FIRST = 64  # packets in which the first picture is looked for


def oddities(path: Path | str, facts: MediaFacts, discarded: int = 0) -> list[str]:
    """Notes for a film's row; none for most films.

    Args:
        discarded: picture packets that the container marks as not to be shown.
    """
    video = facts.video
    if video is None:
        return []
    notes = []
    if discarded:
        notes.append(f"edit list: {discarded} pictures that are stored and not to be shown are left out, as players do")
    if facts.container in ("MP4", "QuickTime"):
        notes += _edits(path)
    with opened(path) as (container, _):
        stream = video_stream(container)
        if stream is None:
            return notes
        notes += _other_streams(container, stream)
        notes += _picture(stream, video)
    return notes


def _other_streams(container: Any, taken: Any) -> list[str]:
    others = Counter(stream.type or "unknown" for stream in container.streams if stream.type not in ("video", "audio"))
    covers = sum(1 for s in container.streams.video if s.index != taken.index and _still(s))
    pictures = len(container.streams.video) - 1 - covers
    kinds = [f"{count} of type {kind}" for kind, count in sorted(others.items())]
    kinds += [f"{covers} attached picture{'s' * (covers > 1)}"] * (covers > 0)
    kinds += [f"{pictures} more of pictures (stream {taken.index} is taken)"] * (pictures > 0)
    return [f"streams that are not used: {', '.join(kinds)}"] if kinds else []


def _still(stream: Any) -> bool:
    return bool(int(getattr(stream.disposition, "value", stream.disposition) or 0) & 0x400)


def _picture(stream: Any, video: VideoFacts) -> list[str]:
    notes = []
    if video.has_alpha or stream.metadata.get("alpha_mode", "0") not in ("0", ""):
        notes.append("alpha: the film says which parts of it are transparent; they are shown as they are stored")
    frame = _first(stream)
    stereo = _side_data(frame, "STEREO3D")
    if stereo is not None and len(stereo) >= 4 and (kind := struct.unpack("<i", stereo[:4])[0]):
        notes.append(
            f"stereo 3-D: two views in one stream, {_STEREO.get(kind, 'packed in an unknown way')}, kept as it is"
        )
    if _side_data(frame, "SPHERICAL") is not None:
        notes.append("spherical: the pictures are a projection of all directions, kept as they are stored")
    matrix = _side_data(frame, "DISPLAYMATRIX")
    if matrix is not None and len(matrix) >= 36:
        a, b, _, c, d = struct.unpack("<5i", matrix[:20])
        if a * d - b * c == 0:
            notes.append("rotation: the display matrix is not valid (it would show nothing); shown as it is stored")
    return notes


def _first(stream: Any) -> Any | None:
    stream.thread_count = 1
    try:
        for count, packet in enumerate(stream.container.demux(stream)):
            try:
                for frame in packet.decode():
                    return frame
            except (av.error.FFmpegError, ValueError):
                pass
            if count > _FIRST:
                return None
    except (av.error.FFmpegError, ValueError):
        pass
    return None


def _side_data(frame: Any | None, kind: str) -> bytes | None:
    try:
        data = None if frame is None else frame.side_data.get(kind)
    except (ValueError, KeyError):  # kinds that PyAV does not know
        return None
    return None if data is None else bytes(data)


def _edits(path: Path | str) -> list[str]:
    """What edit lists of picture tracks do besides skipping the priming (ISO/IEC 14496-12, 8.6.6)."""
    notes = []
    with open(path, "rb") as file:
        for scale, entries in _edit_lists(file):
            if entries and entries[0][1] == -1:
                notes.append(f"edit list: the pictures begin {entries[0][0] / scale:.2f} s late, and are shown so")
            shown = [entry for entry in entries if entry[1] != -1]
            if len(shown) > 1:
                notes.append(f"edit list: {len(shown)} stretches of what is stored are shown one behind the other")
            if any(rate != 0x10000 for _, _, rate in shown):
                notes.append("edit list: it asks for another speed, which is not applied")
    return notes


def _edit_lists(file: BinaryIO) -> Iterator[tuple[int, list[tuple[int, int, int]]]]:
    """Movie timescale and entries (duration, media time, rate) of the list of each picture track."""
    movie = next((body for kind, body in _top_boxes(file) if kind == b"moov"), b"")
    scale = 1000
    for kind, body in _boxes(movie):
        if kind == b"mvhd" and len(body) >= 24:
            scale = int.from_bytes(body[20:24] if body[0] else body[12:16], "big") or 1000
    for kind, track in _boxes(movie):
        if kind != b"trak":
            continue
        inner = dict(_boxes(track))
        handler = dict(_boxes(inner.get(b"mdia", b""))).get(b"hdlr", b"")
        edits = dict(_boxes(inner.get(b"edts", b""))).get(b"elst", b"")
        if handler[8:12] == b"vide" and len(edits) >= 8:
            form, size = (">qqI", 20) if edits[0] else (">IiI", 12)
            count = min(int.from_bytes(edits[4:8], "big"), (len(edits) - 8) // size)
            yield scale, [struct.unpack_from(form, edits, 8 + n * size) for n in range(count)]  # type: ignore[misc]


def _top_boxes(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while True:
        file.seek(at)
        head = file.read(16)
        size, begin = int.from_bytes(head[:4], "big"), 8
        if size == 1:
            size, begin = int.from_bytes(head[8:16], "big"), 16
        if len(head) < 8 or size < begin:
            return
        if head[4:8] == b"moov" and size <= _MOST_BYTES:
            file.seek(at + begin)
            yield b"moov", file.read(size - begin)
        at += size


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if size < 8 or at + size > len(data):
            return
        yield data[at + 4 : at + 8], data[at + 8 : at + size]
        at += size
