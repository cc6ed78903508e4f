"""Signal over noise floor, from the level of 50 ms windows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

VERSION = "1"
METHOD = "50 ms RMS windows: floor = 5th percentile, active = windows over 6 dB above it; reads 2 to 6 dB high"
FLOOR_DBFS = -96.0
"""Levels under 16-bit quantisation say nothing about a recording: the floor is taken as no lower."""


def measure(samples: NDArray[np.float32], rate_hz: int) -> dict[str, Any]:
    """Signal-to-noise ratio in dB; ``unmeasurable`` where no window stands out of the floor (sustained sound)."""
    window = max(1, round(0.05 * rate_hz))
    count = samples.shape[1] // window
    if count < 10:
        return {"status": "unmeasurable", "reason": "less than half a second of sound"}
    blocks = samples[:, : count * window].astype(np.float64).reshape(samples.shape[0], count, window)
    level = 10 * np.log10((blocks**2).mean(axis=(0, 2)) + 1e-12)
    floor = max(float(np.quantile(level, 0.05)), FLOOR_DBFS)
    if float(level.max()) <= FLOOR_DBFS + 6:
        return {"status": "unmeasurable", "reason": "no sound above the quantisation floor", "floor_dbfs": floor}
    active = level > floor + 6.0
    if active.mean() < 0.02:
        return {
            "status": "unmeasurable",
            "floor_dbfs": floor,
            "active_fraction": float(active.mean()),
            "reason": "sound is sustained: no quiet stretch shows the noise floor",
        }
    signal = 10 * np.log10((10 ** (level[active] / 10)).mean())
    # A floor within 25 dB of a median that is itself "active" is likelier a quiet passage of steady sound than noise.
    return {
        "status": "ok",
        "snr_db": float(signal - floor),
        "floor_dbfs": floor,
        "signal_dbfs": float(signal),
        "active_fraction": float(active.mean()),
        "at_least": bool(floor <= FLOOR_DBFS),
    }
