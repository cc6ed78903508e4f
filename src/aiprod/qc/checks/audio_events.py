"""Sound events: onsets, their pitch, and what kind of sound fills the clip."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aiprod.qc.clip_context import ClipSound
from aiprod.qc.measurement import OfSound

if TYPE_CHECKING:
    from aiprod.media.media_info import AudioFacts

VERSION = "3"
METHOD = (
    "10 ms energy envelope, onsets where it rises by 6 dB to within 30 dB of the peak, not within 50 ms of the sound's "
    "beginning; pitch from the spectrum's peak"
)
HOP_S = 0.01
_TOGETHER = 8  # spectra, which the processor's cache holds


def window_power(samples: NDArray[np.float32], window: int) -> NDArray[np.float64]:
    """Mean square of consecutive windows of ``window`` samples, over all channels of [channels, T]; [T // window].

    A window is short enough to be summed in single precision (to 4e-7 of itself), in one pass and without copies.
    """
    n = samples.shape[1] // window
    blocks = samples[:, : n * window].reshape(samples.shape[0], n, window)
    sums = np.einsum("cnw,cnw->cn", blocks, blocks).sum(axis=0, dtype=np.float64)
    return np.asarray(sums / (window * samples.shape[0]))


def mono_of(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean of one or two channels [channels, T], as [T]."""
    return samples[0] if samples.shape[0] == 1 else np.asarray((samples[0] + samples[1]) * np.float32(0.5))


@lru_cache(maxsize=8)
def hann(size: int) -> NDArray[np.float64]:
    """The Hann window, kept: a hundred thousand cosines take as long as the transform that they are for."""
    window = np.hanning(size)
    window.flags.writeable = False
    return window


@lru_cache(maxsize=8)
def _narrow_hann(size: int) -> NDArray[np.float32]:
    return hann(size).astype(np.float32)


def envelope_db(samples: NDArray[np.float32], rate_hz: int) -> NDArray[np.float64]:
    """Level in dBFS of consecutive 10 ms windows."""
    return np.asarray(10 * np.log10(window_power(samples, max(1, round(HOP_S * rate_hz))) + 1e-10))


def onsets(level_db: NDArray[np.float64]) -> NDArray[np.int64]:
    """Indices of 10 ms windows at which a sound begins.

    None is among the first five: of what is heard from the start on, nothing tells whether it began then.
    """
    if level_db.size < 5:
        return np.zeros(0, np.int64)
    before = np.full(level_db.size, -100.0)
    for lag in (2, 3, 4, 5):  # the quietest neighbourhood 20 to 50 ms earlier
        shifted = np.concatenate((np.full(lag, -100.0), level_db[:-lag]))
        before = np.maximum(before, shifted)
    rising = (level_db - before >= 6.0) & (level_db >= max(float(level_db.max()) - 30.0, -60.0))
    rising[:5] = False
    peaks: list[int] = []
    for i in np.flatnonzero(rising).tolist():
        if not peaks or i - peaks[-1] > 8:
            peaks.append(i)
    return np.array(peaks, np.int64)


def pitch_hz(part: NDArray[np.float32], rate_hz: int) -> tuple[float, float] | None:
    """(frequency of the strongest partial, share of energy within 5 % of it) of a mono stretch [T]."""
    return next(pitches_hz(part[None], rate_hz))


def pitches_hz(parts: NDArray[np.float32], rate_hz: int) -> Iterator[tuple[float, float] | None]:
    """:func:`pitch_hz` of mono stretches of one length, [n, T]."""
    length = parts.shape[1]
    loud = np.abs(parts).max(axis=1, initial=0.0) >= 1e-4
    if length < 512 or not loud.any():
        yield from [None] * len(parts)
        return
    from scipy.fft import rfft  # here: deciding reads this file too, and must not wait for SciPy

    size = 1 << max(13, int(np.ceil(np.log2(length))))
    lines = rfft(parts * _narrow_hann(length), size)
    spectra = np.square(lines.real)
    spectra += np.square(lines.imag)
    spectra[:, : int(np.ceil(40 * size / rate_hz))] = 0
    sums = spectra.sum(axis=1, dtype=np.float64)
    for heard, spectrum, best, total in zip(loud, spectra, spectra.argmax(axis=1).tolist(), sums, strict=True):
        reach = max(0.05 * best, 20.0 * size / rate_hz)  # in lines of the spectrum, as ``best`` is
        around = spectrum[int(np.ceil(best - reach)) : int(best + reach) + 1]
        share = float(around.sum(dtype=np.float64) / max(float(total), 1e-20))
        yield (best * rate_hz / size, share) if heard else None


def _pitches_at(mono: NDArray[np.float32], rate_hz: int, starts: list[int]) -> Iterator[tuple[float, float]]:
    """Pitches of the 0.12 s behind each of these 10 ms windows, where they have one."""
    length = round(0.12 * rate_hz)
    first = [int(start * HOP_S * rate_hz) for start in starts]
    whole = [a for a in first if a + length <= mono.size]
    groups = [
        np.stack([mono[a : a + length] for a in whole[i : i + _TOGETHER]]) for i in range(0, len(whole), _TOGETHER)
    ]
    groups += [mono[None, a:] for a in first[len(whole) :]]
    for group in groups:
        yield from (pitch for pitch in pitches_hz(group, rate_hz) if pitch is not None)


def measure(
    samples: NDArray[np.float32], rate_hz: int, start_s: float = 0.0, mono: NDArray[np.float32] | None = None
) -> dict[str, Any]:
    """Onset times and pitches, and the sound's kind: silent, tones, steady, events or varied.

    Args:
        samples: from the first to the last that the file has, [1 or 2, T].
        start_s: time of the first sample.
        mono: mean of the channels, where it is known.
    """
    if samples.size == 0 or samples.shape[1] < 0.1 * rate_hz:
        return {"status": "unmeasurable", "reason": "no sound samples"}
    level = envelope_db(samples, rate_hz)
    peak = float(level.max())
    if peak < -70.0:
        return {"status": "ok", "kind": "silent", "onsets": 0, "onset_times_s": [], "pitches_hz": [], "peak_dbfs": peak}
    starts = onsets(level)
    mono = mono_of(samples) if mono is None else mono
    found = list(_pitches_at(mono, rate_hz, starts[:64].tolist()))
    pitches, shares = [round(hz, 1) for hz, _ in found], [share for _, share in found]
    # One figure for the whole clip too: a held note has no onset but is a tone.
    whole = pitch_hz(mono[: min(mono.size, 4 * rate_hz)], rate_hz)
    tonal = float(np.median(shares)) if shares else (whole[1] if whole else 0.0)
    quiet = float((level < peak - 30.0).mean())
    if starts.size and tonal > 0.6:
        kind = "tones"
    elif float(np.quantile(level, 0.95) - np.quantile(level, 0.05)) < 8.0:
        kind = "steady tone" if tonal > 0.6 else "steady"
    elif starts.size and quiet > 0.4:
        kind = "events"
    else:
        kind = "varied"
    return {
        "status": "ok",
        "kind": kind,
        "onsets": int(starts.size),
        "peak_dbfs": peak,
        "quiet_fraction": quiet,
        "onset_times_s": [round(start_s + float(s) * HOP_S, 3) for s in starts[:64]],
        "pitches_hz": pitches,
        "tonal_share": tonal,
        "main_pitch_hz": round(whole[0], 1) if whole else None,
        "_onsets": starts,
    }


class Events(OfSound):
    """Sound events, for captions."""

    name = "events"
    version = VERSION
    method = METHOD

    def hear(self, sound: ClipSound, audio: AudioFacts) -> dict[str, Any]:
        """Onset times and pitches, and the sound's kind."""
        return measure(sound.span, sound.rate_hz, sound.start_s, sound.mono_span)
