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
    layout = "mono" if samples.shape[0] == 1 else "stereo"
    if not samples.shape[1]:
        return samples
    resampler = AudioResampler(format="fltp", layout=layout, rate=new_hz)
    out: list[Any] = []
    for at in range(0, samples.shape[1], 16 * _CHUNK):
        part = np.ascontiguousarray(samples[:, at : at + 16 * _CHUNK])
        frame = av.AudioFrame.from_ndarray(part, "fltp", layout)
        frame.sample_rate = old_hz
        frame.pts = None  # the resampler would fill gaps by its own rules
        out.extend(resampler.resample(frame))
    out.extend(resampler.resample(None))
    if not out:
        return np.zeros((samples.shape[0], 0), np.float32)
    parts = [np.array([np.frombuffer(plane, np.float32, piece.samples) for plane in piece.planes]) for piece in out]
    return np.concatenate(parts, axis=1)


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
