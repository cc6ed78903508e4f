"""Black frames: at least 98 % of pixels under 10 % of the signalled range; all runs are summed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from aiprod.qc.checks.intervals import total_duration_s
from aiprod.qc.checks.judging import Case, Judgements, Rule, judged
from aiprod.qc.clip_context import Plane, SmallFrame
from aiprod.qc.measurement import OfFrames
from aiprod.qc.metric_table import FigureTable

if TYPE_CHECKING:
    from aiprod.qc.params import QcDecideParams

VERSION = "3"
METHOD = (
    "every frame (at most 60 a second), single pixels from all over the picture: black when >= 98 % of them lie at or "
    "under 10 % of the signalled range; runs summed"
)
PIXELS = 0.98
LEVEL = 0.10


def dark_fraction(plane: Plane, black_level: float, white_level: float) -> float:
    """Share of pixels at or under 10 % of the signalled range (FFmpeg's blackdetect uses the same rule)."""
    return cv2.countNonZero(cv2.inRange(plane, 0, _limit(black_level, white_level))) / plane.size


def is_black(plane: Plane, black_level: float, white_level: float) -> bool:
    """Whether enough of a picture is dark; most pictures are too light on average for that, which is quickly seen."""
    if cv2.mean(plane)[0] > _lightest(black_level, white_level):
        return False
    return dark_fraction(plane, black_level, white_level) >= PIXELS


def _lightest(black_level: float, white_level: float) -> float:
    """The greatest mean of a picture that is black."""
    return PIXELS * _limit(black_level, white_level) + (1 - PIXELS) * 255 + 1e-6


def _limit(black_level: float, white_level: float) -> int:
    return int(black_level + LEVEL * (white_level - black_level))


class Black(OfFrames):
    """Sum of black stretches."""

    name = "black"
    version = VERSION
    method = METHOD

    def __init__(self) -> None:
        self._dark: list[bool] = []
        self._times: list[float] = []
        self._levels, self._lightest = (0.0, 0.0), 0.0

    def feed(self, frame: SmallFrame) -> None:
        """Take one frame."""
        levels = frame.black_level, frame.white_level
        if levels != self._levels:
            self._levels, self._lightest = levels, _lightest(*levels)
        self._dark.append(frame.mean <= self._lightest and dark_fraction(frame.sparse, *levels) >= PIXELS)
        self._times.append(frame.time_s)

    def figures(self) -> dict[str, Any]:
        """Total and longest black in seconds."""
        if not self._dark:
            return {"status": "unmeasurable", "reason": "no frames"}
        dark = np.array(self._dark)
        total, longest = total_duration_s(dark, np.array(self._times))
        return {
            "status": "ok",
            "black_s": total,
            "longest_s": longest,
            "black_fraction": float(dark.mean()),
            "black_frames": int(dark.sum()),
        }


def judge(measurements: FigureTable, params: QcDecideParams) -> Judgements:
    """Sum of black stretches."""
    figures, limit = measurements["black"], params.video.black_max_s
    total, share = figures.number("black_s"), figures.number("black_fraction")
    return judged(
        figures,
        Case(total >= limit, 0.0, f"{{total:.2f}} s of black, {limit:g} s is the limit"),
        Case(share > params.video.black_max_fraction, 0.0, "{share:.0%} of the clip is black"),
        Case(total != 0, 1.0, "{total:.2f} s of black"),
        Case(True, 1.0, "no black frames"),
        value=total,
        total=total,
        share=share,
    )


RULES = (Rule("black", "black", {"black": ("black_s", "black_fraction")}, judge, weight=0.10),)
