"""When each phone of a text is heard in a recording, by PocketSphinx (``aiprod[voice]``): a forced alignment."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiprod.errors import AiprodError
from aiprod.speech.phones import ENGLISH, SILENCE
from aiprod.speech.text_to_phones import Word
from aiprod.speech.voice import RATE, TimedUnit

_FRAME = RATE // 100
_ROOM = RATE // 5  # before and behind, so that the aligner has a silence to begin and to end with
_ROOM_LEVEL = 1e-3
# PocketSphinx often finds the words of a sound and then no phones in them, and finds both in frames cut a little later.
_OFFSETS = range(0, _FRAME, _FRAME // 8)


class Aligner:
    """Aligns English. Words are given with their phones, so that no dictionary but ours decides how they sound.

    Raises:
        AiprodError: PocketSphinx is not installed.
    """

    def __init__(self) -> None:
        try:
            import pocketsphinx
        except ImportError:
            raise AiprodError(
                "recordings without a TextGrid are aligned by PocketSphinx, which is not installed",
                'pip install "aiprod[voice]", or put NAME.TextGrid beside each sound',
            ) from None
        names = {"hmm": "en-us/en-us", "dict": "en-us/cmudict-en-us.dict"}
        options: dict[str, Any] = {name: pocketsphinx.get_model_path(path) for name, path in names.items()}
        self._decoder: Any = pocketsphinx.Decoder(**options, lm=None, loglevel="FATAL")
        self.name = f"PocketSphinx {version('pocketsphinx')}"

    def align(
        self, sound: NDArray[np.float32], words: Sequence[Word], language: str
    ) -> tuple[list[TimedUnit], list[TimedUnit]]:
        """Phones, silences among them, and words.

        Raises:
            AiprodError: another language than English, or the words are not what is heard.
        """
        if language != ENGLISH:
            raise AiprodError(f"there is no aligner for the language {language}", "put NAME.TextGrid beside each sound")
        entries = ["_".join(word.phones) for word in words]
        for entry in entries:
            if self._decoder.lookup_word(entry) is None:
                self._decoder.add_word(entry, entry.replace("_", " "), True)
        room = np.random.default_rng(0).normal(0.0, _ROOM_LEVEL, 2 * _ROOM).astype(np.float32)
        for late in _OFFSETS:
            padded = np.concatenate([room[: _ROOM - late], sound, room[_ROOM:]])
            samples = np.round(np.clip(padded, -1, 1) * 32767).astype("<i2").tobytes()
            try:
                phones, spans = self._aligned(samples, entries, _ROOM - late, len(sound))
            except RuntimeError:
                continue
            if len(spans) == len(words):
                return phones, [TimedUnit(word.text, *span) for word, span in zip(words, spans, strict=True)]
        raise AiprodError("its text is not what is heard in it", "correct the text, or the sound")

    def _aligned(
        self, samples: bytes, entries: Sequence[str], before: int, length: int
    ) -> tuple[list[TimedUnit], list[tuple[float, float]]]:
        """Phones, and when each word begins and ends.

        Args:
            before: samples of room before the sound.
            length: samples of the sound.

        Raises:
            RuntimeError: PocketSphinx finds no way through.
        """
        self._decoder.set_align_text(" ".join(entries))
        self._decode(samples)
        if self._decoder.hyp() is None:
            raise RuntimeError("the words are not heard")
        self._decoder.set_alignment()
        self._decode(samples)
        phones: list[TimedUnit] = []
        spans: list[tuple[float, float]] = []
        # An entry is only valid until the next is asked for: a list of them crashes the process.
        for word in self._decoder.get_alignment():
            parts = [_timed(part.name, part.start, part.duration, before, length) for part in word]
            if word.name.startswith(("<", "[")):
                phones += [TimedUnit(SILENCE, part.start_s, part.end_s) for part in parts]
            else:
                phones += parts
                spans.append((parts[0].start_s, parts[-1].end_s))
        return phones, spans

    def _decode(self, samples: bytes) -> None:
        self._decoder.reinit_feat()  # else it hears differently after what it has heard before
        self._decoder.start_utt()
        self._decoder.process_raw(samples, full_utt=True)
        self._decoder.end_utt()


def _timed(name: str, start: int, duration: int, before: int, length: int) -> TimedUnit:
    """Frames of the padded sound as seconds of the sound itself."""
    begin, end = (float(np.clip(n * _FRAME - before, 0, length)) / RATE for n in (start, start + duration))
    return TimedUnit(name, begin, end)
