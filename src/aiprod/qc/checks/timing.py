"""Frame rate from presentation timestamps, not from the header."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

VERSION = "2"
METHOD = "median and spread of the intervals between decoded frames' presentation times"


def measure(times_s: NDArray[np.float64], header_fps: float | None, start_s: float, end_s: float) -> dict[str, Any]:
    """Rate, variability and order of frames.

    Args:
        times_s: [N] presentation times in decoding-output order, seconds.
        header_fps: what the container says, for comparison.
        start_s, end_s: the clip's range.
    """
    figures: dict[str, Any] = {
        "frames": int(times_s.size),
        "header_fps": header_fps,
        "clip_s": end_s - start_s,
    }
    if times_s.size < 2:
        return {"status": "unmeasurable", "reason": "fewer than two frames", **figures}
    steps = np.diff(times_s)
    forward = steps[steps > 0]
    figures["unordered"] = int((steps <= 0).sum())
    if forward.size == 0:
        return {"status": "unmeasurable", "reason": "frame times do not increase", **figures}
    median = float(np.median(forward))
    # Containers round times to a tick (1 ms in Matroska): a rate from the median alone would be off by percents.
    regular = forward[np.abs(forward - median) <= 0.1 * median + 0.0011]
    interval = float(regular.mean()) if regular.size else median
    off = np.abs(forward - interval) > 0.1 * interval + 0.0011
    return {
        "status": "ok",
        **figures,
        "fps": 1.0 / interval,
        "mean_fps": float((times_s.size - 1) / (times_s.max() - times_s.min())),
        "interval_min_s": float(forward.min()),
        "interval_max_s": float(forward.max()),
        "off_fraction": float(off.mean()),
        "variable": bool(off.mean() > 0.02),
        "measured_s": float(times_s.max() - times_s.min() + interval),
    }
