"""Timelines from and to other programs: OpenTimelineIO, CMX 3600 edit lists, Final Cut Pro 7 XML.

Needs the extra ``aiprod[montage]``.
"""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from aiprod.base.addresses import split_address
from aiprod.base.structured import parse_json, read_bounded
from aiprod.errors import AiprodError
from aiprod.montage.timecode import format_timecode, name_of, parse_timecode
from aiprod.montage.timeline import Clip, LoudnessTarget, PictureTrack, Sound, Timeline, Transition
from aiprod.montage.transitions import check_wipe

_MOST_BYTES = 64 << 20
SUFFIXES = frozenset({".otio", ".edl", ".xml", ".fcpxml"})
_KEY = "aiprod"
_RATES = (24, 25, 30, 48, 50, 60, 100, 120)


def _otio() -> Any:
    try:
        return importlib.import_module("opentimelineio")
    except ImportError:
        raise AiprodError("OpenTimelineIO is not installed", "pip install 'aiprod[montage]'") from None


def rate_of(value: float) -> Fraction:
    """The exact rate that a floating-point one means: 29.97002997 is 30000/1001."""
    for whole in _RATES:
        for exact in (Fraction(whole), Fraction(whole * 1000, 1001)):
            if abs(float(exact) - value) < 2e-3:
                return exact
    return Fraction(value).limit_denominator(1001)


def read_interchange(path: Path, *, rate: Fraction, width: int, height: int, media: Path | None = None) -> Timeline:
    """Read a timeline of another program.

    Args:
        rate: of the timeline where the file states none (CMX 3600 does not).
        media: folder in which films are looked for by name where the file states no path that exists.

    Raises:
        AiprodError: it does not read, or holds what cannot be cut here, by name.
    """
    otio = _otio()
    if path.suffix.lower() == ".edl":
        _check_codes(path, rate)
    if path.suffix.lower() == ".otio":  # OpenTimelineIO's own parser can end the process where this is no whole JSON
        parse_json(read_bounded(path, _MOST_BYTES), path.name, hint="export it again")
    arguments = {"rate": float(rate), "ignore_timecode_mismatch": False} if path.suffix.lower() == ".edl" else {}
    try:
        found = otio.adapters.read_from_file(str(path), **arguments)
    except Exception as error:  # adapters raise whatever their parsers do
        raise _unread(path, error) from None
    if isinstance(found, otio.schema.SerializableCollection):
        timelines = [item for item in found if isinstance(item, otio.schema.Timeline)]
        if len(timelines) != 1:
            raise AiprodError(f"{path.name} holds {len(timelines)} timelines", "export one of them")
        found = timelines[0]
    if not isinstance(found, otio.schema.Timeline):
        raise AiprodError(f"{path.name} holds no timeline", "export the timeline, not a bin or a clip")
    try:
        return _Import(otio, found, path, rate, media or path.parent).timeline(width, height)
    except AiprodError:
        raise
    except (otio.exceptions.OTIOError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise _unread(path, error) from None  # of values that no adapter checks


def _unread(path: Path, error: Exception) -> AiprodError:
    first = " ".join(str(error).split())[:200] or type(error).__name__
    return AiprodError(f"{path.name} does not read as a timeline ({first})", "check it where it was made")


def _check_codes(path: Path, rate: Fraction) -> None:
    """Refuse drop-frame codes that do not exist; OpenTimelineIO takes them for others."""
    text = path.read_text(encoding="utf-8", errors="replace")
    for number, line in enumerate(text.splitlines(), 1):
        for code in re.findall(r"(?<![\d:;])\d{2}:\d{2}:\d{2};\d{2}(?!\d)", line):
            try:
                parse_timecode(code, rate)
            except AiprodError as error:
                raise AiprodError(f"{path.name}, line {number}: {error.what}", error.hint) from None


class _Import:
    """Reads one OpenTimelineIO timeline."""

    def __init__(self, otio: Any, found: Any, path: Path, rate: Fraction, media: Path) -> None:
        self.otio, self.found, self.path, self.media = otio, found, path, media
        stated = (found.metadata.get(_KEY) or {}).get("rate")
        if stated:
            self.rate = Fraction(str(stated))
        elif path.suffix.lower() == ".edl":
            self.rate = rate
        else:
            self.rate = next(self._rates(), rate)

    def _rates(self) -> Iterator[Fraction]:
        for track in self.found.tracks:
            for item in track:
                if getattr(item, "source_range", None) is not None:
                    yield rate_of(item.source_range.duration.rate)

    def frames(self, time: Any) -> int:
        """A time of the timeline in frames, which it must be a whole number of."""
        exact = Fraction(time.value).limit_denominator(10**6) / rate_of(time.rate) * self.rate
        whole = round(exact)
        if abs(exact - whole) > Fraction(1, 100) and rate_of(time.rate) == self.rate:
            raise AiprodError(f"{self.path.name}: {float(exact):.3f} frames is not a whole number", "conform it first")
        return whole

    def timeline(self, width: int, height: int) -> Timeline:
        """The timeline."""
        ours = self.found.metadata.get(_KEY) or {}
        pictures: list[PictureTrack] = []
        sounds: list[Sound] = []
        for track in self.found.tracks:
            if not isinstance(track, self.otio.schema.Track):
                raise AiprodError(f"{self.path.name}: nested stacks are not read", "flatten the timeline")
            if track.kind == self.otio.schema.TrackKind.Video:
                if any(isinstance(item, self.otio.schema.Clip) for item in track):
                    pictures.append(self._pictures(track, f"V{len(pictures) + 1}"))
            else:
                sounds += self._sounds(track)
        start = self.found.global_start_time
        extra: dict[str, Any] = {key: ours[key] for key in ("drop_frame",) if key in ours}
        if "loudness" in ours:
            extra["loudness"] = LoudnessTarget(**dict(ours["loudness"]))
        return Timeline.checked(
            name=self.found.name or self.path.stem,
            rate=self.rate,
            width=int(ours.get("width", width)),
            height=int(ours.get("height", height)),
            pictures=pictures,
            sounds=sounds,
            start=0 if start is None else self.frames(start),
            **extra,
        )

    def _pictures(self, track: Any, name: str) -> PictureTrack:
        at, clips, transitions = 0, [], []
        for item in track:
            if isinstance(item, self.otio.schema.Transition):
                transitions.append(self._transition(item, at))
                continue
            length = self.frames(item.duration())
            if isinstance(item, self.otio.schema.Clip) and not self._empty(item):
                clips.append(self._clip(item, at, length))
            elif not isinstance(item, (self.otio.schema.Gap, self.otio.schema.Clip)):
                what = type(item).__name__
                raise AiprodError(f"{self.path.name}: {what} on {name} is not read", "flatten the timeline")
            at += length
        return PictureTrack(name=track.name or name, clips=tuple(clips), transitions=tuple(transitions))

    def _empty(self, item: Any) -> bool:
        reference = item.media_reference
        return item.name.upper() in ("BL", "BLACK") and not getattr(reference, "target_url", "")

    def _common(self, item: Any, at: int, length: int) -> dict[str, Any]:
        self._effects(item)
        begins = item.source_range.start_time if item.source_range else item.available_range().start_time
        source_in = Fraction(begins.value).limit_denominator(10**6) / rate_of(begins.rate)
        reference = item.media_reference
        available = getattr(reference, "available_range", None)
        if available is not None:  # times of a source count from its own first time code
            offset = available.start_time
            source_in -= Fraction(offset.value).limit_denominator(10**6) / rate_of(offset.rate)
        ours = dict(item.metadata.get(_KEY) or {})
        return {
            "film": self._film(item),
            "record_in": at,
            "record_out": at + length,
            "source_in": source_in,
            "name": item.name or "",
            **ours,
        }

    def _clip(self, item: Any, at: int, length: int) -> Clip:
        return Clip(**self._common(item, at, length))

    def _effects(self, item: Any) -> None:
        for effect in item.effects:
            raise AiprodError(
                f"{self.path.name}: the effect {effect.effect_name or type(effect).__name__} of {item.name!r} is not "
                "rendered here",
                "render it in the editing program, or remove it",
            )

    def _film(self, item: Any) -> Path:
        reference = item.media_reference
        url = getattr(reference, "target_url", "") or ""
        split = split_address(url)
        stated = Path(unquote(split.path if split.scheme in ("file", "") else "") or "")
        names = [self.path.parent / stated] if str(stated) != "." else []
        names += [self.media / stated.name] if stated.name else []
        names += [self.media / item.name] if item.name else []
        for name in names:
            if os.path.isfile(name):  # False, too, of what no file can be called
                return name.resolve()
        reels = [str(entry) for entry in (item.metadata.get("cmx_3600") or {}).values() if isinstance(entry, str)]
        for stem in filter(None, (item.name, *reels)):
            for film in sorted(self.media.glob("*")):
                if film.is_file() and film.stem.casefold() == Path(stem).stem.casefold():
                    return film.resolve()
        raise AiprodError(
            f"{self.path.name}: the film of {item.name!r} is not found ({url or 'no path stated'})",
            f"put it into {self.media.name or self.media}, or name its folder with --media",
        )

    def _transition(self, item: Any, at: int) -> Transition:
        first, behind = at - self.frames(item.in_offset), at + self.frames(item.out_offset)
        ours = dict(item.metadata.get(_KEY) or {})
        if not ours and item.transition_type != self.otio.schema.TransitionTypes.SMPTE_Dissolve:
            code = str((item.metadata.get("cmx_3600") or {}).get("transition", ""))
            if not code.startswith("W") or not code[1:].isdigit():
                raise AiprodError(
                    f"{self.path.name}: the transition {item.transition_type} is not known", "use a dissolve"
                )
            check_wipe(int(code[1:]))
            ours = {"kind": "wipe", "code": int(code[1:])}
        return Transition(record_in=first, record_out=behind, **ours)

    def _sounds(self, track: Any) -> list[Sound]:
        at = 0
        sounds: list[Sound] = []
        for item in track:
            if isinstance(item, self.otio.schema.Transition):
                if not sounds:
                    continue
                length = self.frames(item.in_offset) + self.frames(item.out_offset)
                sounds[-1] = sounds[-1].model_copy(
                    update={"record_out": at + self.frames(item.out_offset), "fade_out": length}
                )
                self._joining = (self.frames(item.in_offset), length)
                continue
            length = self.frames(item.duration())
            if isinstance(item, self.otio.schema.Clip) and not self._empty(item):
                values = self._common(item, at, length)
                values.setdefault("bus", _bus_of(track.name))
                lead, fade = getattr(self, "_joining", (0, 0))
                if fade:
                    values["record_in"] -= lead
                    values["source_in"] -= Fraction(lead) / self.rate
                    values["fade_in"] = fade
                sounds.append(Sound(**values))
            self._joining = (0, 0)
            at += length
        return sounds


def _bus_of(name: str) -> str:
    lowered = name.casefold()
    for bus, words in (("dialogue", ("dial", "dx", "voice", "speech")), ("music", ("music", "mx"))):
        if any(word in lowered for word in words):
            return bus
    return "effects"


def write_otio(timeline: Timeline, path: Path, base: Path) -> None:
    """Write what is cut as OpenTimelineIO; reading it again gives the same timeline.

    Args:
        base: folder that paths are written relative to.
    """
    otio = _otio()
    otio.adapters.write_to_file(_exported(otio, timeline, base), str(path))


def _exported(otio: Any, timeline: Timeline, base: Path) -> Any:
    rate = float(timeline.rate)

    def time(frames: int) -> Any:
        return otio.opentime.RationalTime(frames, rate)

    def path_of(film: Path) -> str:
        try:
            return film.relative_to(base).as_posix()
        except ValueError:
            return film.as_posix()

    def clip_of(event: Clip | Sound, defaults: set[str]) -> Any:
        begins = otio.opentime.RationalTime(float(event.source_in * timeline.rate), rate)
        made = otio.schema.Clip(
            name=event.name or event.film.name,
            media_reference=otio.schema.ExternalReference(target_url=path_of(event.film)),
            source_range=otio.opentime.TimeRange(begins, time(event.record_out - event.record_in)),
        )
        kept = event.model_dump(mode="json", exclude=defaults, exclude_defaults=True)
        kept["source_in"] = str(event.source_in)
        if getattr(event, "matte", None) is not None:
            kept["matte"] = path_of(event.matte)  # type: ignore[union-attr,arg-type]
        kept["name"] = event.name
        made.metadata[_KEY] = kept
        return made

    made = otio.schema.Timeline(name=timeline.name)
    made.metadata[_KEY] = {
        "rate": name_of(timeline.rate),
        "width": timeline.width,
        "height": timeline.height,
        "drop_frame": timeline.drop_frame,
        "loudness": timeline.loudness.model_dump(mode="json"),
    }
    if timeline.start:
        made.global_start_time = time(timeline.start)
    skip = {"film", "record_in", "record_out", "source_in", "name"}
    for track in timeline.pictures:
        out = otio.schema.Track(name=track.name, kind=otio.schema.TrackKind.Video)
        at = 0
        for clip in track.clips:
            if clip.record_in > at:
                out.append(otio.schema.Gap(duration=time(clip.record_in - at)))
            for transition in track.transitions:
                if transition.record_in <= clip.record_in <= transition.record_out and at == clip.record_in and at:
                    out.append(_transition(otio, transition, clip.record_in, time))
            out.append(clip_of(clip, skip))
            at = clip.record_out
        made.tracks.append(out)
    for number, lane in enumerate(_lanes(timeline.sounds), 1):
        out = otio.schema.Track(name=f"A{number} {lane[0].bus}", kind=otio.schema.TrackKind.Audio)
        at = 0
        for sound in lane:
            if sound.record_in > at:
                out.append(otio.schema.Gap(duration=time(sound.record_in - at)))
            out.append(clip_of(sound, skip))
            at = sound.record_out
        made.tracks.append(out)
    return made


def _transition(otio: Any, transition: Transition, cut: int, time: Any) -> Any:
    dissolve = transition.kind == "dissolve"
    kinds = otio.schema.TransitionTypes
    made = otio.schema.Transition(
        name=transition.kind,
        transition_type=kinds.SMPTE_Dissolve if dissolve else kinds.Custom,
        in_offset=time(cut - transition.record_in),
        out_offset=time(transition.record_out - cut),
    )
    made.metadata[_KEY] = transition.model_dump(mode="json", exclude={"record_in", "record_out"})
    return made


def _lanes(sounds: tuple[Sound, ...]) -> list[list[Sound]]:
    """Sounds on as few tracks as hold them without overlap, each of one bus."""
    lanes: list[list[Sound]] = []
    for sound in sorted(sounds, key=lambda s: (s.bus, s.record_in, s.record_out)):
        lane = next((x for x in lanes if x[0].bus == sound.bus and x[-1].record_out <= sound.record_in), None)
        if lane is None:
            lanes.append([sound])
        else:
            lane.append(sound)
    return lanes


def edl(timeline: Timeline) -> str:
    """The first picture track as a CMX 3600 edit list, with cuts, dissolves and wipes.

    A transition is an event of two lines: the old clip at its last frame, then the new one from the start of the
    transition on. Source times are time codes at the timeline's rate; films are named in comments, as graders expect.
    Other transitions are written as dissolves of their length, with a comment.
    """
    rate, drop = timeline.rate, timeline.drop_frame
    lines = [f"TITLE: {timeline.name}", f"FCM: {'' if drop else 'NON-'}DROP FRAME"]
    track = timeline.pictures[0] if timeline.pictures else PictureTrack()
    into = {track.around(transition)[1]: transition for transition in track.transitions}

    def event(number: int, clip: Clip, how: str, first: int, behind: int) -> str:
        source = round(clip.source_in * rate) + first - clip.record_in
        codes = (source, source + behind - first, timeline.start + first, timeline.start + behind)
        times = " ".join(format_timecode(max(0, frame), rate, drop) for frame in codes)
        return f"{number:03}  {_reel(clip.film):<8} V     {how:<8} {times}"

    for n, clip in enumerate(track.clips):
        transition, after = into.get(n), into.get(n + 1)
        begins = clip.record_in if transition is None else transition.record_in
        ends = clip.record_out if after is None else after.record_in
        label = "FROM"
        how = "C"
        if transition is not None:
            lines.append(event(n + 1, track.clips[n - 1], "C", begins, begins))
            kind = f"W{transition.code:03}" if transition.kind == "wipe" else "D"
            how, label = f"{kind:<4} {transition.length:03}", "TO"
            if transition.kind not in ("dissolve", "wipe"):
                lines.append(f"* {transition.kind.upper()} WRITTEN AS A DISSOLVE")
        lines.append(event(n + 1, clip, how, begins, ends))
        lines.append(f"* {label} CLIP NAME: {clip.film.name}")
    return "\n".join(lines) + "\n"


def _reel(film: Path) -> str:
    """A reel name: eight characters that every reader of edit lists takes."""
    kept = "".join(c for c in film.stem.upper() if c.isascii() and c.isalnum())
    return kept[:8] or "AX"
