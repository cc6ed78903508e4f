"""Sound of a film as float32 samples [channels, samples] on the clock of its pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from aiprod.media.audio_reading import AudioTrack, read_track
from aiprod.media.audio_resampling import resampled
from aiprod.media.audio_tracks import chosen
from aiprod.media.container import DEFAULT, Limits
from aiprod.media.probing import probe

_SEAM = 2  # samples by which rounding may part what is contiguous


@dataclass(frozen=True)
class AudioWindow:
    """Decoded sound of a window, and where in it the file has any.

    Attributes:
        samples: float32 [channels, T]; zeros where the file has no sound.
        ranges: (first, behind the last) sample of each stretch that the file has, in order and apart from each other.
            Neither the padding of the last packet nor what is outside of the window is in them.
    """

    samples: np.ndarray
    ranges: tuple[tuple[int, int], ...]


class DecodedAudio(NamedTuple):
    """All sound of a film at its own rate.

    Attributes:
        samples: float32 [1 or 2, T]; zeros in gaps.
        start_s: when the first sample sounds, seconds after the first picture (after the container's zero where there
            is not a picture).
    """

    samples: np.ndarray
    sample_rate: int
    start_s: float


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
) -> AudioWindow | None:
    """Decode sound, resampled and mixed to ``channels`` (5.1 and others by the matrix of ITU-R BS.775).

    Decoded sound is joined by the number of its samples; where it lies, time stamps say
    (:mod:`~aiprod.media.audio_timeline`). Sound that starts late begins with zeros, gaps are zeros. What follows a
    reset of the clock is another recording and is not heard.

    Args:
        rate: samples per second of the result.
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
    sound = None if index is None else read_track(path, index, begin, begin + window_s, limits)
    if sound is None:
        return None
    total = None if duration_s is None else round(duration_s * rate)
    samples, ranges = _laid(sound, rate, begin, total, limits)
    if channels == 1:
        samples = samples.mean(axis=0, keepdims=True)
    elif samples.shape[0] < channels:  # one channel sounds on both sides at its own level
        samples = np.repeat(samples, channels, axis=0)
    return AudioWindow(samples, ranges)


def decode_sound(path: Path | str, *, track: int | None = None, limits: Limits = DEFAULT) -> DecodedAudio | None:
    """All sound of a film at its own rate, mixed to two channels at most; None where it has none.

    Raises:
        MediaError: as :func:`hear`.
    """
    facts = probe(path, limits)
    index = track if track is not None else (facts.audio.index if facts.audio is not None else None)
    if index is None:
        return None
    origin_s = facts.video.start_s if facts.video is not None else 0.0
    sound = read_track(path, index, -np.inf, np.inf, limits)
    if sound is None:
        return None
    segments = sound.segments
    begin = min((segment.start_s for segment in segments), default=origin_s)
    rate = segments[0].rate if segments else 48_000
    samples, _ = _laid(sound, rate, begin, None, limits)
    return DecodedAudio(samples, rate, begin - origin_s)


def _laid(
    track: AudioTrack, rate: int, begin: float, total: int | None, limits: Limits
) -> tuple[np.ndarray, tuple[tuple[int, int], ...]]:
    """Samples of a window that begins at ``begin``, and the ranges of it that sound; ``total`` None = to the end."""
    pieces: list[tuple[int, np.ndarray]] = []
    for segment in track.segments:
        if segment.start_s - begin > limits.sound_s:
            continue
        samples = segment.samples if segment.rate == rate else resampled(segment.samples, segment.rate, rate)
        at = round((segment.start_s - begin) * rate)
        if segment.joins and pieces:
            seam = pieces[-1][0] + pieces[-1][1].shape[1]
            at = seam if abs(at - seam) <= _SEAM else at
        if at + samples.shape[1] > 0:
            pieces.append((at, samples))
    have = max((at + piece.shape[1] for at, piece in pieces), default=0)
    # The last packet is padded to its full length; the container may know where the sound really ends.
    ends = have if track.end_s is None else round((track.end_s - begin) * rate)
    ends = max(0, ends if 0 <= have - ends <= round(track.longest_s * rate) else have)
    total = ends if total is None else total
    ranges = _joined([(at, at + piece.shape[1]) for at, piece in pieces], min(ends, total))
    if len(pieces) == 1 and pieces[0][0] <= 0 and have >= total:  # mostly: nothing has to be put together
        at, piece = pieces[0]
        return piece[:, -at : total - at], ranges
    sound = np.zeros((max((piece.shape[0] for _, piece in pieces), default=1), total), np.float32)
    for at, piece in pieces:
        skip = max(0, -at)
        room = sound[:, at + skip : at + piece.shape[1]]
        room[:] = piece[:, skip : skip + room.shape[1]]
    return sound, ranges


def _joined(stretches: list[tuple[int, int]], end: int) -> tuple[tuple[int, int], ...]:
    """The parts of stretches that are in [0, end), in order, those that meet or overlap as one."""
    spans: list[tuple[int, int]] = []
    for first, behind in sorted((max(0, a), min(b, end)) for a, b in stretches):
        if spans and first <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(spans[-1][1], behind))
        elif first < behind:
            spans.append((first, behind))
    return tuple(spans)
