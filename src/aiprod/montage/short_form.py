"""Timelines as short YAML that a person writes by hand.

.. code-block:: yaml

    rate: 25
    size: 1280x720
    loudness: ebu_r128
    pictures:
      - film: beach.mp4
        from: 00:00:12:00
        length: 4s
        sound: effects        # its own sound, on this bus
      - dissolve: 12f
      - {film: forest.mp4, length: 100f}
      - {wipe: 1, length: 1s}
      - {film: title.png, length: 2s}
    sounds:
      - {film: words.wav, bus: dialogue, at: 2s}
      - {film: song.wav, bus: music, at: 0, length: 10s, gain_db: -6, fade_out: 1s}
    ducking: {depth_db: 12}
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

from aiprod.base.params import nearest
from aiprod.base.structured import parse_yaml, read_bounded
from aiprod.color.grade import Grade, LutFile, grade_of, read_grade
from aiprod.color.lut import is_lut
from aiprod.errors import AiprodError
from aiprod.montage.sources import look
from aiprod.montage.timecode import parse_rate, parse_time, parse_timecode
from aiprod.montage.timeline import (
    TARGETS,
    Clip,
    Ducking,
    LoudnessTarget,
    PictureTrack,
    Sound,
    Subtitle,
    Timeline,
    Transition,
)
from aiprod.montage.transitions import check_wipe

_MOST_BYTES = 16 << 20
_TOP = {"name", "rate", "size", "start", "loudness", "ducking", "conform", "pictures", "tracks", "sounds", "subtitles"}
_CLIP = {
    "film",
    "from",
    "length",
    "sound",
    "gain_db",
    "conform",
    "fit",
    "opacity",
    "place",
    "matte",
    "name",
    "at",
    "grade",
}
_SOUND = {"film", "from", "length", "at", "bus", "gain_db", "pan", "fade_in", "fade_out", "fade_law", "conform", "name"}
_KINDS = ("dissolve", "dip", "wipe", "push", "slide")
_TRANSITION = {*_KINDS, "length", "align", "softness", "reverse", "colour"}


def read_short(path: Path) -> Timeline:
    """Read a timeline; paths in it are relative to its folder.

    Raises:
        AiprodError: with the entry that is wrong.
    """
    data = parse_yaml(read_bounded(path, _MOST_BYTES, "check the path"), path.name)
    if not isinstance(data, dict):
        raise AiprodError(f"{path.name} holds no mapping", "see `aiprod cut --help` for an example")
    return timeline_of(data, path.parent, path.stem)


def timeline_of(data: dict[str, Any], folder: Path, name: str = "montage") -> Timeline:
    """The timeline that a mapping states.

    Raises:
        AiprodError: with the entry that is wrong.
    """
    _keys(data, _TOP, "the timeline")
    reading = _Reading(parse_rate(data.get("rate", 25)), folder, str(data.get("conform", "resample")))
    tracks = [reading.track(track, f"V{n}") for n, track in enumerate(_tracks(data), 1)]
    sounds = [*reading.sounds, *(reading.sound(entry, n) for n, entry in enumerate(_list(data, "sounds"), 1))]
    width, height = parse_size(data.get("size", "1280x720"))
    return Timeline.checked(
        name=str(data.get("name", name)),
        rate=reading.rate,
        width=width,
        height=height,
        pictures=tracks,
        sounds=sounds,
        ducking=_model(Ducking, data.get("ducking"), "ducking"),
        loudness=_loudness(data.get("loudness", "ebu_r128")),
        subtitles=[reading.subtitle(entry, n) for n, entry in enumerate(_list(data, "subtitles"), 1)],
        start=_start(data.get("start"), reading.rate),
        drop_frame=isinstance(data.get("start"), str) and ";" in data["start"],
    )


def _start(value: Any, rate: Fraction) -> int:
    return 0 if value is None else parse_timecode(str(value), rate)


def _tracks(data: dict[str, Any]) -> list[Any]:
    if "pictures" in data and "tracks" in data:
        raise AiprodError("the timeline has both pictures and tracks", "use pictures for one track, tracks for several")
    if "tracks" in data:
        return _list(data, "tracks")
    return [_list(data, "pictures")] if data.get("pictures") else []


class _Reading:
    """What is the same for every entry of a timeline."""

    def __init__(self, rate: Fraction, folder: Path, conform: str) -> None:
        self.rate, self.folder, self.conform = rate, folder, conform
        self.sounds: list[Sound] = []

    def frames(self, value: Any, where: str) -> int:
        """A time in whole frames of the timeline."""
        frames = self._time(value, where) * self.rate
        return round(frames)

    def _time(self, value: Any, where: str) -> Fraction:
        try:
            return parse_time(value, self.rate)
        except AiprodError as error:
            raise AiprodError(f"{where}: {error.what}", error.hint) from None

    def path(self, value: Any, where: str) -> Path:
        """A film's path."""
        if not isinstance(value, str) or not value:
            raise AiprodError(f"{where} names no film", "write film: PATH")
        return (self.folder / value).resolve()

    def _source_time(self, value: Any, film: Path, where: str) -> Fraction:
        """A time in a source: time codes and frames count at the source's own rate."""
        if value is None:
            return Fraction(0)
        text = str(value).strip()
        if text.endswith(("f", "frame", "frames")) or text.count(":") == 3 or ";" in text:
            rate = look(film).rate or self.rate
            try:
                return parse_time(value, rate)
            except AiprodError as error:
                raise AiprodError(f"{where}: {error.what}", error.hint) from None
        return self._time(value, where)

    def _length(self, entry: dict[str, Any], film: Path, source_in: Fraction, where: str) -> int:
        if "length" in entry:
            return self.frames(entry["length"], where)
        source = look(film)
        if source.still:
            raise AiprodError(f"{where}: {film.name} is a still picture", "write its length")
        ends = Fraction(source.ends_s if "bus" not in entry else source.sound_s).limit_denominator(10**6)
        return int((ends - source_in) * self.rate)

    def track(self, entries: Any, name: str) -> PictureTrack:
        """A picture track: clips one behind the other, with transitions between them."""
        if isinstance(entries, dict):
            name, entries = str(entries.get("name", name)), entries.get("clips", [])
        if not isinstance(entries, list):
            raise AiprodError(f"track {name} is not a list of clips", "write one `- film: …` a line")
        at = 0
        clips: list[Clip] = []
        transitions: list[Transition] = []
        pending: tuple[dict[str, Any], str] | None = None
        for n, entry in enumerate(entries, 1):  # a transition waits for what follows it
            where = f"{name}, entry {n}"
            if not isinstance(entry, dict):
                raise AiprodError(f"{where} is not a mapping", "write film: PATH, gap: TIME, dissolve: TIME")
            if "gap" in entry:
                _keys(entry, {"gap"}, where)
                if pending is not None:
                    transitions.append(self._fade(*pending, clips, at))
                    pending = None
                at += self.frames(entry["gap"], where)
            elif set(entry) & set(_KINDS):
                if pending is not None:
                    raise AiprodError(f"{where}: two transitions follow each other", "take one out")
                pending = entry, where
            else:
                clips.append(self._clip(entry, at, where))
                if pending is not None:
                    joined = len(clips) > 1 and clips[-2].record_out == clips[-1].record_in
                    align = "centre" if joined else "start"
                    transitions.append(self._transition(*pending, clips[-1].record_in, align))
                    pending = None
                at = clips[-1].record_out
        if pending is not None:
            transitions.append(self._fade(*pending, clips, at))
        return _checked(PictureTrack, f"track {name}", name=name, clips=clips, transitions=transitions)

    def _clip(self, entry: dict[str, Any], at: int, where: str) -> Clip:
        _keys(entry, _CLIP, where)
        film = self.path(entry.get("film"), where)
        if "at" in entry:
            at = self.frames(entry["at"], where)
        source_in = self._source_time(entry.get("from"), film, where)
        length = self._length(entry, film, source_in, where)
        fields: dict[str, Any] = {key: entry[key] for key in ("conform", "fit", "opacity", "name") if key in entry}
        fields.setdefault("conform", self.conform)
        if "matte" in entry:
            fields["matte"] = self.path(entry["matte"], where)
        if "grade" in entry:
            fields["grade"] = self._grade(entry["grade"], where)
        if "place" in entry:
            fields["placement"] = entry["place"]
        clip = _checked(Clip, where, film=film, record_in=at, record_out=at + length, source_in=source_in, **fields)
        if entry.get("sound") not in (None, False, "none"):
            values = {"conform": fields["conform"], "gain_db": entry.get("gain_db", 0.0), "bus": entry["sound"]}
            self.sounds.append(
                _checked(Sound, where, film=film, record_in=at, record_out=at + length, source_in=source_in, **values)
            )
        return clip

    def _grade(self, value: Any, where: str) -> Grade:
        """A grade that is stated, or the path of one."""
        if isinstance(value, str):
            path = self.folder / value
            return Grade(luts=(LutFile(file=path.resolve()),)).checked() if is_lut(path) else read_grade(path)
        if not isinstance(value, dict):
            raise AiprodError(
                f"{where}: grade is not a mapping", "write {exposure: 0.5}, or the path of a grade or cube"
            )
        return grade_of(value, self.folder, f"{where}: grade")

    def _fade(self, entry: dict[str, Any], where: str, clips: list[Clip], at: int) -> Transition:
        """A transition with nothing behind it."""
        if not clips or clips[-1].record_out != at:
            raise AiprodError(f"{where}: a transition has no clip beside it", "move it")
        return self._transition(entry, where, at, "end")

    def _transition(self, entry: dict[str, Any], where: str, cut: int, usual: str) -> Transition:
        _keys(entry, _TRANSITION, where)
        kind = next(key for key in _KINDS if key in entry)
        values: dict[str, Any] = {key: entry[key] for key in ("softness", "reverse", "colour") if key in entry}
        length = entry.get("length", entry[kind])
        if kind == "wipe":
            if "length" not in entry or not isinstance(entry[kind], int):
                raise AiprodError(f"{where}: a wipe needs a number and a length", "write {wipe: 1, length: 12f}")
            check_wipe(entry[kind])
            values["code"] = entry[kind]
        elif kind in ("push", "slide") and entry[kind] in ("left", "right", "up", "down"):
            values["towards"] = entry[kind]
        frames = self.frames(length, where)
        if frames < 1:
            raise AiprodError(f"{where}: a transition of {frames} frames", "give it a length, as in dissolve: 12f")
        align = str(entry.get("align", usual))
        before = {"centre": frames // 2, "center": frames // 2, "start": 0, "end": frames}.get(align)
        if before is None:
            raise AiprodError(f"{where}: align is {align!r}", "one of centre, start, end")
        if cut < before:
            raise AiprodError(f"{where}: the transition begins before the timeline", "shorten it")
        return _checked(
            Transition, where, kind=kind, record_in=cut - before, record_out=cut - before + frames, **values
        )

    def sound(self, entry: Any, n: int) -> Sound:
        """A sound at its place."""
        where = f"sounds, entry {n}"
        if not isinstance(entry, dict):
            raise AiprodError(f"{where} is not a mapping", "write {film: PATH, bus: music, at: TIME}")
        _keys(entry, _SOUND, where)
        film = self.path(entry.get("film"), where)
        at = self.frames(entry.get("at", 0), where)
        source_in = self._source_time(entry.get("from"), film, where)
        length = self._length({"bus": 1, **entry}, film, source_in, where)
        values = {key: entry[key] for key in ("bus", "gain_db", "pan", "fade_law", "conform", "name") if key in entry}
        values.setdefault("conform", self.conform)
        for key in ("fade_in", "fade_out"):
            if key in entry:
                values[key] = self.frames(entry[key], where)
        return _checked(Sound, where, film=film, record_in=at, record_out=at + length, source_in=source_in, **values)

    def subtitle(self, entry: Any, n: int) -> Subtitle:
        """A subtitle."""
        where = f"subtitles, entry {n}"
        if not isinstance(entry, dict) or "text" not in entry:
            raise AiprodError(f"{where} has no text", "write {at: TIME, length: TIME, text: …}")
        _keys(entry, {"at", "length", "text"}, where)
        at = self.frames(entry.get("at", 0), where)
        length = self.frames(entry.get("length", "2s"), where)
        return _checked(Subtitle, where, record_in=at, record_out=at + length, text=str(entry["text"]))


def _keys(entry: dict[str, Any], known: set[str], where: str) -> None:
    for key in entry:
        if key not in known:
            raise AiprodError(f"{where}: unknown key {key!r}", nearest(str(key), sorted(known)))


def _list(data: dict[str, Any], key: str) -> list[Any]:
    value = data.get(key) or []
    if not isinstance(value, list):
        raise AiprodError(f"{key} is not a list", "write one entry a line, each with a leading dash")
    return value


def parse_size(value: Any) -> tuple[int, int]:
    """Width and height of ``1280x720`` or ``[1280, 720]``."""
    parts = value if isinstance(value, list) else str(value).lower().split("x")
    try:
        width, height = (int(part) for part in parts)
    except (TypeError, ValueError):
        raise AiprodError(f"{value!r} is not a size", "write 1280x720") from None
    return width, height


def _loudness(value: Any) -> LoudnessTarget:
    if isinstance(value, str):
        if value not in TARGETS:
            raise AiprodError(f"loudness is {value!r}", nearest(value, list(TARGETS)))
        return TARGETS[value]
    target = _model(LoudnessTarget, value, "loudness")
    return LoudnessTarget.model_validate({}) if target is None else target


def _model(kind: Any, value: Any, where: str) -> Any:
    if value is None or value is False:
        return None
    if value is True:
        value = {}
    if not isinstance(value, dict):
        raise AiprodError(f"{where} is not a mapping", "write its settings as {key: value}")
    return _checked(kind, where, **value)


def _checked(model: Any, where: str, **values: Any) -> Any:
    from pydantic import ValidationError

    try:
        return model(**values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        problem = first["msg"].removeprefix("Value error, ")
        raise AiprodError(f"{where}: {place + ': ' if place else ''}{problem}") from None
