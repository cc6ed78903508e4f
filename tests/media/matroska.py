"""A small writer of Matroska (RFC 9559) for what FFmpeg's writer never does: laced blocks, odd default durations."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

LACINGS = {"none": 0, "xiph": 1, "fixed": 2, "ebml": 3}


@dataclass
class Track:
    """A track and its packets: (milliseconds, content, whether it is a key picture)."""

    codec: str
    private: bytes
    packets: list[tuple[int, bytes, bool]]
    size: tuple[int, int] | None = None  # of pictures
    rate: float = 48_000.0
    channels: int = 2
    bits: int = 0
    default_ns: int | None = None
    delay_ns: int = 0
    more: list[bytes] = field(default_factory=list)  # elements of the entry


def element(name: int, content: bytes | int | float | str | Sequence[bytes]) -> bytes:
    """An EBML element."""
    if isinstance(content, int):
        content = content.to_bytes(max(1, (content.bit_length() + 7) // 8), "big")
    elif isinstance(content, float):
        content = struct.pack(">d", content)
    elif isinstance(content, str):
        content = content.encode()
    elif not isinstance(content, bytes):
        content = b"".join(content)
    return name.to_bytes((name.bit_length() + 7) // 8, "big") + _size(len(content)) + content


def _size(value: int, length: int = 0) -> bytes:
    length = length or next(n for n in range(1, 9) if value < (1 << 7 * n) - 1)
    return (value | 1 << 7 * length).to_bytes(length, "big")


def _difference(value: int) -> bytes:
    """A signed size, as sizes after the first are written in an EBML lace."""
    length = next(n for n in range(1, 9) if abs(value) < (1 << 7 * n - 1) - 1)
    return _size(value + (1 << 7 * length - 1) - 1, length)


def block(number: int, at_ms: int, frames: Sequence[bytes], lacing: str, key: bool) -> bytes:
    """The content of a block of one frame or several."""
    flags = (0x80 if key else 0) | (LACINGS[lacing] << 1 if len(frames) > 1 else 0)
    head = _size(number) + struct.pack(">hB", at_ms, flags)
    if len(frames) == 1:
        return head + frames[0]
    sizes = [len(frame) for frame in frames]
    laced = bytes([len(frames) - 1])
    if lacing == "xiph":
        laced += b"".join(b"\xff" * (size // 255) + bytes([size % 255]) for size in sizes[:-1])
    elif lacing == "ebml":
        pairs = itertools.pairwise(sizes[:-1])
        laced += _size(sizes[0]) + b"".join(_difference(b - a) for a, b in pairs)
    else:
        assert len(set(sizes)) == 1
    return head + laced + b"".join(frames)


def write(
    path: Path,
    tracks: Sequence[Track],
    *,
    lacing: str = "none",
    many: int = 8,
    grouped: bool = False,
    doc: str = "matroska",
) -> Path:
    """A film.

    Args:
        many: frames of sound in a block.
        grouped: sound stands in block groups with a duration instead of simple blocks.
    """
    entries, blocks = [], []
    for number, track in enumerate(tracks, 1):
        inner = [element(0xD7, number), element(0x73C5, number), element(0x86, track.codec)]
        inner.append(element(0x9C, int(lacing != "none" and track.size is None)))
        if track.private:
            inner.append(element(0x63A2, track.private))
        if track.default_ns is not None:
            inner.append(element(0x23E383, track.default_ns))
        if track.delay_ns:
            inner.append(element(0x56AA, track.delay_ns))
        if track.size:
            inner += [element(0x83, 1), element(0xE0, [element(0xB0, track.size[0]), element(0xBA, track.size[1])])]
        else:
            audio = [element(0xB5, track.rate), element(0x9F, track.channels)]
            inner += [element(0x83, 2), element(0xE1, audio + ([element(0x6264, track.bits)] if track.bits else []))]
        entries.append(element(0xAE, inner + track.more))
        step = 1 if track.size or lacing == "none" else many
        for first in range(0, len(track.packets), step):
            part = track.packets[first : first + step]
            if lacing == "fixed" and len({len(frame) for _, frame, _ in part}) > 1:
                blocks += [(at, number, [frame], key, 0) for at, frame, key in part]
                continue
            behind = track.packets[first + step][0] if first + step < len(track.packets) else None
            lasts = behind - part[0][0] if behind is not None else 0
            blocks.append((part[0][0], number, [frame for _, frame, _ in part], part[0][2], lasts))
    blocks.sort(key=lambda item: (item[0], item[1]))
    clusters, at, inside = [], None, []
    for when, number, frames, key, lasts in [*blocks, (1 << 40, 0, [], False, 0)]:
        if at is None or when - at > 1000:
            if inside:
                clusters.append(element(0x1F43B675, [element(0xE7, at or 0), *inside]))
            at, inside = when, []
        if not frames:
            break
        content = block(number, when - at, frames, lacing, key)
        if grouped and tracks[number - 1].size is None:
            content = content[:3] + bytes([content[3] & 0x7F]) + content[4:]
            inside.append(
                element(0xA0, [element(0xA1, content), element(0x9B, lasts)] if lasts else [element(0xA1, content)])
            )
        else:
            inside.append(element(0xA3, content))
    head = element(0x1A45DFA3, [element(0x4282, doc), element(0x4287, 4), element(0x4285, 2)])
    info = element(0x1549A966, [element(0x2AD7B1, 1_000_000), element(0x4D80, "test"), element(0x5741, "test")])
    segment = element(0x18538067, [info, element(0x1654AE6B, entries), *clusters])
    path.write_bytes(head + segment)
    return path
