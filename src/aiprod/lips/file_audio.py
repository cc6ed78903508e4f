"""The voice of any file, as the meters and networks of mouths hear it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aiprod.errors import AiprodError
from aiprod.media.audio import read_sound
from aiprod.media.container import DEFAULT
from aiprod.media.errors import MediaError
from aiprod.speech.voice import RATE

LONGEST_S = 600.0


def read_voice(path: Path, origin_s: float = 0.0) -> NDArray[np.float32]:
    """Mono at :data:`aiprod.speech.voice.RATE`.

    Args:
        origin_s: when the film's first picture is shown, from where times are counted.

    Raises:
        AiprodError: no file, none that opens, or no sound in it.
    """
    if not path.is_file():
        raise AiprodError(f"there is no file {path}", "give a file with a voice")
    try:
        read = read_sound(path, RATE, 1, origin_s=origin_s, limits=replace(DEFAULT, sound_s=LONGEST_S))
    except MediaError as error:  # which names no file, because rows keep it
        raise AiprodError(f"{path}: {error.what}", error.hint or "give a film or a recording that plays") from None
    if read is None or not read.shape[1]:
        raise AiprodError(f"{path} has no sound", "give a file with speech")
    sound: NDArray[np.float32] = read[0].astype(np.float32)
    return sound
