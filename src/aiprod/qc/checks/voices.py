"""Speech, music, noise or silence: voice activity by a bundled network, music by how long partials are held."""

from __future__ import annotations

from collections.abc import Mapping
from math import gcd
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from aiprod.qc.bundled.catalogue import BUNDLED, missing
from aiprod.qc.checks import voice_activity
from aiprod.qc.checks.audio_events import mono_of
from aiprod.qc.measurement import Figures, OfSound

if TYPE_CHECKING:
    from aiprod.media.media_info import AudioFacts, VideoFacts
    from aiprod.qc.clip_context import ClipContext, ClipSound
    from aiprod.qc.measure_params import QcMeasureParams

VERSION = "2"
METHOD = "none: no voice detector is configured"
_BY_NETWORK = (
    "windows of 0.512 s: silence below -60 dBFS; speech where Silero VAD is surer than 0.5 in a third of the frames, "
    "if it is so for 0.32 s on end or for 1 s in all; "
    "else held partials (two peaks of 9 dB for 0.2 s) in half of the moments, which over 5 s and half of what is "
    "neither silent nor speech are music; else noise"
)
_WINDOW = 16  # frames of voice activity, 0.512 s
_SILENT_DB = -60.0
_VOICE_MIN, _VOICED_MIN = 0.5, 0.33
# A word of one syllable is 0.3 s of frames on end; noise that passes for speech does so for 0.1 s at a time.
_WORD = 10  # frames
_WORD_SHARE = 0.25  # of a window: a word that two windows share is in both
_SPEECH_MIN_S = 1.0  # of windows in all, where no word is heard
_HELD_MIN, _MUSIC_MIN_S = 0.5, 5.0
_PEAK_DB, _PEAKS_MIN, _HELD_FRAMES = 9.0, 2, 7
_BINS = 257  # up to 4 kHz
_LOWEST_BIN = 4
_AROUND = 25  # bins whose median is what a peak rises above
_AT_ONCE = 512  # moments whose medians are found together: a bound on memory
_SPANS_MAX = 256
KINDS = ("speech", "music", "noise", "silence")


class Voices(OfSound):
    """What fills the sound.

    Args:
        why_not: why nothing is heard; None where the network is there.
    """

    name = "voices"
    version = VERSION
    method = METHOD

    def __init__(self, why_not: str | None) -> None:
        self._why_not = why_not

    @classmethod
    def begin(cls, params: QcMeasureParams, video: VideoFacts) -> Self:
        """By the network, where the parameters ask for it."""
        return cls(missing("speech") if "speech" in params.uses else "no voice detector is configured")

    def measure(self, seen: ClipContext, measurements: Mapping[str, Figures]) -> dict[str, Any]:
        """Says first whether anything listens: that there is no sound is told by other checks."""
        if self._why_not is not None:
            return {"status": "not_evaluated", "reason": self._why_not}
        identity = {"method": _BY_NETWORK, "version": f"{VERSION}-{BUNDLED['speech'].identity()}"}
        return {**super().measure(seen, measurements), **identity}

    def hear(self, sound: ClipSound, audio: AudioFacts) -> dict[str, Any]:
        """Shares and spans of each kind."""
        kinds = kinds_of(resampled(mono_of(sound.span), sound.rate_hz))
        if not kinds:
            return {"status": "unmeasurable", "reason": "less than half a second of sound"}
        window_s = _WINDOW * voice_activity.FRAME / voice_activity.RATE_HZ
        spans: list[dict[str, Any]] = []
        for i, kind in enumerate(kinds):
            if not spans or spans[-1]["kind"] != kind:
                spans.append({"kind": kind, "start_s": round(sound.start_s + i * window_s, 3)})
            spans[-1]["end_s"] = round(sound.start_s + (i + 1) * window_s, 3)
        shares = {kind: kinds.count(kind) / len(kinds) for kind in KINDS}
        return {
            "status": "ok",
            "kind": max(KINDS, key=lambda kind: shares[kind]),
            "speech": "speech" in kinds,
            "music": kinds.count("music") > 0,
            **{f"{kind}_fraction": round(share, 3) for kind, share in shares.items()},
            "spans": spans[:_SPANS_MAX],
        }


def resampled(mono: NDArray[np.float32], rate_hz: int) -> NDArray[np.float32]:
    """Mono sound [T] at the voice detector's rate."""
    from scipy.signal import resample_poly  # here: deciding reads this file too, and must not wait for SciPy

    common = gcd(voice_activity.RATE_HZ, rate_hz)
    up, down = voice_activity.RATE_HZ // common, rate_hz // common
    return mono if up == down else np.asarray(resample_poly(mono, up, down), np.float32)


def kinds_of(samples: NDArray[np.float32]) -> list[str]:
    """The kind of each whole window of mono sound [T] at the voice detector's rate."""
    size = _WINDOW * voice_activity.FRAME
    count = samples.size // size
    if not count:
        return []
    samples = samples[: count * size]
    windows = samples.reshape(count, size)
    loud = 10 * np.log10(np.mean(np.square(windows), axis=1, dtype=np.float64) + 1e-12) >= _SILENT_DB
    if not loud.any():
        return ["silence"] * count
    voiced = voice_activity.probabilities(samples) > _VOICE_MIN
    speaks = loud & _spoken(voiced & np.repeat(loud, _WINDOW))
    other, window_s = loud & ~speaks, size / voice_activity.RATE_HZ
    enough = other.sum() * window_s >= _MUSIC_MIN_S
    tonal = other & (_steady_peaks(samples, count) >= _HELD_MIN) if enough else np.zeros_like(other)
    # A bee or a motor holds partials too, but seldom for long, and seldom in most of a clip.
    music = tonal.sum() * window_s >= _MUSIC_MIN_S and tonal.sum() >= 0.5 * other.sum()
    names = np.full(count, "noise", dtype=object)
    names[~loud] = "silence"
    names[speaks] = "speech"
    if music:
        names[other & _closed(tonal)] = "music"
    return [str(name) for name in names]


def _spoken(voiced: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which windows [n] hold speech, of frames [n * _WINDOW] that sound like a voice."""
    words = voiced.copy()
    edges = np.flatnonzero(np.diff(voiced, prepend=False, append=False))
    for start, end in edges.reshape(-1, 2):
        words[start:end] = end - start >= _WORD
    spoken = voiced.reshape(-1, _WINDOW).mean(axis=1) >= _VOICED_MIN
    lasting = spoken.sum() * _WINDOW * voice_activity.FRAME / voice_activity.RATE_HZ >= _SPEECH_MIN_S
    if not (words.any() or lasting):
        return np.zeros_like(spoken)
    return np.asarray(spoken | (words.reshape(-1, _WINDOW).mean(axis=1) >= _WORD_SHARE))


def _closed(tonal: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """With gaps of one window filled: a beat is no end of music."""
    if tonal.size < 3:
        return tonal
    filled = tonal.copy()
    filled[1:-1] |= tonal[:-2] & tonal[2:]
    return filled


def _stands_out(level: NDArray[np.float64], where: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which of these places rise above the median of the bins around them, the edges mirrored.

    Only a quarter of all places are asked about, so that most medians need not be found.
    """
    reach = _AROUND // 2
    mirrored = np.pad(level, ((0, 0), (reach, reach)), mode="symmetric")
    around = np.lib.stride_tricks.sliding_window_view(mirrored, _AROUND, axis=1)[where]
    high = np.zeros_like(where)
    high[where] = level[where] - np.partition(around, reach, axis=1)[:, reach] > _PEAK_DB
    return high


def _steady_peaks(samples: NDArray[np.float32], count: int) -> NDArray[np.float64]:
    """For each window, the share of its moments at which partials are held that have stood out for 0.2 s."""
    from scipy.fft import rfft

    hop = voice_activity.FRAME
    per_hop = np.lib.stride_tricks.sliding_window_view(samples, 2 * hop)[::hop] * np.hanning(2 * hop).astype(np.float32)
    lines = rfft(per_hop, axis=1)[:, :_BINS]
    level = 10 * np.log10(np.square(lines.real) + np.square(lines.imag) + 1e-10)
    peak = (level >= np.roll(level, 1, axis=1)) & (level >= np.roll(level, -1, axis=1))
    peak[:, :_LOWEST_BIN] = peak[:, -1:] = False
    for first in range(0, len(level), _AT_ONCE):
        some = slice(first, first + _AT_ONCE)
        peak[some] &= _stands_out(level[some], peak[some])
    near = peak | np.roll(peak, 1, axis=1) | np.roll(peak, -1, axis=1)  # a partial may waver by a bin
    counts = np.zeros(len(peak), np.int64)
    if len(peak) > _HELD_FRAMES:
        lasting = peak[: len(peak) - _HELD_FRAMES + 1].copy()
        for later in range(1, _HELD_FRAMES):
            lasting &= near[later : len(peak) - _HELD_FRAMES + 1 + later]
        counts[: len(lasting)] = lasting.sum(axis=1)
    moments = np.zeros(count * _WINDOW, bool)
    moments[: len(counts)] = counts[: count * _WINDOW] >= _PEAKS_MIN
    return np.asarray(moments.reshape(count, _WINDOW).mean(axis=1))
