"""Speaking with a published StyleTTS2 or Kokoro: phones as its signs, a voice as a row of its table."""

from __future__ import annotations

import functools
from pathlib import Path

import torch
from torch import Tensor

from aiprod.base.files import sha256_file
from aiprod.base.params import nearest
from aiprod.errors import AiprodError
from aiprod.models.published.styletts2 import KOKORO, SpeechCheckpoint, open_speech, read_voice
from aiprod.models.styletts2.config import SAMPLE_RATE
from aiprod.models.styletts2.style import reference_mel
from aiprod.speech.phoneme_signs import phones_of_signs, signs_of
from aiprod.speech.phones import ENGLISH, PHONES, SILENCE
from aiprod.speech.reference import read_reference, trimmed
from aiprod.speech.synthesis import SynthesisedSpeech, Voice
from aiprod.speech.text_to_phones import Phrase, Word
from aiprod.speech.voice import TimedUnit

_ENDS, _PAUSES = ".", ","
_SILENT = 0  # the token at both ends


class PublishedVoices:
    """Speaks phrases as :class:`aiprod.speech.synthesis.Synthesiser` wants it.

    Attributes:
        speakers: names of the voices beside the weights.
    """

    def __init__(self, checkpoint: SpeechCheckpoint) -> None:
        self.checkpoint = checkpoint
        self.signs = "misaki" if checkpoint.family == KOKORO else "espeak"
        self.speakers = tuple(sorted(path.stem for path in checkpoint.voices.glob("*.pt")))
        self._network = checkpoint.network()
        self._table = functools.lru_cache(maxsize=4)(self._read_table)
        if not self.speakers and not checkpoint.reads_styles:
            raise AiprodError(
                f"{checkpoint.weights} has no voices", f"put one into {checkpoint.voices}, such as af_heart.pt"
            )

    def notation(self, shown: str, text: str) -> Word | None:
        """A word in the model's own signs, or None where they are not: what stands in braces is ours first."""
        if not text or any(sign not in self.checkpoint.vocabulary for sign in text) or _is_arpabet(text):
            return None
        phones, signs = phones_of_signs(text, self.signs)
        return Word(shown, phones, signs) if phones else None

    def read_style(self, reference: Path) -> Tensor:
        """How a recorded voice sounds and moves.

        Raises:
            AiprodError: the model cannot read styles, or no voice is heard.
        """
        if not self.checkpoint.reads_styles:
            what = f"{self.checkpoint.weights} has no networks that read a voice from a recording"
            raise AiprodError(what, "leave out --reference and choose a --speaker; StyleTTS2 has them, Kokoro does not")
        sound = torch.from_numpy(trimmed(read_reference(reference, SAMPLE_RATE)))
        return self._network.style_of(reference_mel(sound, self.checkpoint.config.n_mels))

    def identity(self) -> dict[str, str]:
        """Format, name and digest of the weights."""
        weights = self.checkpoint.weights
        return {"format": self.checkpoint.family, "file": weights.name, "sha256": sha256_file(weights)}

    def speak_phrase(self, phrase: Phrase, voice: Voice, *, seed: int = 0) -> SynthesisedSpeech:
        """One phrase, between the silences that the model makes of the ends.

        Raises:
            AiprodError: another language than English, an unknown voice, a sign that the model does not know, or a
                phrase that is too long for it.
        """
        if voice.language != ENGLISH:
            raise AiprodError(
                f"{self.checkpoint.weights} is spoken with in English alone, not in {voice.language!r}",
                "other languages: write the sounds in braces, in the model's own signs",
            )
        tokens, owners, names = self._tokens(phrase)
        style = voice.style if voice.style is not None else self._style_of(voice.speaker, len(tokens) - 2)
        sound, steps = self._network.speak(torch.tensor(tokens), style, speed=voice.speed, seed=seed)
        return SynthesisedSpeech(sound.numpy(), *self._timed(phrase, owners, names, steps.tolist()), rate=SAMPLE_RATE)

    def _tokens(self, phrase: Phrase) -> tuple[list[int], list[int], list[str]]:
        """Tokens, the number of the phone that each belongs to, and the names of the phones."""
        vocabulary, names = self.checkpoint.vocabulary, [SILENCE]
        tokens, owners = [_SILENT], [0]

        def add(signs: str, owner: int, word: str) -> None:
            for sign in signs:
                if sign not in vocabulary:
                    raise AiprodError(
                        f"{self.checkpoint.weights} does not know the sign {sign!r} of {word!r}",
                        f"it knows {''.join(vocabulary)}",
                    )
                tokens.append(vocabulary[sign])
                owners.append(owner)

        for number, word in enumerate(phrase.words):
            own = word.signs or signs_of(word.text, word.phones, self.signs)
            if number and " " in vocabulary:
                add(" ", len(names), word.text)
            for phone, signs in zip(word.phones, own, strict=True):
                names.append(phone)
                add(signs, len(names) - 1, word.text)
        end = _ENDS if phrase.ends else _PAUSES
        names.append(SILENCE)
        if end in vocabulary:
            add(end, len(names) - 1, end)
        most = self.checkpoint.config.plbert.max_position_embeddings
        if len(tokens) + 1 > most:
            raise AiprodError(
                f"a phrase of {len(tokens) - 1} signs is longer than the {most - 2} that the model takes",
                "end sentences with full stops",
            )
        return [*tokens, _SILENT], [*owners, len(names) - 1], names

    def _timed(
        self, phrase: Phrase, owners: list[int], names: list[str], steps: list[int]
    ) -> tuple[tuple[TimedUnit, ...], tuple[TimedUnit, ...]]:
        second = self.checkpoint.config.frame / SAMPLE_RATE
        lengths = [0] * len(names)
        for owner, count in zip(owners, steps, strict=True):
            lengths[owner] += count
        ends, at = [], 0
        for length in lengths:
            at += length
            ends.append(at)
        phones = tuple(
            TimedUnit(name, (end - length) * second, end * second)
            for name, end, length in zip(names, ends, lengths, strict=True)
        )
        words, first = [], 1
        for word in phrase.words:
            last = first + len(word.phones) - 1
            words.append(TimedUnit(word.text, phones[first].start_s, phones[last].end_s))
            first = last + 1
        return phones, tuple(words)

    def _style_of(self, speaker: str, signs: int) -> Tensor:
        if speaker not in self.speakers:
            hint = nearest(speaker, list(self.speakers)) if self.speakers else "give --reference and --consent"
            raise AiprodError(f"{self.checkpoint.weights} has no voice {speaker!r}", hint)
        table = self._table(speaker)
        return table[min(max(signs, 1), len(table)) - 1]

    def _read_table(self, speaker: str) -> Tensor:
        return read_voice(self.checkpoint.voices / f"{speaker}.pt", self.checkpoint.config.style_dim)


def load_published(path: Path) -> PublishedVoices | None:
    """The voices of a published checkpoint, or None where a path names something else.

    Raises:
        CheckpointError: it is damaged or not understood.
    """
    checkpoint = open_speech(path)
    return None if checkpoint is None else PublishedVoices(checkpoint)


def _is_arpabet(text: str) -> bool:
    parts = [part.rstrip("012") for part in text.split()]
    return bool(parts) and all(part in PHONES[ENGLISH] for part in parts)
