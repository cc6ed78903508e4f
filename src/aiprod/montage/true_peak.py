"""How loud sound is between its samples, by fourfold oversampling as in ITU-R BS.1770, annex 2."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

_REACH = 16  # samples to each side that a peak between two can come from
MEASURING, PLAYING = 81, 97  # taps of two filters: what measures is not what the limiter listens with


@cache
def _phases(taps: int) -> NDArray[np.float32]:
    """A low-pass at a quarter of the new rate, as what it weighs samples with at each of four places: [4, samples]."""
    at = np.arange(taps) - taps // 2
    low = np.sinc(at / 4) * np.kaiser(taps, 5.0)
    padded = np.pad(low / low.sum() * 4, (0, -taps % 4))
    return np.ascontiguousarray(padded.reshape(-1, 4).T[:, ::-1], np.float32)


def oversampled(samples: NDArray[np.float32], taps: int = MEASURING) -> NDArray[np.float32]:
    """Sound [2, T] at four places from each sample to the next, [4, 2, T]; silence before and behind it."""
    import cv2

    contiguous = np.ascontiguousarray(samples)
    phases = _phases(taps)
    anchor = phases.shape[1] - 1 - taps // 8
    return np.stack(
        [cv2.filter2D(contiguous, -1, row[None], anchor=(anchor, 0), borderType=cv2.BORDER_CONSTANT) for row in phases]
    )


def true_peaks(samples: NDArray[np.float32], taps: int = MEASURING) -> NDArray[np.float64]:
    """The largest value of either channel at or around each sample."""
    up = np.abs(oversampled(samples, taps)).max(axis=(0, 1))
    return np.asarray(np.maximum(up, np.abs(samples).max(axis=0)), np.float64)


def peaks_above(samples: NDArray[np.float32], ceiling: float, taps: int = MEASURING) -> NDArray[np.float64]:
    """As :func:`true_peaks` wherever peaks are above a ceiling; elsewhere no more than it.

    Between samples sound cannot be louder than the samples around times the sum of the filter's weights, so that the
    rest need not be oversampled.
    """
    level = np.abs(samples).max(axis=0).astype(np.float64)
    loud = level > ceiling / _gain_most(taps)
    if not loud.any():
        return level
    edges = np.flatnonzero(np.diff(np.concatenate(([0], loud.view(np.int8), [0])))).reshape(-1, 2)
    apart = np.flatnonzero(edges[1:, 0] - edges[:-1, 1] > 4 * _REACH)
    starts, ends = edges[np.append(0, apart + 1), 0], edges[np.append(apart, len(edges) - 1), 1]
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        first, behind = max(0, start - _REACH), min(level.size, end + _REACH)
        begin, until = max(0, first - _REACH), min(level.size, behind + _REACH)
        level[first:behind] = true_peaks(samples[:, begin:until], taps)[first - begin :][: behind - first]
    return level


@cache
def _gain_most(taps: int) -> float:
    """The largest that a peak between samples of size 1 can be."""
    return float(np.abs(_phases(taps)).sum(axis=1).max()) * 1.001
