"""Scopes of a film's grades: of the first shot of each, as it is and graded."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiprod.base.files import write_bytes
from aiprod.color.delivery import Delivery
from aiprod.film.edit import Edit
from aiprod.montage.grading import scopes_at
from aiprod.montage.sources import look, source_time, speed_of
from aiprod.montage.timecode import format_timecode, parse_rate

_NAME = re.compile(r"shot-(\d+)\.png")


def write_scopes(edit: Edit, folder: Path) -> None:
    """Write scopes of the middle of each grade's first shot, named by the place of the shot in the film's record."""
    rate = edit.timeline.rate
    seen = []
    for n, clip in enumerate(edit.shots):
        if clip.grade is None or clip.grade in seen:
            continue
        seen.append(clip.grade)
        source = look(clip.film, sound=False)
        middle = (clip.record_in + clip.record_out - 1) // 2
        time_s = source_time(clip, middle, rate, speed_of(clip.conform, source, rate))
        write_bytes(folder / f"shot-{n:03}.png", scopes_at(source, clip.grade, time_s, Delivery()))


def scopes_of(record: Mapping[str, Any], folder: Path) -> list[tuple[Path, str]]:
    """The scopes that lie beside a film, each with the words for what they are of."""
    rate, found = parse_rate(record["rate"]), []
    for path in sorted(folder.glob("shot-*.png")):
        named = _NAME.fullmatch(path.name)
        if named is None or int(named[1]) >= len(record["shots"]):
            continue
        shot = record["shots"][int(named[1])]
        name = record["ingredients"][shot["ingredient"]]["name"]
        scene = f", scene “{shot['scene']}”" if shot.get("scene") else ""
        found.append((path, f"{name}, at {format_timecode(shot['record_in'], rate)}{scene}"))
    return found
