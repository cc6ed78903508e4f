"""Frozen picture: stretches in which no frame differs from the first of the stretch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from aiprod.qc.checks.judging import EPSILON_S, Case, Judgements, Rule, judged
from aiprod.qc.clip_context import Plane, SmallFrame
from aiprod.qc.measurement import OfFrames
from aiprod.qc.metric_table import FigureTable

if TYPE_CHECKING:
    from aiprod.qc.params import QcDecideParams

VERSION = "5"
METHOD = (
    "every frame (at most 60 a second), luma unaveraged, every (k/2)-th sample of every 2k-th line: mean absolute "
    "difference to the stretch's first frame <= 0.001, and small plane: to the frame before <= 0.002"
)
NOISE = 0.001
MINIMUM_S = 2.0
_STEP = 0.01
_PART_S = 0.5
_SURELY = 2 * NOISE * 255.0  # where averages of a picture differ by as much, its pixels differ by more than noise


class Freeze(OfFrames):
    """FFmpeg's freezedetect rule: a frame is frozen while it stays close to the frame that the stretch began with."""

    name = "freeze"
    version = VERSION
    method = METHOD

    def __init__(self) -> None:
        self._reference: Plane | None = None
        self._began_s = 0.0
        self._last_s = 0.0
        self._step_s = 0.0
        self._stretches: list[tuple[float, float]] = []  # (length in s, size of the step that ended it)
        self._still_frames = 0
        self._frames = 0

    def feed(self, frame: SmallFrame) -> None:
        """Compare with the reference; a difference ends the stretch."""
        if self._frames:
            self._step_s = frame.time_s - self._last_s
        self._frames += 1
        step = 1.0
        moved = frame.change is not None and frame.change > _SURELY and self._began_s == self._last_s
        if moved and frame.time_s - self._began_s < _PART_S:
            pass  # of a stretch of one frame, as short, it does not matter how far the next one differs from it
        elif self._reference is not None and self._reference.shape == frame.sparse.shape:
            # Normalised by the full 8-bit scale, as FFmpeg does, whatever range is signalled.
            step = cv2.norm(self._reference, frame.sparse, cv2.NORM_L1) / (255.0 * frame.sparse.size)
        if step <= NOISE:
            self._still_frames += 1
        else:
            if self._reference is not None:
                self._stretches.append((frame.time_s - self._began_s, step))
            self._reference, self._began_s = frame.sparse, frame.time_s
        self._last_s = frame.time_s

    def figures(self) -> dict[str, Any]:
        """Frozen time in stretches of two seconds and more, and the longest stretch of any length."""
        if self._frames < 2:
            return {"status": "unmeasurable", "reason": "fewer than two frames"}
        merged: list[float] = []
        joins = False
        for length, step in [*self._stretches, (self._last_s + self._step_s - self._began_s, 1.0)]:
            if joins and length >= _PART_S:
                merged[-1] += length
            else:
                merged.append(length)
            joins = length >= _PART_S and step <= _STEP
        lengths = np.array(merged)
        return {
            "status": "ok",
            "frozen_s": float(lengths[lengths >= MINIMUM_S - 1e-6].sum()),
            "longest_s": float(lengths.max()),
            "repeated_fraction": self._still_frames / (self._frames - 1),
        }


def judge(measurements: FigureTable, params: QcDecideParams) -> Judgements:
    """Frozen picture; unweighted, a failure asks for a review."""
    figures = measurements["freeze"]
    total = figures.number("frozen_s")
    return judged(
        figures,
        Case(
            (total >= params.video.freeze_max_s - EPSILON_S) & (total > 0),
            0.0,
            "the picture stands still for {total:.2f} s",
        ),
        Case(True, 1.0, "no standing picture (longest {longest:.2f} s)"),
        value=total,
        total=total,
        longest=figures.number("longest_s"),
    )


RULES = (Rule("freeze", "freeze", {"freeze": ("frozen_s", "longest_s")}, judge),)
