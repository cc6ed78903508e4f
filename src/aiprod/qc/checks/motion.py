"""Motion energy of every frame, cuts left inside the clip, and the series that sound is compared with."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from aiprod.qc.evidence import SmallFrame

VERSION = "1"
METHOD = "every frame, small plane: mean absolute difference to the frame before; a cut is a spike over its neighbours"
CUT_RATIO = 3.0
CUT_FLOOR = 0.06
WINDOW = 2


class Motion:
    """Mean absolute difference between neighbours, and how far each change reverses the one before it."""

    version = VERSION
    method = METHOD

    def __init__(self) -> None:
        self.times: list[float] = []
        self.energy: list[float] = []
        self.reversal: list[float] = []
        self.luma: list[float] = []
        self._before: NDArray[np.float32] | None = None
        self._before_power = 0.0
        self._interlaced = 0

    def feed(self, frame: SmallFrame) -> None:
        """Take one frame."""
        scale = frame.white_level - frame.black_level
        self.times.append(frame.time_s)
        self.luma.append((cv2.mean(frame.plane)[0] - frame.black_level) / scale)
        self._interlaced += frame.interlaced
        delta = frame.delta
        if delta is None:
            self.energy.append(0.0)
            self.reversal.append(0.0)
            return
        flat = delta.ravel()
        power = float(flat.dot(flat))
        self.energy.append(float(cv2.norm(delta, cv2.NORM_L1)) / (flat.size * scale))
        # A thing that bounces takes back the change it has just made: successive differences anti-correlate.
        # Weighted by power, so that noise on a still picture (which anti-correlates too) stays small.
        turned = 0.0
        if self._before is not None and self._before.shape == delta.shape:
            turned = max(0.0, -float(flat.dot(self._before.ravel()))) / (flat.size * scale * scale)
        self.reversal.append(turned)
        self._before, self._before_power = delta, power

    def cuts_s(self) -> list[float]:
        """Times of frames that begin a new shot: a difference that stands out over its neighbours on both sides."""
        energy = np.array(self.energy)
        found: list[float] = []
        for i in np.flatnonzero(energy >= CUT_FLOOR):
            if i < WINDOW:
                continue
            around = np.concatenate((energy[max(1, i - WINDOW) : i], energy[i + 1 : i + 1 + WINDOW]))
            if around.size and energy[i] >= CUT_RATIO * max(float(around.mean()), 1e-4):
                found.append(self.times[int(i)])
        return found

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
            "luma_mean": float(luma.mean()),
            "luma_min": float(luma.min()),
            "luma_max": float(luma.max()),
            "luma_first": float(luma[:3].mean()),
            "luma_last": float(luma[-3:].mean()),
            "cuts": len(cuts),
            "cut_times_s": [round(c, 4) for c in cuts[:32]],
            "interlaced_fraction": self._interlaced / len(self.times),
        }
