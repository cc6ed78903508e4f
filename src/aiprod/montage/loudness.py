"""Loudness of long sound by ITU-R BS.1770 and EBU R 128, block by block, and its true peak."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aiprod.media.k_filter import KWeighting
from aiprod.montage.timeline import SAMPLE_RATE
from aiprod.montage.true_peak import peaks_above

_HOP = SAMPLE_RATE // 10  # gating blocks are 400 ms long and begin every 100 ms
_ABSOLUTE = -70.0
_PEAK_OVERLAP = 64


def _lufs(power: float) -> float:
    return float(-0.691 + 10 * np.log10(max(power, 1e-13)))


class Meter:
    """Integrated loudness and true peak of stereo sound that is given piece by piece."""

    def __init__(self) -> None:
        self._weighting = KWeighting(SAMPLE_RATE)
        self._hops: list[float] = []
        self._rest = np.zeros((2, 0), np.float64)
        self._tail = np.zeros((2, 0), np.float32)
        self._peak = 1e-6

    def add(self, samples: NDArray[np.float32]) -> None:
        """Take float32 [2, T]."""
        if not samples.shape[1]:
            return
        joined = np.concatenate([self._tail, samples], axis=1)
        self._peak = max(self._peak, float(peaks_above(joined, self._peak).max()))
        self._tail = np.array(joined[:, -_PEAK_OVERLAP:])
        power = np.concatenate([self._rest, self._weighting.put(samples)], axis=1)
        whole = power.shape[1] // _HOP * _HOP
        squares = np.square(power[:, :whole]).sum(axis=0).reshape(-1, _HOP).sum(axis=1)
        self._hops += squares.tolist()
        self._rest = power[:, whole:]

    @property
    def true_peak_dbtp(self) -> float:
        """The largest value at or between samples, -120 where there is none."""
        return float(20 * np.log10(self._peak))

    def integrated_lufs(self) -> float | None:
        """Gated loudness; None where there is less than 400 ms, or nothing above the absolute gate."""
        hops = np.array(self._hops)
        if hops.size < 4:
            return None
        blocks = np.convolve(hops, np.ones(4), "valid") / (4 * _HOP)
        loud = blocks[-0.691 + 10 * np.log10(np.maximum(blocks, 1e-13)) > _ABSOLUTE]
        if not loud.size:
            return None
        relative = _lufs(float(loud.mean())) - 10.0
        kept = loud[-0.691 + 10 * np.log10(loud) > relative]
        return _lufs(float(kept.mean()))
