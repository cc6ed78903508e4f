"""The fundamental frequency of a sound, by normalised autocorrelation and a path of least cost through its peaks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aiprod.speech.features import HOP, frames_of
from aiprod.speech.voice import RATE

LOWEST_HZ, HIGHEST_HZ = 65.0, 400.0
_FRAME = 800
_CANDIDATES = 5
_VOICED = 0.5  # correlation above which a frame is voiced, after the path's costs
_JUMP = 1.2  # cost of an octave between two frames
_CHANGE = 0.25  # cost of beginning or ending a voiced stretch


def fundamental(sound: NDArray[np.float32]) -> NDArray[np.float32]:
    """F0 in Hz at each feature frame; 0 where the sound is unvoiced or as soft as its room."""
    frames = frames_of(len(sound))
    if not len(sound):
        return np.zeros(frames, np.float32)
    low = _below(sound.astype(np.float64))
    pad = (_FRAME - HOP) // 2
    padded = np.pad(low, (pad, pad + _FRAME))
    windows = np.lib.stride_tricks.sliding_window_view(padded, _FRAME)[: frames * HOP : HOP][:frames]
    windows = windows - windows.mean(1, keepdims=True)
    shortest, longest = int(RATE / HIGHEST_HZ), int(RATE / LOWEST_HZ)
    correlation = _correlation(windows, longest + 1)
    level = 10 * np.log10(np.mean(windows**2, 1) + 1e-12)
    loud = level > np.percentile(level, 95) - 35
    lags, strengths = _peaks(correlation, shortest, longest)
    path = _path(lags, strengths, loud)
    return np.where(path > 0, RATE / np.maximum(path, 1), 0.0).astype(np.float32)


def _below(sound: NDArray[np.float64]) -> NDArray[np.float64]:
    """Without what lies above 900 Hz, where formants and friction would mislead."""
    spectrum = np.fft.rfft(sound)
    hz = np.fft.rfftfreq(len(sound), 1 / RATE)
    return np.fft.irfft(spectrum / np.sqrt(1 + (hz / 900.0) ** 8) * (hz > 50), len(sound))


def _correlation(windows: NDArray[np.float64], lags: int) -> NDArray[np.float64]:
    """Normalised cross-correlation of the front of each frame with itself, shifted."""
    size = windows.shape[1] - lags
    front = windows[:, :size]
    fft = 2 * _FRAME
    products = np.fft.irfft(np.fft.rfft(windows, fft) * np.conj(np.fft.rfft(front, fft)), fft)[:, :lags]
    squares = np.cumsum(np.pad(windows**2, ((0, 0), (1, 0))), 1)
    energy = squares[:, size : size + lags] - squares[:, :lags]
    correlation: NDArray[np.float64] = products / np.sqrt(np.maximum(energy * energy[:, :1], 1e-12))
    return correlation


def _peaks(
    correlation: NDArray[np.float64], shortest: int, longest: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The strongest local maxima of each frame: lags with fractions, and strengths."""
    frames = len(correlation)
    middle = correlation[:, shortest:longest]
    is_peak = (middle > correlation[:, shortest - 1 : longest - 1]) & (
        middle >= correlation[:, shortest + 1 : longest + 1]
    )
    weight = middle - 0.04 * np.log2(np.arange(shortest, longest) / shortest)  # of equal ones, the shortest lag
    scores = np.where(is_peak, weight, -1.0)
    order = np.argsort(-scores, axis=1)[:, :_CANDIDATES]
    strengths = np.take_along_axis(scores, order, 1)
    at = order + shortest
    rows = np.arange(frames)[:, None]
    before, here, after = correlation[rows, at - 1], correlation[rows, at], correlation[rows, at + 1]
    bend = before - 2 * here + after
    shift = np.where(np.abs(bend) > 1e-9, 0.5 * (before - after) / np.where(np.abs(bend) > 1e-9, bend, 1.0), 0.0)
    return at + np.clip(shift, -0.5, 0.5), strengths


def _path(lags: NDArray[np.float64], strengths: NDArray[np.float64], loud: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Viterbi over the candidates and the state "unvoiced"; lag in samples, 0 where unvoiced."""
    frames, count = lags.shape
    local = np.concatenate([1.0 - strengths, np.full((frames, 1), 1.0 - _VOICED)], 1)
    local[~loud, :count] += 2.0
    logs = np.log2(np.maximum(lags, 1.0))
    total, back = local[0], np.zeros((frames, count + 1), int)
    for n in range(1, frames):
        move = np.full((count + 1, count + 1), _CHANGE)
        move[:count, :count] = _JUMP * np.abs(logs[n - 1][:, None] - logs[n][None])
        move[count, count] = 0.0
        costs = total[:, None] + move
        back[n] = costs.argmin(0)
        total = costs.min(0) + local[n]
    state, path = int(total.argmin()), np.zeros(frames)
    for n in range(frames - 1, -1, -1):
        path[n] = lags[n, state] if state < count else 0.0
        state = int(back[n, state])
    return path
