"""Frame rate from presentation timestamps, not from the header."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from aiprod.qc.checks.judging import EPSILON_S, Case, Judgements, Rule, answered, judged, or_else, ramp, rounded
from aiprod.qc.clip_context import ClipContext
from aiprod.qc.measurement import Figures, Measurement
from aiprod.qc.metric_table import FigureTable

if TYPE_CHECKING:
    from aiprod.media.media_info import VideoFacts
    from aiprod.qc.measure_params import QcMeasureParams
    from aiprod.qc.params import QcDecideParams

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


class Timing(Measurement):
    """Frame rate and length."""

    name = "timing"
    version = VERSION
    method = METHOD

    def __init__(self, header_fps: float | None) -> None:
        self._header_fps = header_fps

    @classmethod
    def begin(cls, params: QcMeasureParams, video: VideoFacts) -> Self:
        """Of a clip whose file states this rate."""
        return cls(video.fps or None)

    def measure(self, seen: ClipContext, measurements: Mapping[str, Figures]) -> dict[str, Any]:
        """Rate, variability and order of frames; how much was decoded, where that is not all."""
        end_s = min(seen.end_s, seen.start_s + seen.shown_s)
        figures = measure(seen.times_s, self._header_fps, seen.start_s, end_s)
        if seen.bounded:
            figures["bounded_at_s"] = seen.end_s - seen.start_s
            if np.isfinite(seen.asked_end_s):
                figures["clip_s"] = seen.asked_end_s - seen.start_s
        return figures


def judge_fps(measurements: FigureTable, params: QcDecideParams) -> Judgements:
    """Measured rate within limits, and evenness of the intervals."""
    figures, limits = measurements["timing"], params.video
    rate, off = figures.number("fps"), figures.number("off_fraction")
    low = limits.fps_min * 1000 / 1001 * (1 - 1e-3)  # NTSC's 24000/1001 counts as 24; times are rounded to ticks
    within = (low <= rate) & (rate <= limits.fps_max * (1 + 1e-3))
    spread = limits.interval_spread_max
    score = 1.0 - ramp(off, 0.0, spread) if spread > 0 else (off == 0).astype(np.float64)
    return judged(
        figures,
        Case(~within, 0.0, f"{{rate:.2f}} fps is outside {limits.fps_min:g} to {limits.fps_max:g}"),
        Case(off > 0, score, "{rate:.2f} fps, {off:.0%} of the intervals are uneven"),
        Case(True, score, "{rate:.2f} fps, even"),
        value=rounded(rate, 3),
        rate=rate,
        off=off,
    )


def judge_duration(measurements: FigureTable, params: QcDecideParams) -> Judgements:
    """Length of the clip within limits; unweighted."""
    figures, limits = measurements["timing"], params.video
    length, rate = figures.number("clip_s"), or_else(figures.number("fps"), 0.0)
    slack = np.divide(0.5, rate, out=np.full(rate.size, EPSILON_S), where=rate != 0)
    return answered(
        measurements,
        Case(
            length < limits.duration_min_s - slack,
            0.0,
            f"{{length:.2f}} s is shorter than {limits.duration_min_s:g} s",
        ),
        Case(
            length > limits.duration_max_s + slack,
            0.0,
            f"{{length:.2f}} s is longer than {limits.duration_max_s:g} s",
        ),
        Case(True, 1.0, "{length:.2f} s"),
        value=rounded(length, 3),
        length=length,
    )


RULES = (
    Rule("fps", "timing", {"timing": ("fps", "off_fraction")}, judge_fps, weight=0.15, may_reject=True),
    Rule("duration", "timing", {"timing": ("clip_s", "fps")}, judge_duration, may_reject=True),
)
