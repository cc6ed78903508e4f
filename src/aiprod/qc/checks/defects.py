"""Faults in sound: drop-outs, one channel twice, and sound that was resampled up from a lower rate."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import rfft

from aiprod.qc.checks.events import mono_of, window_power
from aiprod.qc.checks.loudness import mean_square

VERSION = "1"
METHOD = (
    "runs of digital zero inside sound, channel difference power, highest frequency above the noise of its spectrum"
)
_ZERO_S = 0.005
_FFT = 4096


def dropouts(samples: NDArray[np.float32], rate_hz: int) -> list[tuple[float, float]]:
    """(start_s, length_s) of stretches of exact zeros that cut into sound: both edges fall abruptly from a signal.

    Silence that a sound fades into is no drop-out, nor is silence at the start or the end.
    """
    quiet = np.abs(samples[0]) < 2.0**-15
    for channel in samples[1:]:
        quiet &= np.abs(channel) < 2.0**-15
    edges = np.flatnonzero(np.diff(quiet, prepend=False, append=False))
    near = max(1, round(0.004 * rate_hz))
    found = []
    for a, b in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        if b - a < _ZERO_S * rate_hz or a == 0 or b == quiet.size:
            continue
        before = float(np.abs(samples[:, max(0, a - near) : a]).max())
        after = float(np.abs(samples[:, b : b + near]).max())
        if min(before, after) > 0.01:
            found.append((a / rate_hz, (b - a) / rate_hz))
    return found


def sudden_holes(samples: NDArray[np.float32], rate_hz: int) -> list[tuple[float, float]]:
    """(start_s, length_s) of short stretches (10 ms to 1 s) over 45 dB below the sound right before and after them.

    Lossy coding turns a digital hole into very quiet noise with smeared edges; this finds the hole by its level.
    """
    hop = max(1, round(0.005 * rate_hz))
    level = 10 * np.log10(window_power(samples, hop) + 1e-12)
    n = level.size
    if n < 8:
        return []
    edges = np.flatnonzero(np.diff(level < -75.0, prepend=False, append=False))
    found = []
    for a, b in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        if not 2 <= b - a <= 200 or a < 4 or b > n - 4:
            continue
        # Steady right up to the edge on both sides: a decaying note has no such level 10 ms before it is silent.
        if min(level[a - 3 : a - 1].min(), level[b + 1 : b + 3].min()) > -35.0:
            found.append((a * hop / rate_hz, (b - a) * hop / rate_hz))
    return found


def bandwidth_hz(samples: NDArray[np.float32], rate_hz: int) -> float | None:
    """Frequency above which the average spectrum holds nothing (60 dB under its peak); None without sound.

    Sound resampled up from a lower rate shows none above half of that rate.
    """
    mono = mono_of(samples)
    if mono.size < _FFT or float(np.abs(mono).max()) < 1e-3:
        return None
    frames = mono[: mono.size // _FFT * _FFT].reshape(-1, _FFT)
    energy = window_power(mono[None], _FFT)
    loud = frames[energy >= np.quantile(energy, 0.5)][:200]
    lines = rfft(loud * np.hanning(_FFT).astype(np.float32), axis=1)
    spectrum = (np.square(lines.real) + np.square(lines.imag)).max(axis=0)
    level = 10 * np.log10(spectrum + 1e-20)
    smooth = np.convolve(level, np.ones(9) / 9, mode="same")
    above = np.flatnonzero(smooth >= max(float(smooth.max()) - 75.0, -70.0))
    return float(above[-1] * rate_hz / _FFT) if above.size else None


def measure(samples: NDArray[np.float32], rate_hz: int, channels: int) -> dict[str, Any]:
    """Drop-outs (count and seconds), channel identity, bandwidth."""
    if samples.size == 0:
        return {"status": "unmeasurable", "reason": "no sound samples"}
    holes = sorted(set(dropouts(samples, rate_hz)) | set(sudden_holes(samples, rate_hz)))
    merged: list[tuple[float, float]] = []
    for start, length in holes:
        if merged and start <= merged[-1][0] + merged[-1][1] + 0.01:
            end = max(merged[-1][0] + merged[-1][1], start + length)
            merged[-1] = (merged[-1][0], end - merged[-1][0])
        else:
            merged.append((start, length))
    dual = None
    if samples.shape[0] >= 2:
        power, difference = mean_square(samples), mean_square(samples[:1] - samples[1:2])
        dual = bool(power > 0 and difference <= 1e-6 * power)
    return {
        "status": "ok",
        "channels": channels,
        "sample_rate_hz": rate_hz,
        "dropouts": len(merged),
        "dropout_s": float(sum(length for _, length in merged)),
        "first_dropout_s": merged[0][0] if merged else None,
        "dual_mono": dual,
        "bandwidth_hz": bandwidth_hz(samples, rate_hz),
    }
