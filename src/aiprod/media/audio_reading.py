"""Reads a sound stream: what decodes of it, joined and laid on the container's clock."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
from av.stream import Discard

from aiprod.media.audio_mixing import mixing, names_of
from aiprod.media.audio_resampling import stretched
from aiprod.media.audio_timeline import place
from aiprod.media.container import Limits, audio_stream, opened
from aiprod.media.demuxing import demuxed, hidden_ticks
from aiprod.media.edit_lists import EditListEntry, stretches
from aiprod.media.errors import MediaError
from aiprod.media.fragment_times import fragments_begin
from aiprod.media.matroska_lacing import Laces
from aiprod.media.sample_store import SampleStore
from aiprod.media.sniffing import sniff

_PREROLL_S = 1.0  # AAC and Opus need some packets before the wanted sample, rounded time stamps the middle of many
_LATE_S = 0.25  # a seek that lands so far behind its target has missed
_AHEAD_S = 1.0  # what is decoded behind the window to tell jitter of its last stamps from gaps
_SPARE_S = 0.25  # a packet or two over what is declared
_EXACT_S = 0.001  # stamps that jitter more do not tell where the sound ends to a sample


class Segment(NamedTuple):
    """Contiguous sound of one form that begins at ``start_s`` on the container's clock."""

    start_s: float
    rate: int
    samples: np.ndarray
    joins: bool  # it follows the segment before it without a gap


class AudioTrack(NamedTuple):
    """Attributes:
    end_s: where the container says that the sound ends, on its clock; None where it cannot be told.
    longest_s: frame, by which the sound may be padded behind that.
    """

    segments: list[Segment]
    end_s: float | None
    longest_s: float


@dataclass
class Frames:
    """Frames of a stream in the order of decoding."""

    stamps_s: list[float] = field(default_factory=list)
    lengths_s: list[float] = field(default_factory=list)
    forms: list[tuple[Any, ...]] = field(default_factory=list)
    samples: SampleStore = field(default_factory=lambda: SampleStore(0.0))
    failed: int = 0
    declared_end_s: float | None = None
    shown_from_s: float | None = (
        None  # what lies before it is not to be heard, by an edit list that FFmpeg leaves to us
    )
    from_start: bool = True
    absent: bool = False  # there is no such stream, or no decoder for it


def decoded_frames(container: Any, stream: Any) -> Iterator[av.AudioFrame | None]:
    """Frames of a sound stream in the order of decoding; None for each packet that does not decode."""
    packets, laces = demuxed(container, stream), Laces(stream)
    while True:
        try:
            packet = next(packets, None)
        except (av.error.FFmpegError, ValueError):  # a size that is no size; nothing after it can be found
            yield None
            return
        if packet is None:
            return
        laces.packet(packet)
        try:
            frames = packet.decode()
        except av.error.EOFError:
            return
        except (av.error.FFmpegError, ValueError):
            yield None
            continue
        for frame in frames:
            if frame.samples and frame.sample_rate and frame.layout.nb_channels:
                laces.frame(frame)
                yield frame


def read_track(path: Path | str, index: int, begin: float, end: float, limits: Limits) -> AudioTrack | None:
    """What decodes of a window on the container's clock and a little about it."""
    edits = stretches(path, index) if sniff(path).demuxer == "mov" else []
    frames = None
    if not edits:
        frames = _try(path, index, begin, end, limits, seek=True)
    if frames is None:
        frames = _try(path, index, -np.inf, np.inf if edits else end, limits, seek=False, edited=not edits)
    if frames is None or frames.absent:
        return None
    if not len(frames.samples) and frames.failed:
        raise MediaError("damaged", f"the sound does not decode ({frames.failed} packets failed)")
    segments, jitter_s = segments_of(frames)
    if edits:
        return AudioTrack(_edited(segments, edits), None, 0.0)
    if frames.shown_from_s is not None:
        segments = list(_shown_from(segments, frames.shown_from_s))
    known_s = frames.declared_end_s if jitter_s < _EXACT_S else None
    return AudioTrack(segments, known_s, max(frames.lengths_s, default=0.0))


def _shown_from(segments: list[Segment], shown_from_s: float) -> Iterator[Segment]:
    for segment in segments:
        skip = max(0, round((shown_from_s - segment.start_s) * segment.rate))
        if skip < segment.samples.shape[1]:
            start_s = segment.start_s + skip / segment.rate
            yield segment._replace(start_s=start_s, samples=segment.samples[:, skip:])


def _edited(segments: list[Segment], edits: list[EditListEntry]) -> list[Segment]:
    """The stretches of a track that its edit list shows, where it shows them."""
    shown, now_s = [], 0.0
    for edit in edits:
        for segment in segments if edit.from_s >= 0 else ():
            first = round((edit.from_s - segment.start_s) * segment.rate)
            behind = first + round(edit.lasts_s * segment.rate)
            part = segment.samples[:, max(0, first) : max(0, behind)]
            if part.shape[1]:
                shown.append(Segment(now_s + max(0, -first) / segment.rate, segment.rate, part, False))
        now_s += edit.lasts_s
    return shown


def _try(
    path: Path | str, index: int, begin: float, end: float, limits: Limits, *, seek: bool, edited: bool = True
) -> Frames | None:
    """None where a seek missed.

    Args:
        edited: by the edit list of an MP4 file; False = the track as it is stored.
    """
    frames = Frames()
    options = {} if edited else {"ignore_editlist": "1"}
    indexed = sniff(path).demuxer == "mov" and fragments_begin(path) is None
    if indexed:  # which says of pictures what is asked for here; else FFmpeg decodes the first of them on opening
        options["codec_whitelist"] = _sound_decoders()
    with opened(path, limits, options) as (container, kind):
        stream = audio_stream(container, index)
        if stream is None or stream.codec_context is None or not stream.codec_context.sample_rate:
            frames.absent = True
            return frames
        stream.thread_count = 1
        for other in container.streams if indexed else ():  # whose packets need not be read
            if other.index != index:
                other.discard = Discard.all
        if edited and (until := hidden_ticks(stream)) is not None:
            frames.shown_from_s = float(until * stream.time_base)
        first_s = float((stream.start_time or 0) * stream.time_base)
        if stream.duration and kind.demuxer == "mov":  # others state none, or an estimate
            frames.declared_end_s = first_s + float(stream.duration * stream.time_base)
        target = begin - _PREROLL_S
        last_s = np.inf if frames.declared_end_s is None else frames.declared_end_s + _SPARE_S
        frames.samples = SampleStore(min(end + 2 * _AHEAD_S, last_s) - max(target, first_s))
        sought = seek and target > first_s + 1.0
        if sought:
            try:
                container.seek(int(target / stream.time_base), stream=stream, backward=True)
            except av.error.FFmpegError:
                return None
        frames.from_start = not sought
        matrices: dict[str, np.ndarray | None] = {}
        expected, beyond_s, total_s = first_s, 0.0, 0.0
        for frame in decoded_frames(container, stream):
            if frame is None:
                frames.failed += 1
                continue
            stamp = frame.time  # a fraction made for each frame would cost as much as decoding it
            if sought and not len(frames.samples) and (stamp is None or stamp > target + _LATE_S):
                return None
            expected = expected if stamp is None else stamp
            layout = frame.layout.name
            if layout not in matrices:
                matrices[layout] = mixing(names_of(frame.layout))
            rate = frame.sample_rate
            length_s = frame.samples / rate
            frames.stamps_s.append(np.nan if stamp is None else stamp)
            frames.lengths_s.append(length_s)
            frames.forms.append((rate, frames.samples.add(frame, matrices[layout])))
            beyond_s = beyond_s + length_s if expected >= end else 0.0
            expected += length_s
            total_s += length_s
            if beyond_s >= _AHEAD_S or total_s > 2 * limits.sound_s:
                break
    return None if sought and not len(frames.samples) else frames


@lru_cache(maxsize=1)
def _sound_decoders() -> str:
    """Their names, as FFmpeg takes them."""
    names = set()
    for name in av.codec.codecs_available:
        with contextlib.suppress(ValueError, av.error.FFmpegError):  # it only encodes
            codec = av.Codec(name, "r")
            if codec.type == "audio":
                names.add(codec.name)
    return ",".join(sorted(names))


def segments_of(frames: Frames) -> tuple[list[Segment], float]:
    """Contiguous sound of one form each, where time stamps place it, and how much they jitter in seconds."""
    lengths = np.array(frames.lengths_s)
    before = np.concatenate(([0.0], np.cumsum(lengths)))
    first_s = frames.stamps_s[0] if frames.stamps_s else 0.0
    placed = place(
        np.array(frames.stamps_s), lengths, from_start=frames.from_start, start_s=0.0 if np.isnan(first_s) else first_s
    )
    segments = []
    for run in placed.runs:
        a = run.first
        while a < run.behind:
            b = a + 1
            while b < run.behind and frames.forms[b] == frames.forms[a]:
                b += 1
            rate = frames.forms[a][0]
            samples = frames.samples.run(a, b)
            since_s = before[a] - before[run.first]
            start_s = run.start_s + since_s
            if run.knots:
                samples, late_s = stretched(samples, rate, since_s, run.knots)
                start_s += late_s
            segments.append(Segment(start_s, rate, samples, a > run.first))
            a = b
    return segments, placed.jitter_s
