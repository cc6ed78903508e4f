"""Frame rates from presentation times: the constant rate that a film has, or the one nearest to it."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

STANDARD = tuple(
    Fraction(*rate)
    for rate in (
        (1, 1),
        (2, 1),
        (5, 1),
        (8, 1),
        (10, 1),
        (12, 1),
        (25, 2),
        (15000, 1001),
        (15, 1),
        (16, 1),
        (18, 1),
        (20, 1),
        (24000, 1001),
        (24, 1),
        (25, 1),
        (30000, 1001),
        (30, 1),
        (48, 1),
        (50, 1),
        (60000, 1001),
        (60, 1),
    )
)
_HIGHEST = Fraction(60)
_SNAP = 0.0004  # 24 and 24000/1001 differ by 0.001


def rate_of(times_s: Sequence[float], nominal: float = 0.0) -> tuple[Fraction, bool]:
    """The rate to give a film and whether it has that rate already.

    A film has a constant rate when each picture lies within a fifth of an interval of its place on the grid
    (containers round times to a millisecond, which is no variable rate). Film of variable rate takes the standard rate
    next to its median interval, 60 at most.

    Args:
        times_s: presentation times in seconds, growing.
        nominal: what the container says; used when there are fewer than two pictures.
    """
    if len(times_s) < 2:
        return _standard(nominal if nominal > 0 else 24.0, 0.01), True
    times = np.asarray(times_s, np.float64)
    mean = (len(times) - 1) / (times[-1] - times[0])
    for guess in (_standard(mean, _SNAP), _standard(mean, 0.002), _exact(mean)):
        if guess <= _HIGHEST and _on_grid(times, guess):
            return guess, True
    median = 1.0 / float(np.median(np.diff(times)))
    return min(_HIGHEST, _standard(median, 0.03)), False


def _on_grid(times: np.ndarray, rate: Fraction) -> bool:
    offset = (times - times[0]) * float(rate)
    return bool(np.abs(offset - np.arange(len(times))).max() < 0.2)


def _standard(rate: float, tolerance: float) -> Fraction:
    """The standard rate within a relative tolerance, else the rate itself."""
    nearest = min(STANDARD, key=lambda s: abs(float(s) / rate - 1))
    return nearest if abs(float(nearest) / rate - 1) <= tolerance else _exact(rate)


def _exact(rate: float) -> Fraction:
    return max(Fraction(1, 10), Fraction(rate).limit_denominator(1001))
