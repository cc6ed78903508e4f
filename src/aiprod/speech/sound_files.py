"""The dataset's own sound files: mono, 16 bits, at the rate of the features."""

from __future__ import annotations

import io
import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aiprod.base.files import write_bytes
from aiprod.errors import AiprodError
from aiprod.speech.voice import RATE
from aiprod.storage.crypto.film_encryption import Vault


def write_sound(path: Path, sound: NDArray[np.float32]) -> bytes:
    """Write a WAV file; its bytes."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(np.round(np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes())
    write_bytes(path, buffer.getvalue())
    return buffer.getvalue()


def read_sound(path: Path) -> NDArray[np.float32]:
    """Read what :func:`write_sound` wrote, also where it was encrypted since.

    Raises:
        Refusal: it is encrypted, and its key is not here.
        AiprodError: missing, damaged, or of another format.
    """
    try:
        with Vault().plain(path) as plain, wave.open(str(plain), "rb") as file:
            if (file.getnchannels(), file.getsampwidth(), file.getframerate()) != (1, 2, RATE):
                raise AiprodError(f"{path} is not mono, 16 bits, {RATE} Hz", "run `dvc repro make_speech`")
            data = file.readframes(file.getnframes())
    except (OSError, EOFError, wave.Error) as error:
        raise AiprodError(f"{path} cannot be read ({error})", "run `dvc checkout` or `dvc repro make_speech`") from None
    return (np.frombuffer(data, "<i2") / 32767).astype(np.float32)
