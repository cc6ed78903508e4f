"""Sound against picture: an exact offset from the container, and one from content where the evidence stands out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiprod.media.facts import MediaFacts
from aiprod.qc.checks.events import HOP_S, envelope_db
from aiprod.qc.evidence import Sound

VERSION = "1"
METHOD = (
    "container: starts and ends of the streams; content: cross-correlation of sound onsets with onsets of motion "
    "and of turning points of motion, 10 ms steps, counted only when the peak stands out"
)
REACH_S = 1.0
_PROMINENCE = 6.0


def onset_strength(level_db: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much louder each 10 ms is than 30 ms earlier, dB, negative values cut, weak sound ignored."""
    floor = max(float(level_db.max()) - 40.0, -70.0)
    clipped = np.maximum(level_db, floor)
    return np.maximum(0.0, clipped - np.concatenate((np.full(3, clipped[0]), clipped[:-3])))


def _events(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Peaks over the local background, robustly scaled: a series whose steady part is 0."""
    if values.size < 8:
        return np.zeros_like(values)
    background = np.median(np.lib.stride_tricks.sliding_window_view(np.pad(values, 6, mode="edge"), 13), axis=1)
    excess = np.maximum(0.0, values - background)
    scale = float(np.median(np.abs(values - background))) + 1e-9
    return np.minimum(np.where(excess > 3.0 * scale, excess / scale, 0.0), 40.0)


def content_offset(
    level_db: NDArray[np.float64], sound_start_s: float, times_s: NDArray[np.float64], series: list[NDArray[np.float64]]
) -> tuple[float, float] | None:
    """(offset_s, prominence): positive when sound comes after the picture. None without enough events.

    Args:
        level_db: 10 ms envelope of the sound.
        sound_start_s: time of its first window on the clip's clock.
        times_s: frame times on the clip's clock.
        series: per-frame evidence of events (motion energy, reversal of motion).
    """
    if times_s.size < 12 or level_db.size < 50:
        return None
    end = min(float(times_s[-1]), sound_start_s + level_db.size * HOP_S)
    steps = int(end / HOP_S)
    if steps < 100:
        return None
    heard = np.zeros(steps)
    strength = onset_strength(level_db)
    index = np.round((sound_start_s + np.arange(strength.size) * HOP_S) / HOP_S).astype(int)
    inside = (index >= 0) & (index < steps)
    np.maximum.at(heard, index[inside], np.minimum(strength[inside], 30.0))
    if (heard > 5.0).sum() < 2:
        return None
    best: tuple[float, float] | None = None
    reach = int(REACH_S / HOP_S)
    for values in series:
        seen = np.zeros(steps)
        frames = np.round(times_s / HOP_S).astype(int)
        ok = (frames >= 0) & (frames < steps)
        np.maximum.at(seen, frames[ok], _events(values)[ok])
        if (seen > 0).sum() < 2:
            continue
        # A frame stands for the whole interval it is shown in.
        width = max(3, round(float(np.median(np.diff(times_s))) / HOP_S)) | 1
        seen = np.convolve(seen, np.hanning(width + 2)[1:-1], mode="same")
        curve = np.correlate(np.pad(heard, reach), seen, mode="valid")
        overlap = steps / np.maximum(steps - np.abs(np.arange(-reach, reach + 1)), steps * 0.5)
        curve = curve * overlap
        peak = int(curve.argmax())
        far = np.abs(np.arange(curve.size) - peak) > 2 * width
        spread = float(curve[far].std()) + 1e-9
        rivals = float(curve[far].max())
        prominence = (float(curve[peak]) - float(curve[far].mean())) / spread
        if float(curve[peak]) < 1.5 * rivals:
            continue
        if best is None or prominence > best[1]:
            best = ((peak - reach) * HOP_S, prominence)
    return best


def measure(
    facts: MediaFacts, sound: Sound | None, times_s: NDArray[np.float64], series: list[NDArray[np.float64]]
) -> dict[str, Any]:
    """Offsets in seconds, positive when sound is late.

    Args:
        sound: of the clip's range, None where there is none.
        times_s: frame times on the clip's clock.
        series: per-frame event evidence.
    """
    offset = facts.av_offset_s
    if offset is None or sound is None or facts.audio is None or facts.video is None:
        return {"status": "unmeasurable", "reason": "no sound stream"}
    figures: dict[str, Any] = {"container_offset_s": offset, "content_offset_s": None, "content_prominence": None}
    if facts.audio.duration_s is not None and facts.video.duration_s is not None:
        figures["end_difference_s"] = offset + facts.audio.duration_s - facts.video.duration_s
    if sound.samples.size:
        found = content_offset(envelope_db(sound.samples, sound.rate_hz), 0.0, times_s, series)
        if found is not None:
            figures["content_prominence"] = found[1]
            if found[1] >= _PROMINENCE:
                figures["content_offset_s"] = found[0]
    return {"status": "ok", **figures}
