"""Sound against picture: an exact offset from the container, and one from content where the evidence stands out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aiprod.qc.checks.audio_events import HOP_S, envelope_db, onsets
from aiprod.qc.checks.judging import EPSILON_S, Case, Judgements, Rule, judged, or_else
from aiprod.qc.checks.persistent_edges import ranked
from aiprod.qc.clip_context import ClipContext, ClipSound
from aiprod.qc.measurement import Figures, Measurement
from aiprod.qc.metric_table import FigureTable

if TYPE_CHECKING:
    from aiprod.qc.params import QcDecideParams

VERSION = "4"
METHOD = (
    "container: starts and ends of the streams, without the priming of AAC; content: the offset at which most sound "
    "onsets meet a jump of motion half a frame earlier or a turning point a frame earlier, counted only with four "
    "sounds and when no other offset comes near"
)
JUMP_FRAMES, TURN_FRAMES = 0.5, 1.0
"""How long after it happened the evidence of an event stands, on average. Motion into a picture has jumped when the
event came between it and the one before. Motion turns round there only if the event came in the first half of that
time; if it came later, the next picture is the first to show it."""
REACH_S = 1.0
_LEAST_EVENTS = 4
_LEAST_SHARE = 0.7
_RIVAL = 0.6


def seen_events(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """0..1 per frame: how clearly a value stands out of its neighbourhood (six frames either way)."""
    if values.size < 13:
        return np.zeros_like(values)
    around = np.lib.stride_tricks.sliding_window_view(np.pad(values, 6, mode="edge"), 13)
    background = ranked(around.T, 6)
    scale = 1.4826 * ranked(np.abs(around.T - background), 6) + 0.02 * float(values.max()) + 1e-9
    return np.asarray(np.clip(((values - background) / scale - 3.0) / 3.0, 0.0, 1.0))


def content_offset(
    onset_times_s: NDArray[np.float64], times_s: NDArray[np.float64], series: list[tuple[NDArray[np.float64], float]]
) -> tuple[float, float] | None:
    """(offset_s, share of sounds explained): positive when sound comes after the picture.

    None where there are fewer than four sounds, or no offset within a second explains most of them clearly better
    than every other offset does.

    Args:
        onset_times_s: beginnings of sounds on the clip's clock.
        times_s: frame times on the same clock.
        series: per-frame evidence of events (motion energy, reversal of motion), each with the frames by which it is
            late.
    """
    if times_s.size < 13 or onset_times_s.size < _LEAST_EVENTS:
        return None
    frame_s = float(np.median(np.diff(times_s)))
    offsets = np.arange(-REACH_S, REACH_S + HOP_S / 2, HOP_S)
    at = onset_times_s - offsets[:, None]
    inside = (at >= times_s[0]) & (at <= times_s[-1])
    enough = inside.sum(axis=1) >= max(_LEAST_EVENTS, 0.75 * onset_times_s.size)
    whole = inside.all(axis=1)
    best: tuple[float, float] | None = None
    for values, late_frames in series:
        seen = seen_events(values)
        if (seen > 0).sum() < _LEAST_EVENTS:
            continue
        # An event is seen in the frame that follows it: its time is known to a frame either way.
        spread = np.maximum(seen, np.maximum(np.append(seen[1:], 0.0), np.insert(seen[:-1], 0, 0.0)) * 0.7)
        share = np.zeros(offsets.size)
        shown = np.interp(at, times_s, spread)
        share[whole] = shown[whole].mean(axis=1)
        for i in np.flatnonzero(enough & ~whole).tolist():
            share[i] = float(shown[i, inside[i]].mean())
        peak = int(share.argmax())
        near = np.abs(offsets - offsets[peak]) <= max(3 * frame_s, 0.08)
        if share[peak] < _LEAST_SHARE or float(share[~near].max(initial=0.0)) > _RIVAL * share[peak]:
            continue
        plateau = offsets[near & (share >= 0.95 * share[peak])]
        if best is None or share[peak] > best[1]:
            best = (float(plateau.mean()) + late_frames * frame_s, float(share[peak]))
    return best


def measure(
    seen: ClipContext,
    times_s: Sequence[float],
    energy: Sequence[float],
    reversal: Sequence[float],
    starts: NDArray[np.int64] | None = None,
) -> dict[str, Any]:
    """Offsets in seconds, positive when sound is late, and how long before the pictures of the clip the sound ends.

    Args:
        times_s: of the frames that were looked at.
        energy: of motion into each of them.
        reversal: of motion there.
        starts: windows of 10 ms in which sounds begin, where they are known.
    """
    facts, sound = seen.facts, seen.sound
    offset = facts.av_offset_s
    if offset is None or sound is None or facts.audio is None or facts.video is None:
        return seen.without_sound()
    figures: dict[str, Any] = {
        "container_offset_s": offset,
        "content_offset_s": None,
        "content_share": None,
        "missing_end_s": _missing_end_s(seen, sound),
    }
    if facts.audio.duration_s is not None and facts.video.duration_s is not None:
        ends = facts.audio.start_s + facts.audio.duration_s, facts.video.start_s + facts.video.duration_s
        figures["end_difference_s"] = ends[0] - ends[1]
    if sound.span.size:
        starts = onsets(envelope_db(sound.span, sound.rate_hz)) if starts is None else starts
        heard = sound.start_s + np.asarray(starts * HOP_S)
        series = [(np.array(energy), JUMP_FRAMES), (np.array(reversal), TURN_FRAMES)]
        best = content_offset(heard, np.array(times_s), series)
        if best is not None:
            figures["content_offset_s"], figures["content_share"] = best
    return {"status": "ok", **figures}


def _missing_end_s(seen: ClipContext, sound: ClipSound) -> float:
    """Seconds at the end of the clip for which there are pictures and no sound, as far as sound was asked for."""
    shown_s = min(float(seen.times_s[-1]) + seen.frame_s, seen.end_s - seen.start_s)
    return max(0.0, min(shown_s, sound.samples.shape[1] / sound.rate_hz) - sound.end_s)


class Sync(Measurement):
    """Sound against picture."""

    name = "sync"
    version = VERSION
    method = METHOD
    needs = ("motion", "events")

    def measure(self, seen: ClipContext, measurements: Mapping[str, Figures]) -> dict[str, Any]:
        """Offsets in seconds."""
        motion = measurements["motion"]
        return measure(
            seen, motion["_times"], motion["_energy"], motion["_reversal"], measurements["events"].get("_onsets")
        )


def judge(measurements: FigureTable, params: QcDecideParams) -> Judgements:
    """Sound against picture and where it ends; unweighted, a failure asks for a review. Content evidence outranks the
    container's."""
    figures, limits = measurements["sync"], params.sound
    by_content = figures.has("content_offset_s")
    offset = np.where(by_content, figures.number("content_offset_s"), figures.number("container_offset_s"))
    good = np.abs(offset) <= limits.sync_max_s + EPSILON_S
    missing = or_else(figures.number("missing_end_s"), 0.0)
    ends = missing > limits.sync_max_s + EPSILON_S
    far = missing > limits.missing_end_max_s + EPSILON_S
    words = "sound {ms:.0f} ms {side} ({by})"
    end = "the sound ends {missing:.2f} s before the pictures"
    return judged(
        figures,
        Case(ends & good, np.where(far, 0.0, 1.0), end),
        Case(ends, 0.0, f"{words}; {end}"),
        Case(True, good.astype(np.float64), words),
        value=offset,
        ms=np.abs(offset) * 1000,
        side=np.where(offset > 0, "late", "early"),
        by=np.where(by_content, "by content", "by the container"),
        missing=missing,
    )


RULES = (Rule("sync", "sync", {"sync": ("content_offset_s", "container_offset_s", "missing_end_s")}, judge),)
