"""Sound of a film as float32 samples [channels, samples] on the clock of its pictures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np

from aiprod.media.audio_mixing import floats, mixing, names_of, two_at_most
from aiprod.media.audio_resampling import resampled, stretched
from aiprod.media.audio_timeline import place
from aiprod.media.audio_tracks import chosen
from aiprod.media.errors import MediaError
from aiprod.media.opening import DEFAULT, Limits, audio_stream, opened, video_stream

_PREROLL_S = 1.0  # AAC and Opus need some packets before the wanted sample, rounded time stamps the middle of many
_LATE_S = 0.25  # a seek that lands so far behind its target has missed
_AHEAD_S = 1.0  # what is decoded behind the window to tell jitter of its last stamps from gaps
_EXACT_S = 0.001  # stamps that jitter more do not tell where the sound ends to a sample
_SEAM = 2  # samples by which rounding may part what is contiguous


@dataclass(frozen=True)
class Heard:
    """Decoded sound of a window, and where in it the file has any.

    Attributes:
        samples: float32 [channels, T]; zeros where the file has no sound.
        ranges: (first, behind the last) sample of each stretch that the file has, in order and apart from each other.
            Neither the padding of the last packet nor what lies outside of the window is in them.
    """

    samples: np.ndarray
    ranges: tuple[tuple[int, int], ...]


class Decoded(NamedTuple):
    """All sound of a film at its own rate.

    Attributes:
        samples: float32 [1 or 2, T]; zeros in gaps.
        start_s: when the first sample sounds, seconds after the first picture (after the container's zero where there
            is no picture).
    """

    samples: np.ndarray
    sample_rate: int
    start_s: float


class _Segment(NamedTuple):
    """Contiguous sound of one form that begins at ``start_s`` on the container's clock."""

    start_s: float
    rate: int
    samples: np.ndarray
    joins: bool  # it follows the segment before it without a gap


@dataclass
class _Frames:
    """Frames of a stream in the order of decoding."""

    stamps_s: list[float] = field(default_factory=list)
    lengths_s: list[float] = field(default_factory=list)
    forms: list[tuple[Any, ...]] = field(default_factory=list)
    samples: list[np.ndarray] = field(default_factory=list)
    failed: int = 0
    declared_end_s: float | None = None
    from_start: bool = True
    absent: bool = False  # there is no such stream, or no decoder for it


def read_sound(
    path: Path | str,
    rate: int = 48_000,
    channels: int = 2,
    *,
    start_s: float = 0.0,
    duration_s: float | None = None,
    origin_s: float = 0.0,
    track: int | None = None,
    limits: Limits = DEFAULT,
) -> np.ndarray | None:
    """The samples of :func:`hear`, float32 [channels, T]; None when there is no sound stream."""
    heard = hear(
        path, rate, channels, start_s=start_s, duration_s=duration_s, origin_s=origin_s, track=track, limits=limits
    )
    return None if heard is None else heard.samples


def hear(
    path: Path | str,
    rate: int = 48_000,
    channels: int = 2,
    *,
    start_s: float = 0.0,
    duration_s: float | None = None,
    origin_s: float = 0.0,
    track: int | None = None,
    limits: Limits = DEFAULT,
) -> Heard | None:
    """Decode sound, resampled and mixed to ``channels`` (5.1 and others by the matrix of ITU-R BS.775).

    Decoded sound is joined by the number of its samples; where it lies, time stamps say
    (:mod:`~aiprod.media.audio_timeline`). Sound that starts late begins with zeros, gaps are zeros. What follows a
    reset of the clock is another recording and is not heard.

    Args:
        rate: samples a second of the result.
        channels: 1 (the mean of two) or 2.
        start_s: of the window, seconds after ``origin_s``.
        duration_s: of the window; None = to the end.
        origin_s: time zero on the container's clock; give ``facts.video.start_s`` to share the pictures' clock.
        track: number of the sound stream (``facts.audio.index``); None = the one that ``probe`` chooses.

    Returns:
        ``round(duration_s * rate)`` samples of each channel (or as many as there are), None when there is no sound
        stream.

    Raises:
        MediaError: the file does not open, or there is a sound stream of which nothing decodes.
    """
    begin = origin_s + start_s
    window_s = min(duration_s if duration_s is not None else limits.sound_s, limits.sound_s)
    index = chosen(path, limits).index if track is None else track
    frames = None if index is None else _read(path, index, begin, begin + window_s, limits)
    if frames is None:
        return None
    total = None if duration_s is None else round(duration_s * rate)
    samples, ranges = _laid(frames, rate, begin, total)
    if channels == 1:
        samples = samples.mean(axis=0, keepdims=True)
    elif samples.shape[0] < channels:  # one channel sounds on both sides at its own level
        samples = np.repeat(samples, channels, axis=0)
    return Heard(samples, ranges)


def decode_sound(path: Path | str, *, track: int | None = None, limits: Limits = DEFAULT) -> Decoded | None:
    """All sound of a film at its own rate, mixed to two channels at most; None where it has none.

    Raises:
        MediaError: as :func:`hear`.
    """
    index = chosen(path, limits).index if track is None else track
    if index is None:
        return None
    with opened(path, limits) as (container, _):
        has_video = video_stream(container) is not None
    origin_s = 0.0
    if has_video:
        from aiprod.media.frames import VideoReader

        with VideoReader(path, limits) as reader:
            origin_s = reader.facts.start_s
    frames = _read(path, index, -np.inf, np.inf, limits)
    if frames is None:
        return None
    segments, _ = _segments(frames)
    begin = min((segment.start_s for segment in segments), default=origin_s)
    rate = segments[0].rate if segments else 48_000
    samples, _ = _laid(frames, rate, begin, None)
    return Decoded(samples, rate, begin - origin_s)


def decoded_frames(container: Any, stream: Any) -> Iterator[av.AudioFrame | None]:
    """Frames of a sound stream in the order of decoding; None for each packet that does not decode."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except (av.error.FFmpegError, ValueError):  # a size that is no size; nothing after it can be found
            yield None
            return
        if packet is None:
            return
        try:
            frames = packet.decode()
        except av.error.EOFError:
            return
        except (av.error.FFmpegError, ValueError):
            yield None
            continue
        for frame in frames:
            if frame.samples and frame.sample_rate:
                yield frame


def _read(path: Path | str, index: int, begin: float, end: float, limits: Limits) -> _Frames | None:
    """What decodes of a window on the container's clock and a little about it."""
    frames = _try(path, index, begin, end, limits, seek=True)
    if frames is None:
        frames = _try(path, index, begin, end, limits, seek=False)
    if frames is None or frames.absent:
        return None
    if not frames.samples and frames.failed:
        raise MediaError("damaged", f"the sound does not decode ({frames.failed} packets failed)")
    return frames


def _try(path: Path | str, index: int, begin: float, end: float, limits: Limits, *, seek: bool) -> _Frames | None:
    """None where a seek missed."""
    found = _Frames()
    with opened(path, limits) as (container, kind):
        stream = audio_stream(container, index)
        if stream is None or stream.codec_context is None or not stream.codec_context.sample_rate:
            found.absent = True
            return found
        stream.thread_count = 1
        first_s = float((stream.start_time or 0) * stream.time_base)
        if stream.duration and kind.demuxer == "mov":  # others state none, or an estimate
            found.declared_end_s = first_s + float(stream.duration * stream.time_base)
        target = begin - _PREROLL_S
        sought = seek and target > first_s + 1.0
        if sought:
            try:
                container.seek(int(target / stream.time_base), stream=stream, backward=True)
            except av.error.FFmpegError:
                return None
        found.from_start = not sought
        matrices: dict[str, np.ndarray | None] = {}
        expected, beyond_s = first_s, 0.0
        for frame in decoded_frames(container, stream):
            if frame is None:
                found.failed += 1
                continue
            stamp = frame.time  # a fraction made for each frame would cost as much as decoding it
            if sought and not found.samples and (stamp is None or stamp > target + _LATE_S):
                return None
            expected = expected if stamp is None else stamp
            layout = frame.layout.name
            if layout not in matrices:
                matrices[layout] = mixing(names_of(frame.layout))
            samples = two_at_most(floats(frame), matrices[layout])
            found.stamps_s.append(np.nan if stamp is None else stamp)
            found.lengths_s.append(frame.samples / frame.sample_rate)
            found.forms.append((frame.sample_rate, samples.shape[0]))
            found.samples.append(samples)
            beyond_s = beyond_s + found.lengths_s[-1] if expected >= end else 0.0
            expected += found.lengths_s[-1]
            if beyond_s >= _AHEAD_S:
                break
    return None if sought and not found.samples else found


def _segments(frames: _Frames) -> tuple[list[_Segment], float]:
    """Contiguous sound of one form each, where time stamps place it, and how much they jitter in seconds."""
    lengths = np.array(frames.lengths_s)
    before = np.concatenate(([0.0], np.cumsum(lengths)))
    first_s = frames.stamps_s[0] if frames.stamps_s else 0.0
    placed = place(np.array(frames.stamps_s), lengths, from_start=frames.from_start,
                   start_s=0.0 if np.isnan(first_s) else first_s)  # fmt: skip
    segments = []
    for run in placed.runs:
        a = run.first
        while a < run.behind:
            b = a + 1
            while b < run.behind and frames.forms[b] == frames.forms[a]:
                b += 1
            rate = frames.forms[a][0]
            samples = np.concatenate(frames.samples[a:b], axis=1)
            since_s = before[a] - before[run.first]
            start_s = run.start_s + since_s
            if run.knots:
                samples, late_s = stretched(samples, rate, since_s, run.knots)
                start_s += late_s
            segments.append(_Segment(start_s, rate, samples, a > run.first))
            a = b
    return segments, placed.jitter_s


def _laid(
    frames: _Frames, rate: int, begin: float, total: int | None
) -> tuple[np.ndarray, tuple[tuple[int, int], ...]]:
    """Samples of a window that begins at ``begin``, and the ranges of it that sound; ``total`` None = to the end."""
    pieces: list[tuple[int, np.ndarray]] = []
    segments, jitter_s = _segments(frames)
    for segment in segments:
        samples = segment.samples if segment.rate == rate else resampled(segment.samples, segment.rate, rate)
        at = round((segment.start_s - begin) * rate)
        if segment.joins and pieces:
            seam = pieces[-1][0] + pieces[-1][1].shape[1]
            at = seam if abs(at - seam) <= _SEAM else at
        if at + samples.shape[1] > 0:
            pieces.append((at, samples))
    have = max((at + piece.shape[1] for at, piece in pieces), default=0)
    # The last packet is padded to its full length; the container may know where the sound really ends.
    known_s = frames.declared_end_s if jitter_s < _EXACT_S else None
    ends = have if known_s is None else round((known_s - begin) * rate)
    ends = max(0, ends if 0 <= have - ends <= round(max(frames.lengths_s, default=0.0) * rate) else have)
    total = ends if total is None else total
    sound = np.zeros((max((piece.shape[0] for _, piece in pieces), default=1), total), np.float32)
    for at, piece in pieces:
        skip = max(0, -at)
        room = sound[:, at + skip : at + piece.shape[1]]
        room[:] = piece[:, skip : skip + room.shape[1]]
    return sound, _joined([(at, at + piece.shape[1]) for at, piece in pieces], min(ends, total))


def _joined(stretches: list[tuple[int, int]], end: int) -> tuple[tuple[int, int], ...]:
    """The parts of stretches that lie in [0, end), in order, those that meet or overlap as one."""
    found: list[tuple[int, int]] = []
    for first, behind in sorted((max(0, a), min(b, end)) for a, b in stretches):
        if found and first <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], behind))
        elif first < behind:
            found.append((first, behind))
    return tuple(found)
