"""Whether sound comes when something bounces: reversals of an object's path against onsets of sound.

On real demo films with one object (64 x 112 pixels, 12 frames per second) the median offset is below 10 ms and nine in
ten are within 20 ms, finer than a picture, because a bounce is placed where the paths before and after it cross.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from aiprod.evaluation.video_attributes import colour_mask

_PIXELS = 4  # an object of fewer pixels has no position
_SEEN_SHARE = 0.8  # of the pictures that must show the object
_TURN_SHARE = 0.05  # least change of speed at a bounce, in picture sizes a picture
_SAME_S = 0.05  # two reversals this close are one impact (a corner)
_NEAR_S = 0.1  # an onset this close to a bounce belongs to it


@dataclass(frozen=True)
class SyncInput:
    """One video: uint8 RGB [F, H, W, 3] at ``fps``, its onsets of sound, and the colour of its only object."""

    pictures: np.ndarray
    fps: float
    onsets_s: list[float]
    colour: str


def seen_impacts_s(pictures: np.ndarray, fps: float, colour: str) -> list[float] | None:
    """Times at which the object of this colour turns round, or None where it is not seen in most pictures."""
    mask = colour_mask(pictures, colour)
    seen = mask.sum(axis=(1, 2)) >= _PIXELS
    if seen.mean() < _SEEN_SHARE:
        return None
    times: list[float] = []
    at = np.arange(len(pictures))
    for axis, size in ((2, pictures.shape[2]), (1, pictures.shape[1])):
        places = np.arange(size, dtype=np.float64)
        weight = mask.sum(axis=3 - axis)  # [F, size]
        centre = (weight * places).sum(axis=1) / np.maximum(weight.sum(axis=1), 1)
        times += [turn / fps for turn in _turns(np.interp(at, at[seen], centre[seen]), _TURN_SHARE * size)]
    kept: list[float] = []
    for time in sorted(times):
        if not kept or time - kept[-1] > _SAME_S:
            kept.append(time)
    return kept


def synchrony(videos: Sequence[SyncInput]) -> dict[str, Any] | None:
    """How far the nearest onset lies from each bounce, and how far it would with the sound of the other videos.

    Returns:
        ``bounces``, ``median_offset_ms`` (positive: sound late), ``within_100_ms``, and ``chance`` (the same with other
        videos' sound); None where no bounce is seen.
    """
    seen = [(seen_impacts_s(v.pictures, v.fps, v.colour) or [], v.onsets_s) for v in videos]
    own = [_nearest(time, onsets) for times, onsets in seen for time in times]
    if not own:
        return None
    others = [
        _nearest(time, onsets)
        for i, (times, _) in enumerate(seen)
        for j, (_, onsets) in enumerate(seen)
        if i != j
        for time in times
    ]
    heard = [offset for offset in own if offset is not None]
    return {
        "bounces": len(own),
        "median_offset_ms": round(1000 * float(np.median(heard)), 1) if heard else None,
        "within_100_ms": round(_share(own), 4),
        "chance": round(_share(others), 4) if others else None,
    }


def _turns(path: np.ndarray, least: float) -> list[float]:
    """Picture numbers, with fractions, at which a path reverses sharply."""
    speed = np.diff(path)
    turns: list[float] = []
    for i in range(len(speed) - 1):
        last = speed[min(i + 2, len(speed) - 1)]
        through = i + 2 < len(speed) and abs(speed[i + 1]) < 0.35 * abs(speed[i]) and speed[i] * last < 0
        if not (speed[i] * speed[i + 1] < 0 or through) or abs(last - speed[i]) < least:
            continue
        before = speed[i - 1] if i and abs(speed[i]) <= 0.5 * abs(speed[i - 1]) else speed[i]
        after = last if abs(speed[i + 1]) <= 0.5 * abs(last) else speed[i + 1]
        if before == after:
            turns.append(float(i + 1))
            continue
        # where the line through (i, path[i]) and the one through (i + 2, path[i + 2]) cross
        crossing = (path[i + 2] - path[i] + before * i - after * (i + 2)) / (before - after)
        turns.append(float(np.clip(crossing, i, i + 2)))
    return turns


def _nearest(time: float, onsets: list[float]) -> float | None:
    """Offset of the nearest onset, None where there is no sound event."""
    return min((onset - time for onset in onsets), key=abs) if onsets else None


def _share(offsets: Sequence[float | None]) -> float:
    return sum(offset is not None and abs(offset) <= _NEAR_S for offset in offsets) / len(offsets)
