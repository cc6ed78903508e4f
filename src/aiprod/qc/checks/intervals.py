"""Durations of runs of flagged frames, from presentation times."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def run_bounds(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Half-open index ranges of the runs of True."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], flags.astype(np.int8), [0]))))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def durations_s(flags: NDArray[np.bool_], times_s: NDArray[np.float64]) -> list[float]:
    """Duration of each run: each frame lasts until the next one; the last lasts a median interval."""
    if times_s.size == 0:
        return []
    steps = np.diff(times_s)
    last = float(np.median(steps)) if steps.size else 0.0
    ends = np.append(times_s, times_s[-1] + last)
    return [float(ends[b] - ends[a]) for a, b in run_bounds(flags)]


def total_duration_s(flags: NDArray[np.bool_], times_s: NDArray[np.float64]) -> tuple[float, float]:
    """Sum and maximum of the runs' durations."""
    durations = durations_s(flags, times_s)
    return (float(sum(durations)), float(max(durations))) if durations else (0.0, 0.0)
