"""Cuts a timeline into a film: pictures in segments that outlive a kill, sound mixed once, joined as they are."""

from __future__ import annotations

import itertools
import shutil
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

import numpy as np
from numpy.typing import NDArray

from aiprod.base.files import digest_of, link_or_copy, read_json, sha256_once, write_json, write_text
from aiprod.base.params import nearest
from aiprod.base.progress import progress, ticker
from aiprod.color.delivery import Delivery
from aiprod.errors import AiprodError
from aiprod.executors.executor import Bounds, ordered_map
from aiprod.media.container import library
from aiprod.media.hdr10 import ContentLight
from aiprod.media.segments import join_segments, light_beside, write_wav
from aiprod.media.video_form import LEAST_SIZES, SVT_PRESETS, Codec, VideoForm
from aiprod.montage.exporting import Length, edl, write_otio
from aiprod.montage.mix import Mix, mix, opened_mix
from aiprod.montage.rendering import SegmentJob, job_of, render_segment
from aiprod.montage.sources import SourceFacts, check_reach, check_sound, look, speed_of
from aiprod.montage.subtitles import srt, webvtt
from aiprod.montage.timecode import format_timecode
from aiprod.montage.timeline import SAMPLE_RATE, Bus, Timeline

if TYPE_CHECKING:
    from aiprod.storage.result_cache import Memo

VERSION = 2
"""Of how timelines are rendered; a raised one renders kept segments anew."""
_USUAL = Delivery()
_SEGMENT_S = 6.0
_SEGMENT_MOST_S = 30.0
_HOUR_S = 3600.0
_NEAR = Fraction(1, 1000)  # of a frame: where a length is written as decimals


@dataclass(frozen=True)
class Cut:
    """What was made.

    Attributes:
        rendered, reused: segments; those that an earlier run had finished are reused.
        mix: None where the sound had been mixed before.
        stems: files of the buses, where they were asked for.
        notes: what an editor should know, such as a sound that ends before its event.
        light: of the brightest pictures, which an HDR10 file states.
    """

    path: Path
    frames: int
    rendered: int
    reused: int
    mix: Mix | None
    stems: dict[Bus, Path]
    notes: list[str]
    light: ContentLight | None = None


def segments_of(timeline: Timeline, least_s: float | None = None) -> list[tuple[int, int]]:
    """Stretches of frames to render apart: they begin at cuts where cuts are near enough."""
    edges = {0, timeline.frames}
    for track in timeline.pictures:
        for n, clip in enumerate(track.clips):
            inside = any(t.record_in < clip.record_in < t.record_out for t in track.transitions)
            if not inside and n:
                edges.add(clip.record_in)
    least = round((_SEGMENT_S if least_s is None else least_s) * timeline.rate)
    most = round(_SEGMENT_MOST_S * timeline.rate)
    starts = [0]
    for edge in sorted(edges)[1:]:
        while edge - starts[-1] > most:
            starts.append(starts[-1] + most)
        if edge - starts[-1] >= least:
            starts.append(edge)
    if starts[-1] != timeline.frames:
        starts.append(timeline.frames)
    if len(starts) > 2 and starts[-1] - starts[-2] < least // 2:
        del starts[-2]
    return list(itertools.pairwise(starts))


def check(timeline: Timeline) -> tuple[dict[Path, SourceFacts], list[str]]:
    """Open every film of a timeline and see that it reaches as far as it is used, before anything is rendered.

    Returns:
        What is known of each film, and notes.

    Raises:
        AiprodError: a film does not open, has no picture or sound where one is used, or is too short.
    """
    sources = {}
    films = list(timeline.films())
    for film in progress(films, "films", len(films)) if len(films) > 20 else films:
        sources[film] = look(film)
    notes = []
    for track in timeline.pictures:
        for n, clip in enumerate(track.clips):
            check_reach(clip, sources[clip.film], *track.shown(n), timeline.rate)
            if clip.matte is not None:
                check_reach(clip, sources[clip.matte], *track.shown(n), timeline.rate)
    for sound in timeline.sounds:
        source = sources[sound.film]
        check_sound(sound, source)
        speed = speed_of(sound.conform, source, timeline.rate)
        needs = float(sound.source_in + (sound.record_out - sound.record_in) / timeline.rate * speed)
        if needs > source.sound_s + 0.05:
            short = needs - source.sound_s
            notes.append(
                f"the sound of {sound.film.name} at frame {sound.record_in} ends {short:.2f} s before its event"
            )
    return sources, notes


def cut(
    timeline: Timeline,
    out: Path,
    *,
    form: VideoForm,
    stems: bool = False,
    mixed: NDArray[np.float32] | None = None,
    workers: int = 0,
    tags: dict[str, str] | None = None,
    kept: Memo | None = None,
    segment_s: float | None = None,
) -> Cut:
    """Render a timeline into ``out``.

    Args:
        mixed: its mix [2, samples], where that was made before; there are then no stems.
        kept: where segments outlive this call. One is used again while what it shows stays the same, whatever else
            of the timeline changes.
        segment_s: the least that a segment lasts. Where a changed shot is to render little anew, it is short.

    Kept segments lie in a hidden folder beside the output until it is whole. If the run is killed, the same call goes
    on from there; if the timeline or a film changed, it begins anew.

    Raises:
        AiprodError: as :func:`check`, or a segment cannot be rendered.
    """
    sources, notes = check(timeline)
    text = timeline.model_dump_json()
    grades = [clip.grade for track in timeline.pictures for clip in track.clips if clip.grade is not None]
    used = [*sources, *(file for grade in grades for file in grade.files())]
    films = {str(film): sha256_once(film) for film in used}
    ranges = segments_of(timeline, segment_s)
    key = digest_of({"version": VERSION, "timeline": text, "films": films, "form": repr(form), "library": library()})
    folder = out.parent / f".{out.name}.cutting"
    _claim(folder, key)
    paths = [folder / f"{first:09}.{form.container}" for first, _ in ranges]
    jobs = [job_of(timeline, *span, path, form, sources) for span, path in zip(ranges, paths, strict=True)]
    todo = [job for job in jobs if not job.path.exists() and not _again(kept, job, films)]
    bounds = Bounds(deadline_s=_HOUR_S)
    if any(_blends(job.timeline) for job in todo):
        import cv2  # noqa: F401 (once here, and not in each worker, which is forked)
    for job, outcome in zip(
        todo,
        ordered_map(render_segment, todo, workers=workers, bounds=bounds, description="segments", fork=True),
        strict=True,
    ):
        if outcome.value is None:
            raise AiprodError(f"frames {job.first} to {job.behind - 1}: {outcome.reason}")
        if outcome.value != job.behind - job.first:
            raise AiprodError(f"frames {job.first} to {job.behind - 1} came out as {outcome.value}", "report this")
        if kept is not None:
            kept.put(_segment_key(kept, job, films), partial(_keep, job.path))
    made: Mix | None = None
    if mixed is None:
        with ticker("sound", 3 * timeline.samples) as tick:
            made = mix(timeline, sources, folder, tick.advance)
        mixed = opened_mix(made.path, made.samples)
    start = format_timecode(timeline.start, timeline.rate, timeline.drop_frame) if timeline.start else None
    sound = mixed if timeline.sounds else None
    pieces = [(job.path, job.behind - job.first) for job in jobs]
    light = join_segments(out, pieces, form, sound, timecode=start, tags={"title": timeline.name, **(tags or {})})
    written: dict[Bus, Path] = {}
    if stems and made is not None:
        for bus, raw in made.stems.items():
            written[bus] = out.with_name(f"{out.stem}.{bus}.wav")
            write_wav(written[bus], opened_mix(raw, made.samples), SAMPLE_RATE)
    if timeline.subtitles:
        write_text(out.with_suffix(".srt"), srt(timeline))
        write_text(out.with_suffix(".vtt"), webvtt(timeline))
    shutil.rmtree(folder)
    return Cut(out, timeline.frames, len(todo), len(jobs) - len(todo), made, written, notes, light)


def _segment_key(kept: Memo, job: SegmentJob, films: dict[str, str]) -> str:
    """The address of a segment: what it shows, counted from its first frame, and how it is encoded."""
    timeline = job.timeline
    shown: list[Any] = []
    for track in timeline.pictures:
        for n, clip in enumerate(track.clips):
            first, behind = track.shown(n)
            if first < job.behind and behind > job.first:
                values = clip.model_dump(mode="json")
                paths = [clip.film, *([clip.matte] if clip.matte else []), *(clip.grade.files() if clip.grade else [])]
                values |= {"film": "", "matte": "", "record_in": clip.record_in - job.first}
                values |= {"record_out": clip.record_out - job.first, "grade": _nameless(values["grade"])}
                shown.append([values, [films[str(path)] for path in paths]])
        for transition in track.transitions:
            if transition.record_in < job.behind and transition.record_out > job.first:
                at = {"record_in": transition.record_in - job.first, "record_out": transition.record_out - job.first}
                shown.append(transition.model_dump(mode="json") | at)
        shown.append("track")
    size = [timeline.width, timeline.height, str(timeline.rate), job.behind - job.first]
    return kept.key(VERSION, shown, size, repr(job.form), library())


def _nameless(value: Any) -> Any:
    """A grade without the paths of its files, whose digests stand for them."""
    if isinstance(value, dict):
        return {key: _nameless(part) for key, part in value.items() if key != "file"}
    return [_nameless(part) for part in value] if isinstance(value, list | tuple) else value


def _keep(path: Path, folder: Path) -> None:
    for each in (path, light_beside(path)):
        if each.exists():
            link_or_copy(each, folder / each.name)


def _again(kept: Memo | None, job: SegmentJob, films: dict[str, str]) -> bool:
    """Put a kept segment where it would be rendered to; whether there is one."""
    entry = kept.get(_segment_key(kept, job, films)) if kept is not None else None
    if entry is None:
        return False
    cached = next(path for path in entry[1].iterdir() if path.suffix == job.path.suffix)
    if light_beside(cached).exists():
        link_or_copy(light_beside(cached), light_beside(job.path))
    link_or_copy(cached, job.path)
    return True


def _blends(timeline: Timeline) -> bool:
    """Whether rendering it mixes pictures, which takes OpenCV."""
    return any(move.kind in ("dissolve", "dip") for track in timeline.pictures for move in track.transitions)


def _claim(folder: Path, key: str) -> None:
    """Make the folder of kept segments, empty unless it is of the same film to be."""
    stamp = folder / "key.json"
    if folder.exists() and not (stamp.exists() and _same(stamp, key)):
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if not stamp.exists():
        write_json(stamp, {"key": key})


def _same(stamp: Path, key: str) -> bool:
    try:
        stamped: Any = read_json(stamp)
    except AiprodError:
        return False
    return isinstance(stamped, dict) and stamped.get("key") == key


def form_of(  # noqa: PLR0917
    timeline: Timeline, codec: str | None, crf: float, preset: str, out: Path, delivery: Delivery = _USUAL
) -> VideoForm:
    """How a timeline's pictures are encoded into a file of this name.

    Args:
        codec: None takes H.264 of 8 bits and HEVC of 10.

    Raises:
        AiprodError: there is no such codec or preset, or it or the file's suffix does not hold what is delivered.
    """
    if codec is None:
        codec = "h264" if delivery.bits == 8 else "hevc"
    if codec not in get_args(Codec):
        raise AiprodError(f"there is no codec {codec!r} here", nearest(codec, list(get_args(Codec))))
    if preset not in SVT_PRESETS:
        raise AiprodError(f"there is no preset {preset!r}", nearest(preset, list(SVT_PRESETS)))
    if codec == "h264" and delivery.bits > 8:
        raise AiprodError("few players show H.264 of 10 bits", "take hevc, av1, prores or dnxhr")
    width, height = LEAST_SIZES.get(cast(Codec, codec), (0, 0))
    if timeline.width < width or timeline.height < height:
        raise AiprodError(f"the encoder of {codec} takes no picture below {width}x{height}", "take another codec")
    form = VideoForm(timeline.rate, timeline.width, timeline.height, cast(Codec, codec), crf, preset, delivery=delivery)
    if out.suffix.lower() != f".{form.container}":
        raise AiprodError(f"{out.name} cannot hold {codec}", f"name it {out.stem}.{form.container}")
    return form


def _lengths(timeline: Timeline) -> dict[Path, Length]:
    """How long films are, and their rate: the timeline's for sound and stills, which last as long as they are shown.

    Sound that ends within a frame lasts to the end of it: editing programs shorten a clip that is longer than its film,
    and what comes behind it is a frame early.
    """
    until: dict[Path, Fraction] = {}
    for track in timeline.pictures:
        for n, clip in enumerate(track.clips):
            ends = clip.source_in + (track.shown(n)[1] - clip.record_in) / timeline.rate
            until[clip.film] = max(ends, until.get(clip.film, ends))
    found = {}
    for film in timeline.films():
        source = look(film)
        if source.still:
            found[film] = until.get(film, 1 / timeline.rate), timeline.rate
        else:
            ends = Fraction(source.ends_s).limit_denominator(10**6)
            if source.rate is None:
                ends = ceil(ends * timeline.rate - _NEAR) / timeline.rate
            found[film] = ends, source.rate or timeline.rate
    return found


def write_lists(timeline: Timeline, out: Path) -> list[Path]:
    """Write what was cut as .otio and .edl beside the film; the edit list where there is a picture track."""
    base = out.parent.resolve()
    written = [out.with_suffix(".otio")]
    write_otio(timeline, written[0], base, _lengths(timeline))
    if timeline.pictures:
        written.append(out.with_suffix(".edl"))
        write_text(written[1], edl(timeline, base))
    return written
