"""Fades, pan, ducking and the true-peak limiter."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from aiprod.montage.timeline import SAMPLE_RATE, Ducking, FadeLaw

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
        peaks = _peaks_above(context, self.ceiling)
        if peaks.max(initial=0.0) <= self.ceiling and self._smooth >= 1.0:
            done = joined[:, :count]
        else:
            from scipy.ndimage import minimum_filter1d, uniform_filter1d

            wanted = np.minimum(1.0, self.ceiling / np.maximum(peaks, 1e-9))
            # down in time for every peak within reach, held over the window, then smoothed by a mean as long
            held = minimum_filter1d(wanted, 2 * ahead + 1, mode="nearest")
            gain = uniform_filter1d(held, 2 * ahead + 1, mode="nearest") if held.min() < 1.0 else held
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


@cache
def _oversampling() -> NDArray[np.float32]:
    from scipy.signal import firwin

    return np.asarray(firwin(97, 1 / 4, window=("kaiser", 5.0)), np.float32)


_REACH = 16  # samples to each side that a peak between two can come from


def _peaks_above(samples: Samples, ceiling: float) -> NDArray[np.float64]:
    """As :func:`_true_peaks` wherever peaks are above a ceiling; elsewhere no more than it.

    Between samples sound cannot be louder than the samples around times the sum of the filter's weights, so that the
    rest need not be oversampled.
    """
    level = np.abs(samples).max(axis=0).astype(np.float64)
    loud = level > ceiling / _gain_most()
    if not loud.any():
        return level
    edges = np.flatnonzero(np.diff(np.concatenate(([0], loud.view(np.int8), [0])))).reshape(-1, 2)
    apart = np.flatnonzero(edges[1:, 0] - edges[:-1, 1] > 4 * _REACH)
    starts, ends = edges[np.append(0, apart + 1), 0], edges[np.append(apart, len(edges) - 1), 1]
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        first, behind = max(0, start - _REACH), min(level.size, end + _REACH)
        begin, until = max(0, first - _REACH), min(level.size, behind + _REACH)
        level[first:behind] = _true_peaks(samples[:, begin:until])[first - begin :][: behind - first]
    return level


@cache
def _gain_most() -> float:
    """The largest that a peak between samples of size 1 can be."""
    taps = 4 * np.abs(np.pad(_oversampling().astype(np.float64), (0, 3))).reshape(-1, 4)
    return float(taps.sum(axis=0).max()) * 1.001


def _true_peaks(samples: Samples) -> NDArray[np.float64]:
    """The largest value of either channel at or around each sample, 4-fold oversampled."""
    from scipy.signal import resample_poly

    up = np.abs(resample_poly(samples, 4, 1, axis=1, window=_oversampling())).max(axis=0)
    return np.asarray(np.maximum(up.reshape(-1, 4).max(axis=1), np.abs(samples).max(axis=0)), np.float64)
