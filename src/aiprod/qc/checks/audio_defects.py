"""Faults in sound: drop-outs, one channel twice, and sound that was resampled up from a lower rate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aiprod.qc.checks.audio_events import mono_of, window_power
from aiprod.qc.checks.loudness import mean_square, sample_peak
from aiprod.qc.clip_context import ClipSound
from aiprod.qc.measurement import OfSound

if TYPE_CHECKING:
    from aiprod.media.media_info import AudioFacts

VERSION = "2"
METHOD = (
    "runs of digital zero up to 1 s, and stretches without packets, that cut into steady sound; channel difference "
    "power; highest frequency up to which the spectrum is filled over 2 kHz"
)
_ZERO_S = 0.005
_ZERO = 2.0**-15
_LONGEST_S = 1.0
"""Silence that is longer is a pause that somebody made, however abruptly it begins."""
_STEADY_DB = 9.0  # a tone of 50 Hz that is cut at its zero crossing is 6 dB down in its last 2 ms, a 5 ms fade 12 dB
_HOLE_STEADY_DB = 6.0
_FFT = 4096
_BLOCK = 1 << 15
_TOGETHER = 8  # spectra
_FILLED_HZ = 2000.0
_RANGE_DB = 75.0
_FLOOR_DB = -57.0
"""Of a line's power in :func:`bandwidth_hz`. The noise of 16-bit sound dithered by a triangle is a quarter of the
squared step, -96.3 dB; the window gathers 1057 times that in a line (30.2 dB), and the greatest of 200 looks is 7.7 dB
higher: -58.4 dB."""


def dropouts(samples: NDArray[np.float32], rate_hz: int) -> list[tuple[float, float]]:
    """(start_s, length_s) of stretches of exact zeros, 5 ms to 1 s, that cut into sound: both edges fall abruptly from
    a signal that is steady up to there.

    Silence that a sound fades into is no drop-out, nor is a longer pause, nor silence at the start or the end.
    """
    spans = []
    for a, b in _quiet_runs(samples, max(1, int(np.ceil(_ZERO_S * rate_hz)))):
        if b - a > _LONGEST_S * rate_hz or a == 0 or b == samples.shape[1]:
            continue
        if _is_cut(samples[:, :a][:, ::-1], rate_hz) and _is_cut(samples[:, b:], rate_hz):
            spans.append((a / rate_hz, (b - a) / rate_hz))
    return spans


def _quiet_runs(samples: NDArray[np.float32], least: int) -> Iterator[tuple[int, int]]:
    """(first, behind the last) sample of stretches of zeros that are at least so long.

    Each holds a sample of every ``least``: only what lies about those that are zero is looked at.
    """
    zeros = (np.abs(samples[:, ::least]) < _ZERO).all(axis=0)
    edges = np.flatnonzero(np.diff(zeros, prepend=False, append=False))
    for i, j in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        first = max(0, (i - 1) * least + 1)
        quiet = np.ones(min(samples.shape[1], j * least) - first, np.bool_)
        for at in range(0, quiet.size, _BLOCK):  # which a processor's cache holds
            for channel in samples[:, first + at : first + min(at + _BLOCK, quiet.size)]:
                quiet[at : at + _BLOCK] &= np.abs(channel) < _ZERO
        within = np.flatnonzero(np.diff(quiet, prepend=False, append=False))
        for a, b in zip(within[::2].tolist(), within[1::2].tolist(), strict=True):
            if b - a >= least:
                yield first + a, first + b


def _is_cut(beside: NDArray[np.float32], rate_hz: int) -> bool:
    """Whether sound [channels, T], read away from a silence, is heard at once and as loud as 10 ms further on."""
    edge, near = max(1, round(0.002 * rate_hz)), max(1, round(0.004 * rate_hz))
    if float(np.abs(beside[:, :near]).max()) <= 0.01:
        return False
    further = beside[:, edge : edge + 5 * edge]
    if not further.size:
        return False
    return mean_square(beside[:, :edge]) >= 10 ** (-_STEADY_DB / 10) * mean_square(further)


def sudden_holes(samples: NDArray[np.float32], rate_hz: int) -> list[tuple[float, float]]:
    """(start_s, length_s) of short stretches (10 ms to 1 s) over 40 dB below the sound right before and after them.

    Lossy coding turns a digital hole into very quiet noise with smeared edges; this finds the hole by its level.
    """
    hop = max(1, round(0.005 * rate_hz))
    level = 10 * np.log10(window_power(samples, hop) + 1e-12)
    n = level.size
    if n < 8:
        return []
    edges = np.flatnonzero(np.diff(level < -75.0, prepend=False, append=False))
    spans = []
    for a, b in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        if not 2 <= b - a <= 200 or a < 4 or b > n - 4:
            continue
        # Steady right up to the edge on both sides: a decaying note has no such level 10 ms before it is silent, and
        # what is faded out within 20 ms is lower there than 30 ms earlier.
        before, after = level[max(0, a - 8) : a][::-1], level[b : b + 8]
        if all(side[1:3].min() > -35.0 and side[1] >= _mean_db(side[3:]) - _HOLE_STEADY_DB for side in (before, after)):
            spans.append((a * hop / rate_hz, (b - a) * hop / rate_hz))
    return spans


def _mean_db(level: NDArray[np.float64]) -> float:
    return float(10 * np.log10((10 ** (level / 10)).mean()))


@cache
def _window() -> NDArray[np.float32]:
    """Of Blackman and Harris, four terms, for a spectrum: its side lobes lie 92 dB down (Harris 1978); those of a Hann
    window would fill what is between a tone's partials."""
    turns = 2 * np.pi * np.arange(_FFT) / _FFT
    terms = (0.35875, -0.48829, 0.14128, -0.01168)
    return np.asarray(sum(term * np.cos(n * turns) for n, term in enumerate(terms))).astype(np.float32)


def bandwidth_hz(samples: NDArray[np.float32], rate_hz: int) -> float | None:
    """Highest frequency up to which sound fills the spectrum: over half of the lines within 1 kHz either way are less
    than 75 dB under its peak and above the noise of 16 bits. None where nothing is filled: silence, or tones alone.

    Sound resampled up from a lower rate has nothing above half of that rate but a few images of loud tones.
    """
    from scipy.fft import rfft  # here: deciding reads this file too, and must not wait for SciPy

    mono = mono_of(samples)
    if mono.size < _FFT or sample_peak(mono) < 1e-3:
        return None
    # Sound that does not begin from silence begins with a step, which fills a spectrum that the sound itself does not.
    mono = mono[_FFT:] if mono.size >= 8 * _FFT else mono
    frames = mono[: mono.size // _FFT * _FFT].reshape(-1, _FFT)
    energy = window_power(mono[None], _FFT)
    loud = np.flatnonzero(energy >= np.quantile(energy, 0.5))[:200]
    spectrum = np.zeros(_FFT // 2 + 1, np.float32)
    for at in range(0, loud.size, _TOGETHER):  # which a processor's cache holds
        lines = rfft(frames[loud[at : at + _TOGETHER]] * _window(), axis=1)
        power = np.square(lines.real)
        power += np.square(lines.imag)
        np.maximum(spectrum, power.max(axis=0), out=spectrum)
    level = np.pad(10 * np.log10(spectrum + 1e-20), 4, mode="edge")
    smooth = np.convolve(level, np.ones(9) / 9, mode="valid")
    above = smooth >= max(float(smooth.max()) - _RANGE_DB, _FLOOR_DB)
    half = round(_FILLED_HZ / 2 * _FFT / rate_hz)
    around = np.concatenate((np.zeros(half, bool), above, np.full(half, above[-1])))
    sums = np.cumsum(np.insert(around.astype(np.int64), 0, 0))
    filled = np.flatnonzero(above & (sums[2 * half + 1 :] - sums[: -2 * half - 1] > half))
    return float(filled[-1] * rate_hz / _FFT) if filled.size else None


def _is_one_twice(samples: NDArray[np.float32]) -> bool:
    """Whether both channels [2, T] are the same, to a millionth of their power."""
    power, difference, size = mean_square(samples), 0.0, samples.shape[1]
    for at in range(0, size, _BLOCK):  # what differs mostly does so at once
        part = samples[:, at : at + _BLOCK]
        difference += mean_square(part[:1] - part[1:2]) * part.shape[1] / size
        if difference > 1e-6 * power:
            return False
    return power > 0


def measure(
    samples: NDArray[np.float32],
    rate_hz: int,
    channels: int,
    *,
    start_s: float = 0.0,
    gaps_s: Sequence[tuple[float, float]] = (),
    mono: NDArray[np.float32] | None = None,
) -> dict[str, Any]:
    """Drop-outs (count and seconds), channel identity, bandwidth.

    Args:
        samples: from the first to the last that the file has, [1 or 2, T].
        channels: of the file.
        start_s: time of the first sample.
        gaps_s: (start_s, length_s) of stretches for which the file has no sound, on the same clock: drop-outs however
            long they are and whatever is beside them.
        mono: mean of the channels, where it is known.
    """
    if samples.size == 0:
        return {"status": "unmeasurable", "reason": "no sound samples"}
    cuts = [(start_s + at, length) for at, length in (*dropouts(samples, rate_hz), *sudden_holes(samples, rate_hz))]
    holes = sorted({*cuts, *(gap for gap in gaps_s if gap[1] >= _ZERO_S)})
    merged: list[tuple[float, float]] = []
    for start, length in holes:
        if merged and start <= merged[-1][0] + merged[-1][1] + 0.01:
            end = max(merged[-1][0] + merged[-1][1], start + length)
            merged[-1] = (merged[-1][0], end - merged[-1][0])
        else:
            merged.append((start, length))
    dual = None
    if samples.shape[0] >= 2:
        dual = _is_one_twice(samples)
    return {
        "status": "ok",
        "channels": channels,
        "sample_rate_hz": rate_hz,
        "dropouts": len(merged),
        "dropout_s": float(sum(length for _, length in merged)),
        "first_dropout_s": merged[0][0] if merged else None,
        "dual_mono": dual,
        "bandwidth_hz": bandwidth_hz(samples if mono is None else mono[None], rate_hz),
    }


class Defects(OfSound):
    """Faults in sound; ``audio`` in ``loudness`` judges them."""

    name = "defects"
    version = VERSION
    method = METHOD

    def hear(self, sound: ClipSound, audio: AudioFacts) -> dict[str, Any]:
        """Drop-outs, channel identity, bandwidth."""
        return measure(
            sound.span,
            sound.rate_hz,
            audio.channels,
            start_s=sound.start_s,
            gaps_s=sound.gaps_s,
            mono=sound.mono_span,
        )
