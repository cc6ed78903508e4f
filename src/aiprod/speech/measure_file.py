"""What can be measured of the speech in any file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from aiprod.errors import AiprodError
from aiprod.media.audio import read_sound
from aiprod.media.container import DEFAULT
from aiprod.speech import mos
from aiprod.speech.fundamental import fundamental
from aiprod.speech.phones import ENGLISH
from aiprod.speech.recogniser import Recogniser, accuracy, is_command
from aiprod.speech.sentences import COMMANDS
from aiprod.speech.text_to_phones import bundled_dictionary, phrases
from aiprod.speech.voice import RATE

_LONGEST_S = 600.0


def measure_file(path: Path, text: str) -> dict[str, Any]:
    """Length, level and pitch, ratings where DNSMOS is installed, and the words where it is known what is said.

    Raises:
        AiprodError: no sound; or a text, and no recogniser.
    """
    read = read_sound(path, RATE, 1, limits=replace(DEFAULT, sound_s=_LONGEST_S))
    if read is None or not read.shape[1]:
        raise AiprodError(f"{path} has no sound", "give a file with speech")
    sound = read[0].astype(np.float32)
    pitch = fundamental(sound)
    voiced = pitch[pitch > 0]
    figures: dict[str, Any] = {
        "seconds": len(sound) / RATE,
        "level_dbfs": float(10 * np.log10(np.mean(sound.astype(np.float64) ** 2) + 1e-12)),
        "voiced_share": float((pitch > 0).mean()),
    }
    if len(voiced):
        figures["f0_median_hz"] = float(np.median(voiced))
    if mos.installed():
        figures |= {f"dnsmos_{name}": value for name, value in mos.Listeners().rate(sound).items()}
    if not text:
        return figures
    expected = [word.text.lower() for phrase in phrases(text, ENGLISH, bundled_dictionary()) for word in phrase.words]
    within_grammar = is_command(text)
    heard = Recogniser(commands=within_grammar).words(sound)
    figures["asked"] = "the command grammar" if within_grammar else "a language model of English"
    figures["heard"] = " ".join(heard) or "nothing"
    figures["words"] = len(expected)
    figures["word_accuracy"] = accuracy([(heard, expected)])
    if within_grammar:
        figures["word_accuracy_chance"] = float(np.mean([1 / len(slot) for slot in COMMANDS]))  # each word guessed
    return figures
