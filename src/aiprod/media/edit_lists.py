"""What the edit lists of an MP4 or QuickTime file (ISO/IEC 14496-12, 8.6.6) leave out or move, in words."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from aiprod.media.errors import MediaError

_BOXES = 20_000  # looked at, at most
_EDITS = 1_000
_SAID_S = 0.1  # shorter cuts at the beginning are the priming of encoders


class EditListEntry(NamedTuple):
    """A stretch of the presentation: seconds that it lasts, where it begins in the track (negative: nothing)."""

    lasts_s: float
    from_s: float
    rate: float


def edit_notes(path: Path | str, container: str) -> list[str]:
    """A line for each sound track whose edit list does more than to drop an encoder's priming."""
    if container not in ("MP4", "QuickTime"):
        return []
    notes = []
    try:
        with open(path, "rb") as file:
            for number, (kind, edits) in enumerate(_tracks(file)):
                if kind == b"soun" and (words := _words(edits)):
                    notes.append(f"edit list of the sound (stream {number}): {', '.join(words)}")
    except (OSError, struct.error, ValueError):  # whether the file is sound is not asked here
        pass
    return notes


def stretches(path: Path | str, index: int) -> list[EditListEntry]:
    """The edits of a track of an MP4 or QuickTime file that shows several stretches of it; else nothing.

    FFmpeg cuts between packets there, so that sound shifts by up to a packet at each edit.
    """
    try:
        with open(path, "rb") as file:
            for number, (_, edits) in enumerate(_tracks(file)):
                if number == index:
                    shown = [edit for edit in edits if edit.from_s >= 0]
                    return edits if len(shown) > 1 and all(edit.rate == 1.0 for edit in shown) else []
    except (OSError, struct.error, ValueError):
        pass
    return []


def hidden_until_s(path: Path | str, index: int, fragmented: bool) -> float | None:
    """Before which time on the container's clock nothing of a track is shown; None where FFmpeg sees to that itself.

    Of what is in fragments it moves the times as the edit list asks, and leaves nothing out.

    Raises:
        MediaError: the edit list shows several stretches of what is in fragments.
    """
    if not fragmented:
        return None
    late_s = 0.0
    try:
        with open(path, "rb") as file:
            edits = next((edits for number, (_, edits) in enumerate(_tracks(file)) if number == index), [])
    except (OSError, struct.error, ValueError):  # whether the file is sound is not asked here
        return None
    if sum(edit.from_s >= 0 for edit in edits) > 1:
        raise MediaError(
            "timing",
            "its edit list shows several stretches of what is in fragments, which FFmpeg does not apply",
            "rewrite it without fragments, with a tool that applies edit lists",
        )
    for edit in edits:
        if edit.from_s >= 0:
            return late_s if edit.from_s > 0 else None
        late_s += edit.lasts_s
    return None


def pauses_s(path: Path | str, index: int) -> list[tuple[float, float]]:
    """Where a track is empty between two stretches that it shows, in seconds on the container's clock. FFmpeg shows
    there what is stored at the beginning of the track."""
    edits, now_s, pauses = stretches(path, index), 0.0, []
    begun = False
    for edit in edits:
        if edit.from_s < 0 and begun:
            pauses.append((now_s, now_s + edit.lasts_s))
        begun = begun or edit.from_s >= 0
        now_s += edit.lasts_s
    return pauses


def late_and_shown_s(path: Path | str, index: int) -> tuple[float, float]:
    """How long a track is empty at its beginning, and for how long its edit list then shows something of it."""
    try:
        with open(path, "rb") as file:
            edits = next((edits for number, (_, edits) in enumerate(_tracks(file)) if number == index), [])
    except (OSError, struct.error, ValueError):  # whether the file is sound is not asked here
        return 0.0, 0.0
    late_s = 0.0
    for n, edit in enumerate(edits):
        if edit.from_s >= 0:
            return late_s, sum(other.lasts_s for other in edits[n:])
        late_s += edit.lasts_s
    return late_s, 0.0


def _words(edits: list[EditListEntry]) -> list[str]:
    shown = [edit for edit in edits if edit.from_s >= 0]
    words = []
    late_s = 0.0
    for edit in edits:
        if edit.from_s >= 0:
            break
        late_s += edit.lasts_s
    if late_s >= _SAID_S:
        words.append(f"begins {late_s:.2f} s late")
    if shown and shown[0].from_s >= _SAID_S:
        words.append(f"leaves out the first {shown[0].from_s:.2f} s")
    if len(shown) > 1:
        words.append(f"shows {len(shown)} stretches")
    if any(edit.rate != 1.0 for edit in shown):
        words.append("asks for another speed")
    return words


def _tracks(file: BinaryIO) -> Iterator[tuple[bytes, list[EditListEntry]]]:
    budget = [_BOXES]
    end = os.fstat(file.fileno()).st_size
    for name, first, behind in _boxes(file, 0, end, budget):
        if name != b"moov":
            continue
        movie_ticks = 0
        for inner, a, b in _boxes(file, first, behind, budget):
            if inner == b"mvhd":
                movie_ticks = _timescale(file, a)
            elif inner == b"trak":
                yield _track(file, a, b, movie_ticks, budget)
        return


def _track(
    file: BinaryIO, first: int, behind: int, movie_ticks: int, budget: list[int]
) -> tuple[bytes, list[EditListEntry]]:
    kind, ticks, at = b"", 0, 0
    for name, a, b in _boxes(file, first, behind, budget):
        if name == b"edts":
            at = next((c for inner, c, _ in _boxes(file, a, b, budget) if inner == b"elst"), 0)
        elif name == b"mdia":
            for inner, c, _ in _boxes(file, a, b, budget):
                if inner == b"mdhd":
                    ticks = _timescale(file, c)
                elif inner == b"hdlr":
                    file.seek(c + 8)
                    kind = file.read(4)
    return kind, _edits(file, at, movie_ticks, ticks) if at and movie_ticks and ticks else []


def _edits(file: BinaryIO, at: int, movie_ticks: int, ticks: int) -> list[EditListEntry]:
    file.seek(at)
    version, count = struct.unpack(">B3xI", file.read(8))
    form = struct.Struct(">Qqhh" if version == 1 else ">Iihh")
    edits = []
    for _ in range(min(count, _EDITS)):
        lasts, begins, whole, part = form.unpack(file.read(form.size))
        edits.append(EditListEntry(lasts / movie_ticks, begins / ticks, whole + part / 65_536))
    return edits


def _timescale(file: BinaryIO, at: int) -> int:
    file.seek(at)
    version = file.read(1)
    file.seek(at + (20 if version == b"\1" else 12))
    return int(struct.unpack(">I", file.read(4))[0])


def _boxes(file: BinaryIO, first: int, behind: int, budget: list[int]) -> Iterator[tuple[bytes, int, int]]:
    """Name, beginning and end of the content of each box."""
    at = first
    while at + 8 <= behind and budget[0] > 0:
        budget[0] -= 1
        file.seek(at)
        size, name = struct.unpack(">I4s", file.read(8))
        head = 8
        if size == 1:
            size, head = struct.unpack(">Q", file.read(8))[0], 16
        elif size == 0:
            size = behind - at
        if size < head:
            return
        yield name, at + head, min(at + size, behind)
        at += size
