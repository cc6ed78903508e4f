"""Sound at another rate, and sound that follows a clock which runs unlike its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import av
import numpy as np
from av.audio.resampler import AudioResampler

from aiprod.media.container import describe
from aiprod.media.errors import MediaError

_TAPS, _PHASES = 32, 512
_CHUNK = 1 << 15
_BETA = 9.0  # of the Kaiser window: side lobes 90 dB down


def resampled(samples: np.ndarray, old_hz: int, new_hz: int) -> np.ndarray:
    """float32 [1 or 2, T] at another rate, by FFmpeg's resampler.

    Raises:
        MediaError: it cannot.
    """
    try:
        return _resampled(samples, old_hz, new_hz)
    except (av.error.FFmpegError, ValueError, OverflowError) as error:
        raise MediaError("unsupported", f"sound at {old_hz} Hz does not go to {new_hz} ({describe(error)})") from None


def _resampled(samples: np.ndarray, old_hz: int, new_hz: int) -> np.ndarray:
    if not samples.shape[1]:
        return samples
    resampler = StreamResampler(samples.shape[0], old_hz, new_hz)
    return np.concatenate([resampler.put(samples), resampler.end()], axis=1)


class StreamResampler:
    """Resamples sound that comes in pieces: what it gives, joined, is what :func:`resampled` gives of the whole."""

    def __init__(self, channels: int, old_hz: int, new_hz: int) -> None:
        self._channels, self._old_hz = channels, old_hz
        self._layout = "mono" if channels == 1 else "stereo"
        self._resampler = AudioResampler(format="fltp", layout=self._layout, rate=new_hz)

    def put(self, samples: np.ndarray) -> np.ndarray:
        """What can be said by now, after float32 [channels, T] more."""
        out: list[Any] = []
        for at in range(0, samples.shape[1], 16 * _CHUNK):
            part = np.ascontiguousarray(samples[:, at : at + 16 * _CHUNK])
            frame = av.AudioFrame.from_ndarray(part, "fltp", self._layout)
            frame.sample_rate = self._old_hz
            frame.pts = None  # the resampler would fill gaps by its own rules
            out.extend(self._resampler.resample(frame))
        return self._joined(out)

    def end(self) -> np.ndarray:
        """The rest."""
        return self._joined(self._resampler.resample(None))

    def _joined(self, frames: Sequence[Any]) -> np.ndarray:
        parts = [np.array([np.frombuffer(plane, np.float32, f.samples) for plane in f.planes]) for f in frames]
        return np.concatenate(parts, axis=1) if parts else np.zeros((self._channels, 0), np.float32)


def stretched(
    samples: np.ndarray, rate: int, since_s: float, knots: Sequence[tuple[float, float]]
) -> tuple[np.ndarray, float]:
    """Sound that is heard as late as a line says, without a seam, and how late its first sample is.

    Args:
        since_s: how far along the line the first sample lies.
        knots: (seconds of sound, seconds that it is heard late) in order.
    """
    times, lates = (np.array(column) for column in zip(*knots, strict=True))
    count = samples.shape[1]
    end_s = since_s + count / rate
    inner = times[(times > since_s) & (times < end_s)]
    old = np.concatenate(([since_s], inner, [end_s]))
    late = np.interp(old, times, lates)
    new = np.maximum.accumulate(old + late)
    length = max(1, round(float(new[-1] - new[0]) * rate))
    out = np.empty((samples.shape[0], length), np.float32)
    half = _TAPS // 2
    padded = np.pad(samples, ((0, 0), (half, half + 1)))
    table = _table()
    for at in range(0, length, _CHUNK):
        ticks = np.arange(at, min(at + _CHUNK, length))
        place = (np.interp(new[0] + ticks / rate, new, old) - since_s) * rate
        whole = np.clip(np.floor(place).astype(np.int64), 0, count - 1)
        weights = table[np.clip(np.round((place - whole) * _PHASES).astype(np.int64), 0, _PHASES)]
        taps = whole[:, None] + np.arange(1, _TAPS + 1)
        for channel in range(samples.shape[0]):
            out[channel, ticks] = np.einsum("nt,nt->n", padded[channel][taps], weights)
    return out, float(late[0])


def _table() -> np.ndarray:
    """float32 [phases + 1, taps]: a windowed sinc for each place between two samples."""
    shift = np.arange(_PHASES + 1)[:, None] / _PHASES
    away = np.arange(_TAPS)[None] - (_TAPS // 2 - 1) - shift
    window = np.i0(_BETA * np.sqrt(np.maximum(0.0, 1 - (away / (_TAPS / 2)) ** 2))) / np.i0(_BETA)
    table = np.sinc(away) * window
    return (table / table.sum(axis=1, keepdims=True)).astype(np.float32)
