"""Signal over noise floor, from the level of 50 ms windows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aiprod.qc.checks.audio_events import window_power
from aiprod.qc.clip_context import ClipSound
from aiprod.qc.measurement import OfSound

if TYPE_CHECKING:
    from aiprod.media.media_info import AudioFacts

VERSION = "2"
METHOD = (
    "50 ms RMS windows: floor = 5th percentile, active = windows over 6 dB above it; reads 2 to 6 dB high; "
    "counted when the floor is steady (a share of windows within 2 dB of it) or 20 dB down"
)
STEADY_SHARE = 0.3
CLEAR_DB = 20.0
FLOOR_DBFS = -96.0
"""Levels under 16-bit quantisation say nothing about a recording: the floor is taken as no lower."""


def measure(samples: NDArray[np.float32], rate_hz: int) -> dict[str, Any]:
    """Signal-to-noise ratio in dB; ``unmeasurable`` where no window stands out of the floor (sustained sound).

    ``at_least`` says that no noise was found: the ratio is then that to the floor of 16-bit sound, and tells how loud
    the sound is.

    Args:
        samples: those that the file has, [1 or 2, T]: zeros that stand for none would pass for a quiet floor.
    """
    window = max(1, round(0.05 * rate_hz))
    count = samples.shape[1] // window
    if count < 10:
        return {"status": "unmeasurable", "reason": "less than half a second of sound"}
    level = 10 * np.log10(window_power(samples, window) + 1e-12)
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
    figures = {
        "floor_dbfs": floor,
        "signal_dbfs": float(signal),
        "active_fraction": float(active.mean()),
        "steady_share": float((np.abs(level - floor) <= 2.0).mean()),
        "at_least": bool(floor <= FLOOR_DBFS),
    }
    snr = float(signal - floor)
    if snr < CLEAR_DB and float((np.abs(level - floor) <= 2.0).mean()) < STEADY_SHARE:
        # Wind, water and traffic rise and fall: their quietest moment is a quiet part of the sound, not its noise.
        return {
            "status": "unmeasurable",
            "apparent_db": snr,
            **figures,
            "reason": "the level rises and falls: the quietest stretch need not be the noise floor",
        }
    return {"status": "ok", "snr_db": snr, **figures}


class Snr(OfSound):
    """Signal over noise floor; ``audio`` in ``loudness`` judges it."""

    name = "snr"
    version = VERSION
    method = METHOD

    def hear(self, sound: ClipSound, audio: AudioFacts) -> dict[str, Any]:
        """Signal-to-noise ratio in dB."""
        return measure(sound.solid, sound.rate_hz)
