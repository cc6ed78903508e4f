"""Words as PocketSphinx hears them, asked within the command grammar: word accuracy with its chance level.

PocketSphinx is an extra (``aiprod[voice]``). It judges the model and is no part of it; of the outputs of the pipeline,
the words of the film and the times of recordings without a TextGrid depend on it (``speech.aligner``).
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiprod.errors import AiprodError
from aiprod.speech.sentences import COMMANDS

_NEEDED = 'pip install "aiprod[voice]"'


def installed() -> bool:
    """Whether the recogniser can be used."""
    try:
        import pocketsphinx  # noqa: F401
    except ImportError:
        return False
    return True


class Recogniser:
    """Hears English.

    Args:
        commands: only what the grammar of :data:`aiprod.speech.sentences.COMMANDS` has; otherwise anything, by a model
            of the language.

    Raises:
        AiprodError: PocketSphinx is not installed.
    """

    def __init__(self, *, commands: bool = True) -> None:
        try:
            import pocketsphinx
        except ImportError:
            raise AiprodError("word accuracy is measured by PocketSphinx, which is not installed", _NEEDED) from None
        names = {"hmm": "en-us/en-us", "dict": "en-us/cmudict-en-us.dict"}
        options: dict[str, Any] = {name: pocketsphinx.get_model_path(path) for name, path in names.items()}
        if not commands:
            model = pocketsphinx.get_model_path("en-us/en-us.lm.bin")
            self._decoder: Any = pocketsphinx.Decoder(**options, lm=model, loglevel="FATAL")
            return
        slots = " ".join(f"({' | '.join(map(_entry, slot))})" for slot in COMMANDS)
        with tempfile.TemporaryDirectory() as folder:
            grammar = Path(folder) / "commands.jsgf"
            grammar.write_text(f"#JSGF V1.0;\ngrammar commands;\npublic <command> = {slots};\n", encoding="utf-8")
            self._decoder = pocketsphinx.Decoder(**options, jsgf=str(grammar), lm=None, loglevel="FATAL")

    def words(self, sound: NDArray[np.float32]) -> list[str]:
        """What is heard in a sound at 16 kHz, in lower case."""
        samples = np.round(np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes()
        self._decoder.reinit_feat()  # else it hears differently after what it has heard before
        self._decoder.start_utt()
        self._decoder.process_raw(samples, full_utt=True)
        self._decoder.end_utt()
        heard = self._decoder.hyp()
        return [word.rstrip(".") for word in heard.hypstr.split()] if heard else []


def _entry(word: str) -> str:
    """A word as the dictionary has it: names of letters end with a point."""
    lower = word.lower()
    return f"{lower}." if len(word) == 1 else lower


def is_command(text: str) -> bool:
    """Whether a sentence is of the grammar."""
    words = text.split()
    return len(words) == len(COMMANDS) and all(word in slot for word, slot in zip(words, COMMANDS, strict=True))


def errors(heard: Sequence[str], spoken: Sequence[str]) -> int:
    """Words that were left out, put in or heard as others, at least (Levenshtein's distance)."""
    row = list(range(len(spoken) + 1))
    for n, word in enumerate(heard, 1):
        before, row[0] = row[0], n
        for m, other in enumerate(spoken, 1):
            before, row[m] = row[m], min(row[m] + 1, row[m - 1] + 1, before + (word != other))
    return row[-1]


def accuracy(pairs: Sequence[tuple[Sequence[str], Sequence[str]]]) -> float:
    """1 − word error rate of (heard, said)."""
    total = sum(len(spoken) for _, spoken in pairs)
    return 1 - sum(errors(heard, spoken) for heard, spoken in pairs) / max(1, total)


def chance(spoken: Sequence[Sequence[str]]) -> float:
    """Accuracy of one who knows the grammar and has heard another sentence of the list, in the mean over all pairs."""
    others = [accuracy([(heard, wanted)]) for heard in spoken for wanted in spoken if heard is not wanted]
    return float(np.mean(others)) if others else 0.0
