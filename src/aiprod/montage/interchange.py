"""Timelines from other programs: OpenTimelineIO, CMX 3600 edit lists, Final Cut Pro 7 XML.

Needs the extra ``aiprod[montage]``.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from pydantic import ValidationError

from aiprod.base.addresses import split_address
from aiprod.base.structured import parse_json, read_bounded
from aiprod.color.cdl import Cdl
from aiprod.color.grade import Grade
from aiprod.errors import AiprodError
from aiprod.media.errors import MediaError
from aiprod.media.sniffing import SOUND_ALONE, sniff
from aiprod.montage.nesting import Window, nested_in_place
from aiprod.montage.sources import look
from aiprod.montage.stills import is_still
from aiprod.montage.timecode import drops_frames, parse_timecode
from aiprod.montage.timeline import Clip, LoudnessTarget, PictureTrack, Sound, Timeline, Transition
from aiprod.montage.transitions import check_wipe

_MOST_BYTES = 64 << 20
SUFFIXES = frozenset({".otio", ".edl", ".xml", ".fcpxml"})
METADATA = "aiprod"  # key of what OpenTimelineIO has no field for
_RATES = (24, 25, 30, 48, 50, 60, 100, 120)
_EVENT = re.compile(r"^(?P<number>\d+)\s+\S+\s+\S+\s+(?P<how>C|D|W\d{3}|KB?|KO)\s")
_DROPPED = re.compile(r"\d{2}:\d{2}:\d{2};\d{2}")
_OUT_OF_BLACK = re.compile(  # an event of two lines: black of no length, and the first clip with a dissolve
    r"^(?P<number>\d+)\s+(?:BL|BLACK)\s+(?P<channel>\S+)\s+C(?:\s+\S+){2}\s+(?P<at>\S+)\s+(?P=at)\s*\n"
    r"(?P<event>(?P=number)\s+\S+\s+(?P=channel)\s+)D\s+(?P<length>\d+)(?=\s)",
    re.MULTILINE,
)


def open_timeline_io() -> Any:
    """The library.

    Raises:
        AiprodError: it is not installed.
    """
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
    otio = open_timeline_io()
    edit_list, fade, own = None, 0, path.suffix.lower() == ".otio"
    if path.suffix.lower() == ".edl":
        edit_list = _text(read_bounded(path, _MOST_BYTES, "check the path"))
        _check_codes(edit_list, path, rate)
        edit_list, fade = _without_first_fade(edit_list)
    markup = read_bounded(path, _MOST_BYTES) if path.suffix.lower() == ".xml" else None
    nested = ""
    if own:  # OpenTimelineIO's own parser can end the process where this is no whole JSON
        parse_json(read_bounded(path, _MOST_BYTES), path.name, hint="export it again")
    try:
        if markup is not None:
            nested, rate = nested_in_place(markup, rate)
        if own:  # by the library itself: adapters are looked for in every package that is installed
            imported = otio.core.deserialize_json_from_file(str(path))
        elif nested:
            imported = otio.adapters.read_from_string(nested, "fcp_xml")
        elif edit_list is None:
            imported = otio.adapters.read_from_file(str(path))
        else:
            arguments = {"rate": float(rate), "ignore_timecode_mismatch": False}
            imported = otio.adapters.read_from_string(edit_list, "cmx_3600", **arguments)
    except AiprodError as error:
        raise AiprodError(f"{path.name}: {error.what}", error.hint) from None
    except Exception as error:  # adapters raise whatever their parsers do
        raise _unread(path, error) from None
    if isinstance(imported, otio.schema.SerializableCollection):
        timelines = [item for item in imported if isinstance(item, otio.schema.Timeline)]
        if len(timelines) != 1:
            raise AiprodError(f"{path.name} holds {len(timelines)} timelines", "export one of them")
        imported = timelines[0]
    if not isinstance(imported, otio.schema.Timeline):
        raise AiprodError(f"{path.name} holds no timeline", "export the timeline, not a bin or a clip")
    try:
        dropped = edit_list is not None and drops_frames(rate) and _DROPPED.search(edit_list) is not None
        return _Import(otio, imported, path, rate, media or path.parent, fade, dropped).timeline(width, height)
    except AiprodError:
        raise
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        problem = f"{where + ': ' if where else ''}{first['msg'].removeprefix('Value error, ')}"
        raise AiprodError(f"{path.name}: {problem}", "change it where it was made") from None
    except (otio.exceptions.OTIOError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise _unread(path, error) from None  # of values that no adapter checks


def _unread(path: Path, error: Exception) -> AiprodError:
    first = " ".join(str(error).split())[:200] or type(error).__name__
    return AiprodError(f"{path.name} does not read as a timeline ({first})", "check it where it was made")


def _text(data: bytes) -> str:
    """The text of a file of other programs: some write UTF-16, or a byte order mark before UTF-8."""
    return data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig", errors="replace")


def _without_first_fade(text: str) -> tuple[str, int]:
    """An edit list whose first clip does not come out of black, which its reader refuses, and how long it did.

    Returns:
        The list, and the frames of the dissolve; 0 where there was none.
    """
    text = text.replace("\r\n", "\n")
    events = re.search(r"^\d", text, re.MULTILINE)
    match = _OUT_OF_BLACK.match(text, events.start()) if events is not None else None
    if match is None:
        return text, 0
    return f"{text[: match.start()]}{match['event']}C    {text[match.end() :]}", int(match["length"])


def _check_codes(text: str, path: Path, rate: Fraction) -> None:
    """Refuse what OpenTimelineIO would read as something else: drop-frame codes that do not exist, which it takes for
    others, and a transition without the line of what it comes from, which it leaves out."""
    before = ""
    for number, line in enumerate(text.splitlines(), 1):
        for code in re.findall(r"(?<![\d:;])\d{2}:\d{2}:\d{2};\d{2}(?!\d)", line):
            try:
                parse_timecode(code, rate)
            except AiprodError as error:
                raise AiprodError(f"{path.name}, line {number}: {error.what}", error.hint) from None
        event = _EVENT.match(line)
        if event is None:
            continue
        if event["how"].startswith("K"):
            raise AiprodError(f"{path.name}, line {number}: keys are not read", "render it in the editing program")
        if event["how"] != "C" and event["number"] != before:
            raise AiprodError(
                f"{path.name}, line {number}: the transition {event['how']} has no line of the clip that it comes from",
                f"put a cut of no length with the number {event['number']} before it",
            )
        before = event["number"]


class _Import:
    """Reads one OpenTimelineIO timeline.

    Args:
        fade: frames over which the first picture comes out of black, where the timeline itself does not say so.
        dropped: whether its time codes are drop-frame codes, likewise.
    """

    def __init__(  # noqa: PLR0917
        self, otio: Any, timeline: Any, path: Path, rate: Fraction, media: Path, fade: int = 0, dropped: bool = False
    ) -> None:
        self.otio, self.imported, self.path, self.media, self.fade = otio, timeline, path, media, fade
        self.listed, self.dropped = path.suffix.lower() == ".edl", dropped
        self.own = path.suffix.lower() == ".otio"
        stated = (timeline.metadata.get(METADATA) or {}).get("rate")
        if stated:
            self.rate = Fraction(str(stated))
        elif self.listed or path.suffix.lower() == ".xml":
            self.rate = rate
        else:
            self.rate = next(self._rates(), rate)

    def _rates(self) -> Iterator[Fraction]:
        for item in self.imported.find_children(descended_from_type=self.otio.core.Item):
            if item.source_range is not None and not isinstance(item, self.otio.schema.Track):
                yield rate_of(item.source_range.duration.rate)

    def frames(self, time: Any) -> int:
        """A time of the timeline in frames, which it must be a whole number of."""
        return round(self._exact(time))

    def _exact(self, time: Any) -> Fraction:
        """The same of a time at any rate: what is added up is rounded once."""
        exact = Fraction(time.value).limit_denominator(10**6) / rate_of(time.rate) * self.rate
        whole = Fraction(round(exact))
        if abs(exact - whole) <= Fraction(1, 100):
            return whole
        if rate_of(time.rate) == self.rate:
            raise AiprodError(f"{self.path.name}: {float(exact):.3f} frames is not a whole number", "conform it first")
        return exact

    def timeline(self, width: int, height: int) -> Timeline:
        """The timeline."""
        ours = self.imported.metadata.get(METADATA) or {}
        pictures: list[PictureTrack] = []
        stated = self.imported.global_start_time
        # tracks of an edit list begin where their first event does, each at its own time
        tracks = self.imported.tracks
        start = min((self._begins(t) for t in tracks if not _off(t)), default=0) if self.listed else 0
        for name, items, begins in self._tracks(tracks, "Video"):
            for picture_track in self._pictures(items, name or f"V{len(pictures) + 1}", begins - start):
                if picture_track.clips:
                    pictures.append(picture_track)
        sounds = list(self._heard(tracks, start))
        self._effects(tracks)
        extra: dict[str, Any] = {
            "drop_frame": self.dropped,
            **{key: ours[key] for key in ("drop_frame",) if key in ours},
        }
        if "loudness" in ours:
            extra["loudness"] = LoudnessTarget(**dict(ours["loudness"]))
        return Timeline.checked(
            name=self.imported.name or self.path.stem,
            rate=self.rate,
            width=int(ours.get("width", width)),
            height=int(ours.get("height", height)),
            pictures=pictures,
            sounds=sounds if ours else _once(sounds),
            start=start if self.listed or stated is None else self.frames(stated),
            **extra,
        )

    def _tracks(self, stack: Any, kind: str) -> Iterator[tuple[str, Any, int]]:
        """Name, items and begin of each track of a kind that is not switched off; a track in a track is the only one of
        its stack, and what lies in a stack by itself is a track of one item."""
        schema = self.otio.schema
        for track in [stack] if isinstance(stack, schema.Track) else stack:
            if _off(track) and track is not stack:
                continue
            if not isinstance(track, schema.Track):
                if kind == schema.TrackKind.Video or not isinstance(track, schema.Clip):
                    yield track.name, [track], 0
                continue
            if track.kind != kind:
                continue
            if track is not stack:
                self._effects(track)
            yield track.name, track, 0 if track is stack else self._begins(track)

    def _begins(self, track: Any) -> int:
        """Frame that the first item of a track is at."""
        trimmed = getattr(track, "source_range", None)
        if trimmed is None:
            return 0
        if self.listed:
            return -self.frames(trimmed.start_time)
        if trimmed.start_time.value or trimmed.duration < track.available_range().duration:
            raise AiprodError(
                f"{self.path.name}: the track {track.name} shows a part of itself", "flatten the timeline"
            )
        return 0

    def _heard(self, stack: Any, start: int = 0) -> Iterator[Sound]:
        """The sounds of a stack, whose first frame is number ``start``."""
        for name, items, begins in self._tracks(stack, "Audio"):
            yield from self._sounds(items, name, begins - start)
        # OpenTimelineIO's own files need no track of sound for what is nested in one of pictures
        for name, items, begins in self._tracks(stack, "Video") if self.own else ():
            yield from self._sounds(items, name, begins - start, nested_alone=True)

    def _pictures(self, items: Any, name: str, begins: int) -> list[PictureTrack]:
        """A track of pictures, and those above it that sequences nested in it take."""
        layers: list[tuple[list[Clip], list[Transition]]] = [([], [])]
        nested: list[tuple[Window, list[PictureTrack], int, int]] = []
        moves = layers[0][1]
        at = Fraction(begins)
        for item in items:
            if isinstance(item, self.otio.schema.Transition):
                moves.append(self._transition(item, round(at)))
                continue
            if isinstance(item, self.otio.schema.Clip):
                source_in, length = self._span(item)
                if not self._empty(item):
                    layers[0][0].append(self._clip(item, round(at), source_in, round(at + length) - round(at)))
                    if self.fade and len(layers[0][0]) == 1:
                        moves.append(Transition(record_in=round(at), record_out=round(at) + self.fade))
            else:
                length = self._exact(item.duration())
                window = self._window(item, at, name)
                if window is not None:
                    inner = [
                        track
                        for below, parts, first in self._tracks(item, "Video")
                        for track in self._pictures(parts, below or name, first)
                        if track.clips
                    ]
                    nested.append((window, inner, round(at), round(at + length)))
                    layers += [([], []) for _ in range(len(inner) - len(layers))]
                    for layer, track in zip(layers, inner, strict=False):
                        clips, joins = window.track(track)
                        layer[0].extend(clips)
                        layer[1].extend(joins)
            at += length
        for window, inner, first, behind in nested:
            before = [first - move.record_in for move in moves if move.record_in <= first < move.record_out]
            after = [move.record_out - behind for move in moves if move.record_in < behind <= move.record_out]
            window.check_handles(inner, max(before, default=0), max(after, default=0))
        name = getattr(items, "name", "") or name
        return [
            PictureTrack(name=name if n == 0 else f"{name}.{n + 1}", clips=tuple(clips), transitions=tuple(moves))
            for n, (clips, moves) in enumerate(layers)
        ]

    def _window(self, item: Any, at: Fraction, name: str) -> Window | None:
        """What a nested sequence shows of itself; None of a gap, and where it is switched off.

        Raises:
            AiprodError: the item is neither, or its effects are not rendered here.
        """
        schema = self.otio.schema
        if isinstance(item, schema.Gap) or (isinstance(item, (schema.Stack, schema.Track)) and _off(item)):
            return None
        if not isinstance(item, (schema.Stack, schema.Track)):
            raise AiprodError(f"{self.path.name}: {type(item).__name__} on {name} is not read", "flatten the timeline")
        self._effects(item)
        if not len(item):  # as readers leave it that do not find its tracks
            raise AiprodError(f"{self.path.name}: the nested sequence {item.name!r} is empty", "export it again")
        trimmed = item.source_range
        begin = round(self._exact(trimmed.start_time)) if trimmed is not None else 0
        length = round(at + self._exact(item.duration())) - round(at)
        what = f"{self.path.name}: the nested sequence {item.name!r}"
        return Window(begin, begin + length, round(at), self.rate, what)

    def _empty(self, item: Any) -> bool:
        """Whether a clip shows and sounds nothing: switched off, or black."""
        reference = item.media_reference
        if _off(item) or getattr(reference, "generator_kind", "") == "black":
            return True
        return item.name.upper() in ("BL", "BLACK") and not getattr(reference, "target_url", "")

    def _span(self, item: Any) -> tuple[Fraction, Fraction]:
        """Second of the source that a clip begins at, and its length in frames; the whole film where none is stated."""
        available = getattr(item.media_reference, "available_range", None)
        stated = item.source_range or available
        if stated is None:
            source = look(self._film(item))
            if source.still:
                raise AiprodError(f"{self.path.name}: the still picture {item.name!r} has no length", "give it one")
            return Fraction(0), Fraction(int(Fraction(source.ends_s).limit_denominator(10**6) * self.rate))
        begins = stated.start_time
        source_in = Fraction(begins.value).limit_denominator(10**6) / rate_of(begins.rate)
        if available is not None:  # times of a source count from its own first time code
            offset = available.start_time
            source_in -= Fraction(offset.value).limit_denominator(10**6) / rate_of(offset.rate)
        return source_in, self._exact(stated.duration)

    def _common(self, item: Any, at: int, source_in: Fraction, length: int) -> dict[str, Any]:
        self._effects(item)
        ours = dict(item.metadata.get(METADATA) or {})
        return {
            "film": self._film(item),
            "record_in": at,
            "record_out": at + length,
            "source_in": source_in,
            "name": item.name or "",
            **ours,
        }

    def _clip(self, item: Any, at: int, source_in: Fraction, length: int) -> Clip:
        values = self._common(item, at, source_in, length)
        correction = self._correction(item)
        if correction is not None:
            values.setdefault("grade", Grade(cdl=correction))
        return Clip(**values)

    def _correction(self, item: Any) -> Cdl | None:
        """The ASC CDL that an edit list states of a clip."""
        stated = item.metadata.get("cdl")
        if not stated:
            return None
        values: dict[str, Any] = {key: list(numbers) for key, numbers in dict(stated.get("asc_sop") or {}).items()}
        if stated.get("asc_sat") is not None:
            values["saturation"] = float(stated["asc_sat"])
        return Cdl(**{key: value for key, value in values.items() if value not in (None, [])})

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
            films = [
                film
                for film in sorted(self.media.glob("*"))
                if film.stem.casefold() == Path(stem).stem.casefold() and film.is_file() and film.name != self.path.name
            ]
            if films:
                return _the_one(films, f"{self.path.name}: {Path(stem).stem!r}").resolve()
        raise AiprodError(
            f"{self.path.name}: the film of {item.name!r} is not found ({url or 'no path stated'})",
            f"put it into {self.media.name or self.media}, or name its folder with --media",
        )

    def _transition(self, item: Any, at: int) -> Transition:
        first, behind = at - self.frames(item.in_offset), at + self.frames(item.out_offset)
        ours = dict(item.metadata.get(METADATA) or {})
        if not ours and item.transition_type != self.otio.schema.TransitionTypes.SMPTE_Dissolve:
            code = str((item.metadata.get("cmx_3600") or {}).get("transition", ""))
            if not code.startswith("W") or not code[1:].isdigit():
                raise AiprodError(
                    f"{self.path.name}: the transition {item.transition_type} is not known", "use a dissolve"
                )
            check_wipe(int(code[1:]))
            ours = {"kind": "wipe", "code": int(code[1:])}
        return Transition(record_in=first, record_out=behind, **ours)

    def _sounds(self, items: Any, name: str, begins: int, nested_alone: bool = False) -> list[Sound]:
        """The sounds of a track.

        Args:
            nested_alone: of sequences nested in it; it is a track of pictures.
        """
        schema = self.otio.schema
        sounds: list[Sound] = []
        lead = fade = 0  # of the transition before the item: frames that it begins earlier, and its length
        at, nested = Fraction(begins), False
        for item in items:
            if isinstance(item, schema.Transition):
                if nested_alone:
                    continue
                length = self.frames(item.in_offset) + self.frames(item.out_offset)
                if nested:
                    raise self._no_cross_fade(name)
                if sounds and sounds[-1].record_out == round(at):
                    ends = round(at) + self.frames(item.out_offset)
                    sounds[-1] = sounds[-1].model_copy(update={"record_out": ends, "fade_out": length})
                lead, fade = self.frames(item.in_offset), length
                continue
            source_in, exact, nested = Fraction(0), Fraction(0), False
            if isinstance(item, schema.Clip) and not nested_alone:
                source_in, exact = self._span(item)
            else:
                exact = self._exact(item.duration())
                window = None if isinstance(item, schema.Clip) else self._window(item, at, name)
                if window is not None:
                    nested = not nested_alone
                    if fade:
                        raise self._no_cross_fade(name)
                    sounds += window.sounds(list(self._heard(item)))
            if isinstance(item, schema.Clip) and not nested_alone and not self._empty(item):
                values = self._common(item, round(at), source_in, round(at + exact) - round(at))
                values.setdefault("bus", _bus_of(name))
                if fade:
                    values["record_in"] -= lead
                    values["source_in"] -= Fraction(lead) / self.rate
                    values["fade_in"] = fade
                sounds.append(Sound(**values))
            lead = fade = 0
            at += exact
        return sounds

    def _no_cross_fade(self, name: str) -> AiprodError:
        what = f"{self.path.name}: a cross-fade with the sound of a nested sequence on {name} is not read"
        return AiprodError(what, "cut there, or flatten the sequence")


def _off(item: Any) -> bool:
    """Whether an item is switched off, which the reader of Final Cut Pro 7 XML leaves in its metadata."""
    return not item.enabled or str((item.metadata.get("fcp_xml") or {}).get("enabled", "")).upper() == "FALSE"


def _the_one(films: list[Path], what: str) -> Path:
    """Of files that are called alike the one that is a film: lists, subtitles and records may lie beside it.

    Raises:
        AiprodError: two are.
    """
    if len(films) == 1:
        return films[0]
    kinds: dict[Path, str] = {}
    for film in films:
        with contextlib.suppress(MediaError):
            kinds[film] = "picture" if is_still(film) else sniff(film).demuxer
    found = [film for film, kind in kinds.items() if kind not in SOUND_ALONE] or list(kinds) or films[:1]
    if len(found) > 1:
        names = ", ".join(film.name for film in found)
        raise AiprodError(f"{what} may be {names}", "name the film in the list, or keep one of them in the folder")
    return found[0]


def _once(sounds: list[Sound]) -> list[Sound]:
    """Sounds without those that are there twice: editing programs list each channel of a film as a track, and here all
    channels are heard with the first."""
    kept = {(s.film, s.record_in, s.record_out, s.source_in, s.bus): s for s in reversed(sounds)}
    return [
        sound
        for sound in sounds
        if kept[sound.film, sound.record_in, sound.record_out, sound.source_in, sound.bus] is sound
    ]


def _bus_of(name: str) -> str:
    lowered = name.casefold()
    for bus, words in (("dialogue", ("dial", "dx", "voice", "speech")), ("music", ("music", "mx"))):
        if any(word in lowered for word in words):
            return bus
    return "effects"
