"""Fades, pan, ducking and the true-peak limiter."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aiprod.montage.timeline import SAMPLE_RATE, Ducking, FadeLaw
from aiprod.montage.true_peak import PLAYING, peaks_above

Samples = NDArray[np.float32]
Curve = NDArray[np.float32]
STEP = SAMPLE_RATE // 200  # the side chain has a value every 5 ms
_WINDOW = 10  # of them are one level: 50 ms
_LOG_FLOOR_DB = -60.0


def amplitude(db: float) -> float:
    """The factor of a gain in decibels."""
    return float(10 ** (db / 20))


def fade(share: NDArray[np.float64], law: FadeLaw) -> NDArray[np.float64]:
    """Gain of a fade-in when ``share`` of it is done.

    ``equal_power``: two sounds that have nothing in common keep their level where one fades into the other (-3 dB in
    the middle); ``linear``: two equal ones do (-6 dB); ``log``: even in decibels; ``s_curve``: slow at both ends.
    """
    share = np.clip(share, 0.0, 1.0)
    if law == "equal_power":
        return np.sin(share * np.pi / 2)
    if law == "linear":
        return share
    if law == "s_curve":
        return share * share * (3 - 2 * share)
    return np.where(share > 0, 10 ** (_LOG_FLOOR_DB / 20 * (1 - share)), 0.0)


def pan_gains(pan: float) -> tuple[float, float]:
    """Gains of left and right; 1 and 1 in the middle, and the louder side never above 1 (a balance of equal power)."""
    angle = (pan + 1) * np.pi / 4
    left, right = np.cos(angle), np.sin(angle)
    most = max(left, right)
    return float(left / most), float(right / most)


def levels_db(blocks: NDArray[np.float64]) -> NDArray[np.float64]:
    """RMS over 50 ms around each step, dBFS, from the mean squares of steps."""
    padded = np.pad(blocks, (_WINDOW // 2, _WINDOW - _WINDOW // 2 - 1), mode="edge")
    mean = np.convolve(padded, np.ones(_WINDOW) / _WINDOW, "valid")
    return np.asarray(10 * np.log10(np.maximum(mean, 1e-15)))


def mean_squares(samples: Samples) -> NDArray[np.float64]:
    """Mean square over both channels of each step; the last one may be short."""
    power = np.square(samples.astype(np.float64)).mean(axis=0)
    whole = power.size // STEP * STEP
    steps = power[:whole].reshape(-1, STEP).mean(axis=1)
    return np.append(steps, power[whole:].mean()) if whole < power.size else steps


def ducked_db(levels: NDArray[np.float64], ducking: Ducking) -> NDArray[np.float64]:
    """Gain of the other buses in decibels at each step: 0, or ``-depth_db`` while somebody speaks, with ramps.

    A ramp is even in decibels. It begins ``ahead_s`` before the speech: where that is at least ``attack_s``, the music
    is down when the first word sounds.
    """
    per_s = SAMPLE_RATE / STEP
    speaks = levels > ducking.threshold_db
    wanted = np.zeros(levels.size, bool)
    ahead, hold = round(ducking.ahead_s * per_s), round(ducking.hold_s * per_s)
    edges = np.flatnonzero(np.diff(np.concatenate(([0], speaks.astype(np.int8), [0])))).reshape(-1, 2)
    for first, behind in edges.tolist():
        wanted[max(0, first - ahead) : behind + hold] = True
    down = ducking.depth_db / max(1.0, ducking.attack_s * per_s)
    up = ducking.depth_db / max(1.0, ducking.release_s * per_s)
    gain = np.empty(levels.size)
    now = 0.0
    for n, lower in enumerate(wanted.tolist()):
        now = max(-ducking.depth_db, now - down) if lower else min(0.0, now + up)
        gain[n] = now
    return gain


def gain_curve(gain_db: NDArray[np.float64], first: int, count: int) -> Curve:
    """Factors of ``count`` samples from ``first`` on, straight in decibels between the middles of steps."""
    at = (np.arange(first, first + count) + 0.5) / STEP - 0.5
    db = np.interp(at, np.arange(gain_db.size), gain_db) if gain_db.size else np.zeros(count)
    return np.power(10.0, db / 20).astype(np.float32)


class Limiter:
    """Holds true peaks below a ceiling: gain falls smoothly before a peak and rises after it; no peak is clipped.

    Peaks are seen between samples by 4-fold oversampling, on both channels at once so that the image stays. Sound comes
    out as long as it went in; the last piece must be asked for with :meth:`flush`.
    """

    AHEAD = SAMPLE_RATE // 200
    _RELEASE_S = 0.1

    def __init__(self, ceiling_db: float) -> None:
        self.ceiling = amplitude(ceiling_db - 0.05)  # the filter that measures is not the filter that plays
        self._waiting = np.zeros((2, 0), np.float32)
        self._before = np.zeros((2, 64), np.float32)
        self._smooth = 1.0
        self.least = 1.0

    def push(self, samples: Samples, last: bool = False) -> Samples:
        """Take sound [2, T]; what is finished of it and of earlier sound comes back."""
        ahead = self.AHEAD
        joined = np.concatenate([self._waiting, samples], axis=1)
        count = joined.shape[1] if last else max(0, joined.shape[1] - 4 * ahead)
        if not count:
            self._waiting = joined
            return joined[:, :0]
        context = np.concatenate([self._before, joined], axis=1)
        peaks = peaks_above(context, self.ceiling, PLAYING)
        if peaks.max(initial=0.0) <= self.ceiling and self._smooth >= 1.0:
            done = joined[:, :count]
        else:
            wanted = np.minimum(1.0, self.ceiling / np.maximum(peaks, 1e-9))
            # down in time for every peak within reach, held over the window, then smoothed by a mean as long
            lowest = _least_around(wanted, ahead)
            gain = _mean_around(lowest, ahead) if lowest.min() < 1.0 else lowest
            gain = np.minimum(gain, 1.0)[self._before.shape[1] :][:count]
            gain = self._released(gain)
            self.least = min(self.least, float(gain.min()))
            done = (joined[:, :count] * gain).astype(np.float32)
        self._before = np.concatenate([self._before, joined[:, :count]], axis=1)[:, -2 * ahead - 64 :]
        self._waiting = joined[:, count:]
        return done

    def flush(self) -> Samples:
        """The rest."""
        return self.push(np.zeros((2, 0), np.float32), last=True)

    def _released(self, gain: NDArray[np.float64]) -> NDArray[np.float64]:
        """Let gain rise no quicker than the release allows."""
        if self._smooth >= 1.0 and gain.min() >= 1.0:
            return gain
        rise = 1.0 / (self._RELEASE_S * SAMPLE_RATE)
        ramp = np.arange(1, gain.size + 1) * rise
        # min over the past of gain + rise * distance: a running minimum of what is left when the ramp is taken off
        rising = np.minimum.accumulate(np.concatenate(([self._smooth], gain - ramp)))[1:] + ramp
        out = np.minimum(gain, rising)
        self._smooth = float(out[-1])
        return out


def _least_around(values: NDArray[np.float64], reach: int) -> NDArray[np.float64]:
    """The least of each value and ``reach`` of them to each side; the outermost go on outside."""
    least, span = np.pad(values, reach, mode="edge"), 1
    while span < 2 * reach + 1:
        step = min(span, 2 * reach + 1 - span)
        least = np.minimum(least[:-step], least[step:])
        span += step
    return least


def _mean_around(values: NDArray[np.float64], reach: int) -> NDArray[np.float64]:
    """The mean of each value and ``reach`` of them to each side; the outermost go on outside."""
    sums = np.cumsum(np.pad(values, (reach + 1, reach), mode="edge"))
    return np.asarray((sums[2 * reach + 1 :] - sums[: -2 * reach - 1]) / (2 * reach + 1))
