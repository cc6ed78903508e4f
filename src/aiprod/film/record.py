"""What is written beside a finished film: every shot and sound, to the frame and the sample, and what it is of."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from aiprod.base.files import digest_of, read_json, sha256_file
from aiprod.errors import AiprodError
from aiprod.film.edit import Edit
from aiprod.film.ingredients import MADE, MODEL_DIGESTS, locate_file
from aiprod.montage.sources import look, speed_of
from aiprod.montage.timecode import format_timecode, parse_rate, parse_time
from aiprod.montage.timeline import SAMPLE_RATE

FORMAT = 1
_OWN = "record_digest"


def described(edit: Edit, film: str, sha256: str, more: dict[str, Any]) -> dict[str, Any]:
    """The record of a film, as JSON.

    Args:
        edit: with the grades that it was rendered with.
    """
    timeline = edit.timeline
    order = list(edit.used.values())
    number = {path: n for n, path in enumerate(edit.used)}
    shots = []
    for level, track in enumerate(timeline.pictures):
        for n, clip in enumerate(track.clips):
            first, behind = track.shown(n)
            source = look(clip.film, sound=False)
            scene = edit.scene_of[n] if level == 0 and n < len(edit.scene_of) else None
            grade = clip.grade
            values: dict[str, Any] = {
                "track": track.name,
                "scene": edit.scenes[scene][0] if scene is not None else None,
                "ingredient": number[clip.film],
                "record_in": clip.record_in,
                "record_out": clip.record_out,
                "shown": [first, behind],
                "source_in": str(clip.source_in),
                "speed": str(speed_of(clip.conform, source, timeline.rate)),
                "source_rate": None if source.still or source.rate is None else str(source.rate),
            }
            if grade is not None:
                values["grade"] = {
                    **grade.model_dump(mode="json", exclude={"luts", "cdl"}, exclude_defaults=True),
                    **(
                        {"cdl": cdl.model_dump(mode="json", exclude_defaults=True)}
                        if (cdl := grade.correction())
                        else {}
                    ),
                    "files": [number[file] for file in (*grade.files(), *_looked_up(edit, level, n))],
                }
            shots.append({key: value for key, value in values.items() if value is not None})
    sounds = [
        {
            "bus": sound.bus,
            "ingredient": number[sound.film],
            "record_in": sound.record_in,
            "record_out": sound.record_out,
            "samples": [timeline.sample_of(sound.record_in), timeline.sample_of(sound.record_out)],
            "source_in": str(sound.source_in),
            "speed": str(speed_of(sound.conform, look(sound.film, sound=False), timeline.rate)),
        }
        for sound in timeline.sounds
    ]
    record = {
        "format": FORMAT,
        "kind": "film",
        "file": film,
        "sha256": sha256,
        "title": timeline.name,
        "rate": str(timeline.rate),
        "frames": timeline.frames,
        "samples": timeline.samples,
        "width_px": timeline.width,
        "height_px": timeline.height,
        "synthetic": any(each.kind in MADE for each in order),
        "scenes": [{"name": name, "frame": at} for name, at in edit.scenes],
        "shots": shots,
        "sounds": sounds,
        "ingredients": [each.recorded() for each in order],
        **more,
    }
    return {**record, _OWN: digest_of(record)}


def _looked_up(edit: Edit, level: int, n: int) -> list[Path]:
    """The model that a shot was balanced with."""
    return [edit.balances[n].model] if level == 0 and n in edit.balances else []


def record_beside(film: Path) -> Path | None:
    """The record of a film, or None where the description beside it is of another kind."""
    path = film.with_suffix(".json")
    if not path.is_file():
        return None
    value = read_json(path)
    return path if isinstance(value, dict) and value.get("kind") == "film" else None


def read_record(path: Path) -> dict[str, Any]:
    """A record.

    Raises:
        AiprodError: it is none, or one of a later version.
    """
    value = read_json(path)
    if not isinstance(value, dict) or value.get("kind") != "film":
        raise AiprodError(f"{path} is not the record of a film", "give a film that `aiprod film` made")
    return checked_record(value, path.name)


def checked_record(value: dict[str, Any], name: str) -> dict[str, Any]:
    """The record itself.

    Raises:
        AiprodError: it is of a later version, or lacks what every record has.
    """
    if value.get("format") != FORMAT:
        raise AiprodError(f"{name} is a record of format {value.get('format')}", "read it with a later AIPROD")
    if missing := {"rate", "frames", "samples", "shots", "sounds", "ingredients"} - set(value):
        raise AiprodError(f"{name} has no {', '.join(sorted(missing))}", "make the film again")
    return value


@dataclass(frozen=True)
class SoundAtTime:
    """A sound at a time: where in its source it is."""

    entry: dict[str, Any]
    source_sample: int


@dataclass(frozen=True)
class ShotAtTime:
    """A shot at a time: which picture of its source it shows."""

    entry: dict[str, Any]
    source_s: Fraction
    source_frame: int | None


@dataclass(frozen=True)
class Moment:
    """What a film shows and sounds at one time."""

    frame: int
    sample: int
    timecode: str
    scene: str
    pictures: list[ShotAtTime]
    sounds: list[SoundAtTime]


def at_time(record: dict[str, Any], time: str) -> Moment:
    """What a film shows and sounds at a time: ``00:00:07:12``, ``2.5s``, ``60f`` or ``96000/48000s``.

    Raises:
        AiprodError: it is no time, or the film is over by then.
    """
    rate = parse_rate(record["rate"])
    return moment(record, parse_time(time, rate))


def moment(record: dict[str, Any], time_s: Fraction) -> Moment:
    """As :func:`at_time`, for exact seconds."""
    rate = parse_rate(record["rate"])
    frame, sample = int(time_s * rate // 1), int(time_s * SAMPLE_RATE // 1)
    if not 0 <= frame < record["frames"]:
        ends = format_timecode(record["frames"], rate)
        raise AiprodError(f"the film has nothing at {float(time_s):g} s", f"it ends at {ends}")
    seen = []
    for entry in record["shots"]:
        first, behind = entry["shown"]
        if first <= frame < behind:
            at = Fraction(entry["source_in"])
            at += (frame - entry["record_in"] + Fraction(1, 2)) / rate * Fraction(entry["speed"])
            source = Fraction(entry["source_rate"]) if "source_rate" in entry else None
            seen.append(ShotAtTime(entry, at, None if source is None else int(at * source // 1)))
    heard = []
    for entry in record["sounds"]:
        first, behind = entry["samples"]
        if first <= sample < behind:
            starts = round(Fraction(entry["source_in"]) / Fraction(entry["speed"]) * SAMPLE_RATE)
            heard.append(SoundAtTime(entry, starts + sample - first))
    scenes = [s["name"] for s in record.get("scenes", []) if s["frame"] <= frame]
    code = format_timecode(frame, rate)
    return Moment(frame, sample, code, scenes[-1] if scenes else "", seen, heard)


def changed(
    record: dict[str, Any], film: Path, root: Path, used: Collection[int] | None = None, *, released: bool = False
) -> tuple[int, list[str], list[str]]:
    """Hash the film and everything that it is made of again.

    Args:
        used: numbers of the ingredients to look at; all if None.
        released: the film is a signed copy, whose signature holds for its bytes.

    Returns:
        How many files were read, what is not what was recorded, and what is not here to be compared.
    """
    own = {key: value for key, value in record.items() if key != _OWN}
    wrong, notes, count = [], [], 0
    if record.get(_OWN) != digest_of(own):
        wrong.append(f"{film.with_suffix('.json').name}: the record was changed after the film was made")
    if film.is_file() and not released:
        count += 1
        if sha256_file(film) != record.get("sha256"):
            wrong.append(f"{film.name}: its bytes are not those that were delivered")
    for number, ingredient in enumerate(record["ingredients"]):
        file = ingredient.get("file")
        if not file or (used is not None and number not in used):
            continue
        path = place_of(root, film, record, file)
        if path is None:
            notes.append(f"{file} ({ingredient['kind']}) is not here, so it was not compared")
            continue
        count += 1
        if sha256_file(path) != ingredient["sha256"]:
            wrong.append(f"{file}: not the {ingredient['kind']} that the film was made of")
    return count, wrong, notes


def place_of(root: Path, film: Path, record: dict[str, Any], file: str) -> Path | None:
    """Where a recorded file of a film is now, or None."""
    script = root / record.get("script", "")
    for folder in (film.parent, script.parent):
        try:
            located = locate_file(root, folder, file)
        except AiprodError:  # a record is outside input: a path that leads out is no file of the film's
            return None
        if located is not None:
            return located
    return None


def films_below(root: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Records of films in a workspace, outside of its hidden folders."""
    paths = []
    for folder, below, names in os.walk(root):
        below[:] = [name for name in below if not name.startswith(".")]  # an environment has a hundred thousand files
        paths += [Path(folder, name) for name in names if name.endswith(".json") and not name.startswith(".")]
    for path in sorted(paths):
        if not path.is_file() or path.stat().st_size > 1 << 26:
            continue
        if f'"{_OWN}"'.encode() not in path.read_bytes():  # anywhere: the fingerprint of a long film comes before it
            continue
        try:
            value = read_json(path)
        except AiprodError:
            continue
        if isinstance(value, dict) and value.get("kind") == "film" and value.get("format") == FORMAT:
            yield path, value


def shots_standing_on(record: dict[str, Any], clips: set[str], models: set[str]) -> list[str]:
    """Shots and sounds of a film that are of one of these clips, or were made by one of these models, in words."""
    rate = parse_rate(record["rate"])
    hit = {
        n
        for n, each in enumerate(record["ingredients"])
        if each["name"] in clips or models & {each.get("facts", {}).get(name) for name in MODEL_DIGESTS}
    }
    lines = []
    for kind, entries in (("shot", record["shots"]), ("sound", record["sounds"])):
        for entry in entries:
            if entry["ingredient"] in hit:
                each = record["ingredients"][entry["ingredient"]]
                first, behind = (format_timecode(entry[key], rate) for key in ("record_in", "record_out"))
                lines.append(f"{kind} {first} to {behind}: {each['kind']} {each['name']}")
    return lines
