"""Phrases to sound with a trained model, with the time of every phone and word."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aiprod.errors import AiprodError
from aiprod.speech.features import FRAME_HZ
from aiprod.speech.inputs import Phones, batch_of, phones_of_words
from aiprod.speech.model import SpeechModel
from aiprod.speech.phones import LANGUAGES, SILENCE
from aiprod.speech.text_to_phones import Phrase
from aiprod.speech.voice import RATE, TimedUnit

STEPS, TEMPERATURE = 8, 0.3
_PAUSE_S, _STOP_S = 0.1, 0.25  # silence after a phrase, beyond its own, and after a sentence


@dataclass(frozen=True)
class Voice:
    """Who speaks, in which language and how fast.

    Attributes:
        speaker: a name the model knows, or empty with a style.
        style: of a reference, as :func:`aiprod.speech.acoustic.style_of` gives it.
    """

    speaker: str
    language: str
    speed: float = 1.0
    style: Tensor | None = None


@dataclass(frozen=True)
class SynthesisedSpeech:
    """Sound, phones without gaps, and words.

    Attributes:
        rate: samples of a second of the sound.
    """

    sound: NDArray[np.float32]
    phones: tuple[TimedUnit, ...]
    words: tuple[TimedUnit, ...]
    rate: int = RATE


class Synthesiser(Protocol):
    """A model of another kind than ours that speaks phrases, always at one rate."""

    speakers: tuple[str, ...]

    def speak_phrase(self, phrase: Phrase, voice: Voice, *, seed: int = 0) -> SynthesisedSpeech:
        """One phrase."""
        ...

    def identity(self) -> dict[str, str]:
        """What it is, for the record of what it speaks."""
        ...


@dataclass(frozen=True)
class PlacedSpeech:
    """A phrase in its place within a text.

    Attributes:
        quiet: samples of silence before it.
        begin_s: where it begins in the whole.
        late_s: how much later that is than it was asked for.
    """

    speech: SynthesisedSpeech
    quiet: int
    begin_s: float
    late_s: float = 0.0

    @property
    def words(self) -> list[TimedUnit]:
        """Words, on the clock of the whole."""
        return self._placed(self.speech.words)

    @property
    def phones(self) -> list[TimedUnit]:
        """Phones, on the clock of the whole, the silence before it first."""
        silence = TimedUnit(SILENCE, self.begin_s - self.quiet / self.speech.rate, self.begin_s)
        return [*([silence] if self.quiet else []), *self._placed(self.speech.phones)]

    def _placed(self, units: Sequence[TimedUnit]) -> list[TimedUnit]:
        return [TimedUnit(unit.name, unit.start_s + self.begin_s, unit.end_s + self.begin_s) for unit in units]


@torch.no_grad()
def speak_phones(
    model: SpeechModel,
    phones: Phones,
    voice: Voice,
    *,
    frames: Sequence[int] | None = None,
    steps: int = STEPS,
    temperature: float = TEMPERATURE,
    seed: int = 0,
) -> tuple[Tensor, list[int]]:
    """Normalised features ``[CHANNELS, T]`` and the frames of each phone.

    Args:
        frames: of each phone, where they are not to be predicted.

    Raises:
        AiprodError: the model was trained on nothing in this language.
    """
    if voice.language in model.unheard:
        heard = ", ".join(name for name in LANGUAGES if name not in model.unheard)
        raise AiprodError(f"the model has heard nothing in the language {voice.language}", f"it speaks {heard}")
    number = model.speakers.index(voice.speaker) + 1 if voice.speaker else 0
    style = None if voice.style is None else model.normalised_style(voice.style)
    batch = batch_of([phones], [voice.language], [number], [style])
    durations = None if frames is None else torch.tensor([list(frames)])
    features, counts = model.acoustic.sample(
        batch, durations, steps=steps, temperature=temperature, speed=voice.speed / model.length_factor, seed=seed
    )
    return features[0], counts[0].tolist()


@torch.no_grad()
def speak_phrase(model: SpeechModel | Synthesiser, phrase: Phrase, voice: Voice, *, seed: int = 0) -> SynthesisedSpeech:
    """One phrase, between two short silences."""
    if not isinstance(model, SpeechModel):
        return model.speak_phrase(phrase, voice, seed=seed)
    phones = phones_of_words([word.phones for word in phrase.words])
    features, frames = speak_phones(model, phones, voice, seed=seed)
    sound = model.sound(features[None], seed=seed)[0].numpy()
    return SynthesisedSpeech(sound, *timed(phones, frames, [word.text for word in phrase.words]))


def timed(
    phones: Phones, frames: Sequence[int], words: Sequence[str]
) -> tuple[tuple[TimedUnit, ...], tuple[TimedUnit, ...]]:
    """Phones and words with their times."""
    ends = np.cumsum(frames) / FRAME_HZ
    starts = ends - np.array(frames) / FRAME_HZ
    units = tuple(TimedUnit(s, float(a), float(b)) for s, a, b in zip(phones.symbols, starts, ends, strict=True))
    spoken = []
    for number, name in enumerate(words):
        own = [phone for phone, owner in zip(units, phones.words, strict=True) if owner == number]
        spoken.append(TimedUnit(name, own[0].start_s, own[-1].end_s))
    return units, tuple(spoken)


def speak_all(
    model: SpeechModel | Synthesiser,
    phrases: Iterable[Phrase],
    voice: Voice,
    *,
    seed: int = 0,
    starts: Mapping[int, float] | None = None,
) -> Iterator[PlacedSpeech]:
    """Phrase by phrase, so that the first is there soon and a long text needs no more memory than its longest phrase.

    A phrase is asked for when the one before it has been taken.

    Args:
        starts: number of a phrase → second that it is to begin at; it waits for the end of what is before it.
    """
    wanted, end, pause = starts or {}, 0, 0
    for number, phrase in enumerate(phrases):
        speech = speak_phrase(model, phrase, voice, seed=seed + number)
        soonest = end + pause
        start = round(wanted[number] * speech.rate) if number in wanted else soonest
        begin = max(soonest, start)
        yield PlacedSpeech(speech, begin - end, begin / speech.rate, (begin - start) / speech.rate)
        end = begin + len(speech.sound)
        pause = round((_STOP_S if phrase.ends else _PAUSE_S) / voice.speed * speech.rate)
