"""The learning rate of each step: linear warm-up to a peak, then constant or a decay to a fraction of the peak.

A function of the step and nothing else, so a resumed run needs no state to go on with the same rates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Decay = Literal["constant", "linear", "cosine"]


@dataclass(frozen=True)
class LRSchedule:
    """Learning rates of one phase.

    Attributes:
        peak: the highest rate.
        steps: length of the phase, over which the rate decays; the most it can have where a plateau may end it.
        warmup_steps: steps before the peak.
        final_fraction: of the peak, that a decay ends at.
        decay_from_start: the decay runs from the first step and multiplies the warm-up, instead of following it.
    """

    peak: float
    steps: int
    warmup_steps: int = 0
    decay: Decay = "constant"
    final_fraction: float = 0.0
    decay_from_start: bool = False

    def at(self, step: int) -> float:
        """The rate of a step, counted from 0."""
        # The order of operations decides the last bit of some rates, and so the bytes of what is trained: keep it.
        if self.decay_from_start:
            warm = min(1.0, (step + 1) / (self.warmup_steps + 1))
            return self.peak * warm * self._decayed(step / self.steps, math.pi * step / self.steps)
        if step < self.warmup_steps:
            return self.peak * (step + 1) / (self.warmup_steps + 1)
        done = min(1.0, (step - self.warmup_steps) / max(1, self.steps - self.warmup_steps))
        return self.peak * self._decayed(done, math.pi * done)

    def _decayed(self, done: float, angle: float) -> float:
        """Share of the peak after a share of the decay, for a cosine given as an angle up to π."""
        if self.decay == "constant":
            return 1.0
        shape = 1 - done if self.decay == "linear" else 0.5 * (1 + math.cos(angle))
        return self.final_fraction + (1 - self.final_fraction) * shape
