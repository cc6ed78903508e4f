"""Listens to the whole sound of a film once and says what is odd about it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aiprod.media.audio_mixing import floats
from aiprod.media.audio_reading import decoded_frames
from aiprod.media.audio_timeline import place
from aiprod.media.audio_tracks import SILENT, chosen
from aiprod.media.container import DEFAULT, Limits, audio_stream, opened
from aiprod.media.demuxing import hidden_ticks
from aiprod.media.edit_lists import edit_notes, stretches
from aiprod.media.media_info import MediaFacts

_SAID_S = 1.0  # of missing or silent sound at the end, from which it is said
_PAUSES = 1.5  # as long as the longest pause before it, a silence at the end may be one more
_JITTER_S = 0.003


@dataclass(frozen=True)
class AudioAnalysis:
    """Times are seconds after the first picture.

    Attributes:
        frames: that decode.
        failed: packets that do not.
        loud_until_s: when the last frame that sounds ends; None where all is silent.
        pause_s: the longest silence before that.
        gaps_s: stretches without sound between its beginning and its end.
        jitter_s: how far time stamps lie from where the sound was placed.
        reset_s: when another recording begins, by the length of what came before; None where there is none.
    """

    frames: int
    failed: int
    begin_s: float = 0.0
    end_s: float = 0.0
    loud_until_s: float | None = None
    pause_s: float = 0.0
    gaps_s: tuple[tuple[float, float], ...] = ()
    jitter_s: float = 0.0
    reset_s: float | None = None


def listen(path: Path | str, facts: MediaFacts, limits: Limits = DEFAULT) -> AudioAnalysis | None:
    """What the whole sound of a film is like; None where it has none."""
    if facts.audio is None:
        return None
    stamps, lengths, loud, failed = [], [], [], 0
    with opened(path, limits) as (container, _):
        stream = audio_stream(container, facts.audio.index)
        if stream is None:
            return None
        stream.thread_count = 1
        hidden = hidden_ticks(stream)
        shown_from_s = -np.inf if hidden is None else float(hidden * stream.time_base)
        for frame in decoded_frames(container, stream):
            if frame is None:
                failed += 1
                continue
            stamps.append(np.nan if frame.time is None else frame.time)
            lengths.append(frame.samples / frame.sample_rate)
            samples = floats(frame)
            shown = np.isnan(stamps[-1]) or stamps[-1] + lengths[-1] > shown_from_s
            loud.append(bool(shown) and max(float(samples.max()), -float(samples.min())) > SILENT)
    if not stamps:
        return AudioAnalysis(0, failed)
    origin_s = facts.video.start_s if facts.video is not None else 0.0
    placed = place(np.array(stamps), np.array(lengths), start_s=facts.audio.start_s)
    spans, until, pause_s = [], None, 0.0
    for run in placed.runs:
        ends = run.start_s - origin_s + np.cumsum(lengths[run.first : run.behind])
        spans.append((float(run.start_s - origin_s), float(ends[-1])))
        sounding = np.flatnonzero(loud[run.first : run.behind])
        if sounding.size:
            starts = ends[sounding[1:]] - np.array(lengths)[run.first + sounding[1:]]
            pause_s = max(pause_s, float((starts - ends[sounding[:-1]]).max(initial=0.0)))
            until = max(until or -np.inf, float(ends[sounding[-1]]))
    gaps = [(a[1], b[0]) for a, b in itertools.pairwise(spans) if b[0] > a[1]]
    primed_s = facts.audio.start_s + facts.audio.priming_s - origin_s
    gaps = [gap for gap in gaps if gap[1] > primed_s + 1e-3]  # some muxers set the priming apart
    reset_s = spans[-1][1] if placed.reset is not None else None
    return AudioAnalysis(
        len(stamps),
        failed,
        max(spans[0][0], shown_from_s - origin_s),
        max(end for _, end in spans),
        until,
        pause_s,
        tuple(gaps),
        placed.jitter_s,
        reset_s,
    )


def sound_notes(
    path: Path | str,
    facts: MediaFacts,
    pictures_end_s: float,
    limits: Limits = DEFAULT,
    heard: AudioAnalysis | None = None,
) -> list[str]:
    """What is odd about the sound of a film, and what of it is not used, in words.

    Args:
        pictures_end_s: seconds after the first picture.
        heard: what ``listen`` said, where it was asked already.
    """
    notes = []
    if facts.audio_streams > 1 or facts.audio is None:
        notes += [f"not used: {words}" for words in chosen(path, limits).passed_over]
    notes += edit_notes(path, facts.container)
    heard = heard or listen(path, facts, limits)
    if heard is None:
        return notes
    if heard.failed:
        notes.append(f"sound: {heard.failed} packets do not decode")
    if not heard.frames:
        return notes
    if heard.reset_s is not None:
        notes.append(f"sound: its clock starts anew after {heard.reset_s:.2f} s; what follows is not used")
    if heard.gaps_s:
        missing_s, first_s = sum(b - a for a, b in heard.gaps_s), heard.gaps_s[0][0]
        notes.append(f"sound: missing for {missing_s:.2f} s in {len(heard.gaps_s)} places, first at {first_s:.2f} s")
    if heard.jitter_s >= _JITTER_S and not (facts.audio and stretches(path, facts.audio.index)):
        words = "joined by the number of its samples"
        notes.append(f"sound: time stamps up to {heard.jitter_s * 1000:.0f} ms off, {words}")
    if heard.loud_until_s is None:
        notes.append("sound: silent throughout")
    elif heard.end_s - heard.loud_until_s >= max(_SAID_S, _PAUSES * heard.pause_s):
        notes.append(f"sound: silent for good from {heard.loud_until_s:.2f} s of {heard.end_s:.2f} s on")
    if pictures_end_s - heard.end_s >= _SAID_S:
        notes.append(f"sound: ends at {heard.end_s:.2f} s, the pictures at {pictures_end_s:.2f} s")
    return notes
