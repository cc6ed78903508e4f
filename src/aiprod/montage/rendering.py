"""Renders one segment of a timeline, in a worker process that imports no more than this takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from aiprod.media.segments import encode_segment
from aiprod.media.video_form import VideoForm
from aiprod.montage.pictures import Composer
from aiprod.montage.sources import Readers, SourceFacts
from aiprod.montage.timeline import PictureTrack, Timeline


@dataclass(frozen=True)
class SegmentJob:
    """Frames ``first`` to ``behind - 1`` of a timeline, to be written to ``path``.

    Attributes:
        timeline: with no more clips than these frames show.
        sources: what is known of their films.
    """

    timeline: Timeline
    first: int
    behind: int
    path: Path
    form: VideoForm
    sources: dict[Path, SourceFacts]


def job_of(  # noqa: PLR0917
    timeline: Timeline, first: int, behind: int, path: Path, form: VideoForm, sources: Mapping[Path, SourceFacts]
) -> SegmentJob:
    """The job of rendering these frames of a whole timeline."""
    tracks: list[PictureTrack] = []
    films: dict[Path, SourceFacts] = {}
    for track in timeline.pictures:
        spans = [track.shown(n) for n in range(len(track.clips))]
        clips = [c for c, (begin, end) in zip(track.clips, spans, strict=True) if begin < behind and end > first]
        moves = [t for t in track.transitions if t.record_in < behind and t.record_out > first]
        tracks.append(PictureTrack.model_construct(name=track.name, clips=tuple(clips), transitions=tuple(moves)))
        films |= {film: sources[film] for clip in clips for film in (clip.film, clip.matte) if film is not None}
    part = timeline.model_copy(update={"pictures": tuple(tracks), "sounds": (), "subtitles": ()})
    return SegmentJob(part, first, behind, path, form, films)


@cache
def _readers() -> Readers:
    return Readers()


def render_segment(job: SegmentJob) -> int:
    """Render one segment; runs in a worker process. Returns its number of pictures."""
    with Composer(job.timeline, job.sources, job.form.delivery, _readers()) as composer:
        return encode_segment(job.path, composer.frames(job.first, job.behind), job.form)
