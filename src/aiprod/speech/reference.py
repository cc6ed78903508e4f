"""How a recorded voice sounds as a whole, from any file that holds it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from aiprod.errors import AiprodError
from aiprod.media.audio import read_sound
from aiprod.media.container import DEFAULT
from aiprod.speech.acoustic import style_of
from aiprod.speech.features import features_of
from aiprod.speech.fundamental import fundamental
from aiprod.speech.voice import RATE

_LONGEST_S, _SHORTEST_S = 60.0, 0.5
_LEVEL = 0.09  # RMS that the model's features were made at


def read_style(path: Path) -> Tensor:
    """The style of a file's first minute.

    Raises:
        AiprodError: no sound, too little of it, or nothing voiced in it.
    """
    sound = read_reference(path, RATE)
    pitch = fundamental(sound)
    return style_of(features_of(levelled(sound, pitch), pitch))


def read_reference(path: Path, rate: int) -> NDArray[np.float32]:
    """A file's first minute, in which a voice is heard.

    Raises:
        AiprodError: no sound, too little of it, or nothing voiced in it.
    """
    if not path.is_file():
        raise AiprodError(f"there is no file {path}", "give a sound or film file with one voice")
    read = read_sound(path, RATE, 1, limits=replace(DEFAULT, sound_s=_LONGEST_S))
    if read is None or read.shape[1] < _SHORTEST_S * RATE:
        raise AiprodError(f"{path} holds less than {_SHORTEST_S:g} s of sound", "give a few seconds of one voice")
    sound = read[0].astype(np.float32)
    pitch = fundamental(sound)
    if (pitch > 0).mean() < 0.05 or float(np.abs(sound).max()) < 1e-4:
        raise AiprodError(f"no voice is heard in {path}", "give a few seconds of one voice without music")
    if rate == RATE:
        return sound
    again = read_sound(path, rate, 1, limits=replace(DEFAULT, sound_s=_LONGEST_S))
    assert again is not None
    return again[0].astype(np.float32)


def trimmed(sound: NDArray[np.float32]) -> NDArray[np.float32]:
    """Without the quiet at both ends: from the first to the last stretch within 30 dB of the loudest."""
    size = max(1, min(2_048, len(sound)))
    power = np.square(sound[: len(sound) // size * size].astype(np.float64)).reshape(-1, size).mean(1)
    loud = np.flatnonzero(power >= power.max() * 1e-3)
    return sound[loud[0] * size : min(len(sound), (loud[-1] + 1) * size)]


def levelled(sound: NDArray[np.float32], pitch: NDArray[np.float32]) -> NDArray[np.float32]:
    """A voice at the level of the model's features, by what is voiced in it."""
    voiced = np.repeat(pitch > 0, len(sound) // len(pitch))
    level = float(np.sqrt(np.mean(sound[: len(voiced)][voiced] ** 2)))
    return sound * np.float32(_LEVEL / max(level, 1e-6))
