"""What a sound of the demo world holds: when something is struck, and at which pitch."""

from __future__ import annotations

import numpy as np

from aiprod.data.sources.demo.plan import SHAPES

SILENT = "silent"

_SILENT_RMS = 10 ** (-55 / 20)
_NEAR = 0.03  # share of a pitch within which power counts for it


def sound_onsets_s(sound: np.ndarray, rate: int) -> list[float]:
    """Times at which the sound rises sharply: 10 ms energy at least 6 dB over the mean of the 60 ms before it."""
    hop = rate // 100
    frames = sound[:, : sound.shape[1] // hop * hop].mean(axis=0).reshape(-1, hop)
    level = 10 * np.log10(np.square(frames).mean(axis=1) + 1e-8)
    onsets: list[float] = []
    for i in range(1, len(level)):
        before = level[max(0, i - 6) : i].mean()
        if level[i] > before + 6 and level[i] > -50 and (not onsets or i / 100 - onsets[-1] > 0.1):
            onsets.append(i / 100)
    return onsets


def heard_shape(sound: np.ndarray, rate: int) -> str:
    """The shape whose pitch has the most power, or ``silent``; float [channels, samples]."""
    mono = sound.mean(axis=0)
    if np.sqrt(np.square(mono).mean()) < _SILENT_RMS:
        return SILENT
    power = np.square(np.abs(np.fft.rfft(mono * np.hanning(len(mono)), n=4 * len(mono))))
    pitch = np.fft.rfftfreq(4 * len(mono), 1 / rate)
    return max(SHAPES, key=lambda shape: power[np.abs(pitch / SHAPES[shape] - 1) < _NEAR].sum())
