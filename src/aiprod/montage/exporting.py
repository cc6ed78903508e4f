"""Timelines for other programs: OpenTimelineIO and CMX 3600 edit lists.

Needs the extra ``aiprod[montage]``.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

from aiprod.color.grade import Grade
from aiprod.montage.interchange import METADATA, open_timeline_io
from aiprod.montage.timecode import format_timecode, name_of
from aiprod.montage.timeline import Clip, PictureTrack, Sound, Timeline, Transition

Length = tuple[Fraction, Fraction]
"""Seconds of a film, and how many pictures there are in one."""

_FINAL_CUT = "fcp_xml"  # key of what OpenTimelineIO's adapter writes into Final Cut's XML as it is
_IN_USE = {_FINAL_CUT: {"enabled": "TRUE", "locked": "FALSE"}}  # OpenShot reads no track that does not say so


def write_otio(timeline: Timeline, path: Path, base: Path, lengths: Mapping[Path, Length] | None = None) -> None:
    """Write what is cut as OpenTimelineIO; reading it again gives the same timeline.

    Args:
        base: folder that paths are written relative to.
        lengths: of films, which other programs want to know of media; Final Cut's XML cannot be written without.
    """
    otio = open_timeline_io()
    otio.adapters.write_to_file(_exported(otio, timeline, base, lengths or {}), str(path))


def _exported(otio: Any, timeline: Timeline, base: Path, lengths: Mapping[Path, Length]) -> Any:
    rate = float(timeline.rate)

    def time(frames: int) -> Any:
        return otio.opentime.RationalTime(frames, rate)

    def path_of(film: Path) -> str:
        return _named(film, base)

    def as_long_as_all(track: Any, at: int, reached: int) -> Any:
        """A track whose last clip ends at a frame, as long as the timeline: programs take another length for an error.

        ``reached`` is later than ``at`` where a transition goes into nothing.
        """
        if reached < timeline.frames:
            track.append(otio.schema.Gap(duration=time(timeline.frames - at)))
        return track

    def media(film: Path) -> Any:
        if film not in lengths:
            return otio.schema.ExternalReference(target_url=path_of(film))
        seconds, counted = lengths[film]
        if not otio.opentime.RationalTime.is_valid_timecode_rate(float(counted)):
            counted = timeline.rate  # other programs write time codes of it
        frames = max(1, round(seconds * counted))
        begins, lasts = (otio.opentime.RationalTime(n, float(counted)) for n in (0, frames))
        return otio.schema.ExternalReference(path_of(film), otio.opentime.TimeRange(begins, lasts))

    def clip_of(event: Clip | Sound, defaults: set[str]) -> Any:
        begins = otio.opentime.RationalTime(float(event.source_in * timeline.rate), rate)
        otio_clip = otio.schema.Clip(
            name=event.name or event.film.name,
            media_reference=media(event.film),
            source_range=otio.opentime.TimeRange(begins, time(event.record_out - event.record_in)),
        )
        kept = event.model_dump(mode="json", exclude=defaults, exclude_defaults=True)
        kept["source_in"] = str(event.source_in)
        if getattr(event, "matte", None) is not None:
            kept["matte"] = path_of(event.matte)  # type: ignore[union-attr,arg-type]
        kept["name"] = event.name
        otio_clip.metadata[METADATA] = kept
        return otio_clip

    exported = otio.schema.Timeline(name=timeline.name)
    exported.metadata[METADATA] = {
        "rate": name_of(timeline.rate),
        "width": timeline.width,
        "height": timeline.height,
        "drop_frame": timeline.drop_frame,
        "loudness": timeline.loudness.model_dump(mode="json"),
    }
    pixels = {"width": str(timeline.width), "height": str(timeline.height)}
    pixels |= {"pixelaspectratio": "square", "fielddominance": "none"}
    exported.metadata[_FINAL_CUT] = {"media": {"video": {"format": {"samplecharacteristics": pixels}}}}
    if timeline.start:
        exported.global_start_time = time(timeline.start)
    skip = {"film", "record_in", "record_out", "source_in", "name"}
    for track in timeline.pictures:
        out = otio.schema.Track(name=track.name, kind=otio.schema.TrackKind.Video, metadata=_IN_USE)
        at = 0
        into, out_of = _by_clip(track)
        for n, clip in enumerate(track.clips):
            if clip.record_in > at:
                out.append(otio.schema.Gap(duration=time(clip.record_in - at)))
            if n in into:
                out.append(_transition(otio, into[n], clip.record_in, time))
            out.append(clip_of(clip, skip))
            if n in out_of:
                out.append(_transition(otio, out_of[n], clip.record_out, time))
            at = clip.record_out
        reached = max([at, *(t.record_out for t in out_of.values())])
        exported.tracks.append(as_long_as_all(out, at, reached))
    for number, lane in enumerate(_lanes(timeline.sounds), 1):
        name = f"A{number} {lane[0].bus}"
        out = otio.schema.Track(name=name, kind=otio.schema.TrackKind.Audio, metadata=_IN_USE)
        at = 0
        for sound in lane:
            if sound.record_in > at:
                out.append(otio.schema.Gap(duration=time(sound.record_in - at)))
            out.append(clip_of(sound, skip))
            at = sound.record_out
        exported.tracks.append(as_long_as_all(out, at, at))
    return exported


def _named(film: Path, base: Path) -> str:
    """A file as seen from a folder that it lies in, or by its whole path."""
    return (film.relative_to(base) if film.is_relative_to(base) else film).as_posix()


def _by_clip(track: PictureTrack) -> tuple[dict[int, Transition], dict[int, Transition]]:
    """Transitions by the number of the clip behind them, and those into nothing by that of the clip before them."""
    into: dict[int, Transition] = {}
    out_of: dict[int, Transition] = {}
    for transition in track.transitions:
        before, after = track.around(transition)
        if after is not None:
            into[after] = transition
        elif before is not None:
            out_of[before] = transition
    return into, out_of


def _transition(otio: Any, transition: Transition, cut: int, time: Any) -> Any:
    dissolve = transition.kind == "dissolve"
    kinds = otio.schema.TransitionTypes
    exported = otio.schema.Transition(
        name=transition.kind,
        transition_type=kinds.SMPTE_Dissolve if dissolve else kinds.Custom,
        in_offset=time(cut - transition.record_in),
        out_offset=time(transition.record_out - cut),
    )
    exported.metadata[METADATA] = transition.model_dump(mode="json", exclude={"record_in", "record_out"})
    return exported


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


def edl(timeline: Timeline, base: Path | None = None) -> str:
    """The first picture track as a CMX 3600 edit list, with cuts, dissolves and wipes.

    A transition is an event of two lines: the old clip at its last frame, then the new one from the start of the
    transition on. Source times are time codes at the timeline's rate; films are named in comments, as graders expect.
    Other transitions are written as dissolves of their length, with a comment. Before a fade at the very beginning
    there is an event of no length: OpenTimelineIO's reader refuses a list that begins with a transition.

    Args:
        base: folder of the list; files are named from it in comments of OpenTimelineIO's kind. None = by name alone.
    """
    rate, drop = timeline.rate, timeline.drop_frame
    lines = [f"TITLE: {timeline.name}", f"FCM: {'' if drop else 'NON-'}DROP FRAME"]
    track = timeline.pictures[0] if timeline.pictures else PictureTrack()
    into, out_of = _by_clip(track)

    def event(number: int, clip: Clip | None, how: str, first: int, behind: int) -> str:
        # Only a still is shown before its beginning: before a transition into it, and of the same picture.
        source = 0 if clip is None else max(0, round(clip.source_in * rate) + first - clip.record_in)
        codes = (source, source + behind - first, timeline.start + first, timeline.start + behind)
        times = " ".join(format_timecode(frame, rate, drop) for frame in codes)
        reel = "BL" if clip is None else _reel(clip.film)
        return f"{number:03}  {reel:<8} V     {how:<8} {times}"

    number = 0
    for n, clip in enumerate(track.clips):
        number += 1
        transition, after = into.get(n), out_of.get(n)
        joined = n + 1 < len(track.clips) and track.clips[n + 1].record_in == clip.record_out
        if after is None and joined:
            after = into.get(n + 1)
        begins = clip.record_in if transition is None else transition.record_in
        ends = clip.record_out if after is None else after.record_in
        names, how = [f"* FROM CLIP NAME: {clip.film.name}"], "C"
        if transition is not None:
            place = track.around(transition)[0]
            before = None if place is None else track.clips[place]
            if before is None and not n:
                lines.append(event(number, None, "C", begins, begins))
                number += 1
            lines.append(event(number, before, "C", begins, begins))
            names = [] if before is None else [f"* FROM CLIP NAME: {before.film.name}"]
            names.append(f"* TO CLIP NAME: {clip.film.name}")
            kind = f"W{transition.code:03}" if transition.kind == "wipe" else "D"
            how = f"{kind:<4} {transition.length:03}"
            if transition.kind not in ("dissolve", "wipe"):
                lines.append(f"* {transition.kind.upper()} WRITTEN AS A DISSOLVE")
        lines.append(event(number, clip, how, begins, ends))
        if base is not None:  # of the clip that the event brings in, by which programs find the file
            side = "FROM" if transition is None else "TO"
            names.append(f"* OTIO REFERENCE {side}: {_named(clip.film, base)}")
        lines += [*names, *_cdl_lines(clip)]
        if n in out_of:
            number += 1
            lines.append(event(number, clip, "C", ends, ends))
            lines.append(event(number, None, f"D    {out_of[n].length:03}", ends, out_of[n].record_out))
            lines.append(f"* FROM CLIP NAME: {clip.film.name}")
    return "\n".join(lines) + "\n"


def _cdl_lines(clip: Clip) -> list[str]:
    """A clip's ASC CDL as edit lists state it, for the grader."""
    if clip.grade is None:
        return []
    more = ["* THE GRADE HAS MORE THAN AN ASC CDL"] if clip.grade.model_copy(update={"cdl": None}) != Grade() else []
    correction = clip.grade.correction()
    if correction is None:
        return more
    numbers = (
        " ".join(f"{value:.6g}" for value in each) for each in (correction.slope, correction.offset, correction.power)
    )
    stated = "".join(f"({each})" for each in numbers)
    return [f"* ASC_SOP {stated}", f"* ASC_SAT {correction.saturation:.6g}", *more]


def _reel(film: Path) -> str:
    """A reel name: eight characters that every reader of edit lists takes."""
    kept = "".join(c for c in film.stem.upper() if c.isascii() and c.isalnum())
    return kept[:8] or "AX"
