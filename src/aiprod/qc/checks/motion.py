"""Motion energy of every frame, cuts left inside the clip, and the series that sound is compared with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from aiprod.data.ingest.cuts import displaced
from aiprod.qc.checks.judging import Case, Judgements, Rule, judged
from aiprod.qc.clip_context import ClipContext, Plane, SmallFrame
from aiprod.qc.measurement import Figures, OfDifferences
from aiprod.qc.metric_table import FigureTable

if TYPE_CHECKING:
    from aiprod.qc.params import QcDecideParams

VERSION = "5"
METHOD = (
    "every frame (at most 60 a second), small plane: mean absolute difference to the frame before; a cut is a spike "
    "over its neighbours, unless the picture is the one before, moved (a jolt), or torn"
)
CUT_RATIO = 3.0
CUT_FLOOR = 0.06
WINDOW = 2


class Motion(OfDifferences):
    """Mean absolute difference between neighbours, and how far each change reverses the one before it."""

    name = "motion"
    version = VERSION
    method = METHOD

    def __init__(self) -> None:
        self.times: list[float] = []
        self.energy: list[float] = []
        self.reversal: list[float] = []
        self.luma: list[float] = []
        self._no_cuts: set[int] = set()
        self._torn = False
        self._last: Plane | None = None
        self._last_but_one: Plane | None = None
        self._last_power = 0.0
        self._power = self._taken_back = 0.0
        self._interlaced = 0

    def feed(self, frame: SmallFrame) -> None:
        """Take one frame."""
        scale = frame.white_level - frame.black_level
        plane, last, earlier = frame.plane, self._last, self._last_but_one
        self.times.append(frame.time_s)
        self.luma.append((frame.mean - frame.black_level) / scale)
        self._interlaced += frame.interlaced
        if frame.torn or self._torn:  # its edges are no cuts
            self._no_cuts.add(len(self.energy))
        self._torn = frame.torn
        if last is None or last.shape != plane.shape:  # the first, or a film that changes its size half-way
            self.energy.append(0.0)
            self.reversal.append(0.0)
            self._last, self._last_but_one = plane, None
            return
        difference = frame.difference(last)
        assert frame.change is not None, "it is of the difference"
        energy = frame.change / scale
        if energy >= CUT_FLOOR and energy >= CUT_RATIO * self.energy[-1] and displaced(last, plane):
            self._no_cuts.add(len(self.energy))
        self.energy.append(energy)
        # A thing that bounces takes back the change it has just made: successive differences anti-correlate.
        # Weighted by power, so that noise on a still picture (which anti-correlates too) stays small.
        power, turned = cv2.norm(difference, cv2.NORM_L2SQR), 0.0
        if earlier is not None:
            # The product of two successive differences from the powers of them and of their sum: whole numbers, which
            # are added up many times faster than differences are made and multiplied.
            product = (cv2.norm(plane, earlier, cv2.NORM_L2SQR) - power - self._last_power) / 2
            self._power, self._taken_back = self._power + power, self._taken_back - product
            turned = max(0.0, -product) / (plane.size * scale * scale)
        self.reversal.append(turned)
        self._last, self._last_but_one, self._last_power = plane, last, power

    def cuts_s(self) -> list[float]:
        """Times of frames that begin a new shot: a difference that stands out over its neighbours on both sides."""
        energy = np.array(self.energy)
        cuts: list[float] = []
        for i in np.flatnonzero(energy >= CUT_FLOOR):
            if i < WINDOW or int(i) in self._no_cuts:
                continue
            around = np.concatenate((energy[max(1, i - WINDOW) : i], energy[i + 1 : i + 1 + WINDOW]))
            if around.size and energy[i] >= CUT_RATIO * max(float(around.mean()), 1e-4):
                cuts.append(self.times[int(i)])
        return cuts

    def measure(self, seen: ClipContext, measurements: Mapping[str, Figures]) -> dict[str, Any]:
        """The figures, and for other measurements the series that they are of."""
        series = {"_energy": self.energy, "_reversal": self.reversal, "_times": self.times}
        return {**self.figures(), **series, "_cuts_s": self.cuts_s()}

    def figures(self) -> dict[str, Any]:
        """Energy statistics (share of the signalled range), brightness course, cuts."""
        if len(self.times) < 2:
            return {"status": "unmeasurable", "reason": "fewer than two frames"}
        energy, luma = np.array(self.energy[1:]), np.array(self.luma)
        cuts = self.cuts_s()
        return {
            "status": "ok",
            "energy_mean": float(energy.mean()),
            "energy_median": float(np.median(energy)),
            "energy_max": float(energy.max()),
            # Of white noise half of every change is taken back by the next, of steady movement nothing.
            "reversal_share": min(1.0, max(0.0, 2 * self._taken_back / self._power)) if self._power else 0.0,
            "luma_mean": float(luma.mean()),
            "luma_min": float(luma.min()),
            "luma_max": float(luma.max()),
            "luma_first": float(luma[:3].mean()),
            "luma_last": float(luma[-3:].mean()),
            "cuts": len(cuts),
            "cut_times_s": [round(c, 4) for c in cuts[:32]],
            "interlaced_fraction": self._interlaced / len(self.times),
        }


def judge_shots(measurements: FigureTable, params: QcDecideParams) -> Judgements:
    """Cuts left inside the clip: recorded, neither weighted nor a cap (splitting is ingest's work).

    Pictures of several sizes, shapes or colours in one clip ask for a review.
    """
    figures, changes = measurements["motion"], measurements["geometry"].values("changes")
    cuts = figures.number("cuts")
    return judged(
        figures,
        Case(
            np.array([bool(texts) for texts in changes], np.bool_),
            1.0,
            "{changes}",
            caps=True,
        ),
        Case(cuts == 0, 1.0, "one shot"),
        Case(True, 1.0, "{cuts:.0f} cuts inside the clip"),
        value=cuts,
        cuts=cuts,
        changes=lambda places: ["; ".join(changes[i]) for i in places.tolist()],
    )


RULES = (Rule("shots", "motion", {"motion": ("cuts",), "geometry": ("changes",)}, judge_shots),)
