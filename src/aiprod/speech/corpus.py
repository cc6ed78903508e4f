"""Makes the speech dataset of the demo: sentences of a seed, spoken by the drawn voice."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import Field

from aiprod.base.params import Params
from aiprod.errors import AiprodError
from aiprod.speech.features import HOP, frames_of
from aiprod.speech.phones import CONSTRUCTED, ENGLISH
from aiprod.speech.rows import SpeechRow, Split
from aiprod.speech.sentences import command, constructed, description
from aiprod.speech.sound_files import write_sound
from aiprod.speech.taught import TeacherName, TeacherParams
from aiprod.speech.text_to_phones import phrases
from aiprod.speech.voice import CONTROL, SPEAKERS, speak

SOURCE = "drawn_voice"
PROVENANCE = "drawn by aiprod.speech.voice; no person spoke it"
UNSEEN = ("carlo", CONSTRUCTED)
"""A speaker and a language that are never heard together in training."""


class MakeSpeechParams(Params):
    """The speech dataset."""

    commands: int = Field(default=168, ge=4, le=100_000, description="English sentences of six words and a grammar")
    descriptions: int = Field(default=144, ge=4, le=100_000, description="open English sentences")
    made: int = Field(default=108, ge=4, le=100_000, description="sentences of the constructed language")
    heldout_fraction: float = Field(default=0.12, gt=0, lt=1, description="share of sentences kept out of training")
    seed: int = Field(default=0, ge=0, le=2**32)
    teachers: dict[TeacherName, TeacherParams] = Field(
        default={}, description="text to speech of others that speaks English sentences as well: flite, hibari"
    )
    folders: dict[str, str] = Field(
        default={}, description="source id → folder of people's recordings, relative to the repository or absolute"
    )


@dataclass(frozen=True)
class CorpusPlan:
    """One utterance to be spoken."""

    text: str
    language: str
    speaker: str
    split: Split
    seed: int

    @property
    def utterance_id(self) -> str:
        """Opaque, from everything that makes it what it is."""
        content = "\x00".join([SOURCE, self.text, self.language, self.speaker, str(self.seed)])
        return "u1" + base64.b32encode(hashlib.sha256(content.encode()).digest()[:10]).decode().lower()


def plans(params: MakeSpeechParams) -> list[CorpusPlan]:
    """What is to be spoken, and by whom. Held out are sentences; each is spoken by every speaker of its language."""
    rng = np.random.default_rng(params.seed)
    names = list(SPEAKERS)
    every: list[CorpusPlan] = []
    for language, count, sentence in (
        (ENGLISH, params.commands, command),
        (ENGLISH, params.descriptions, description),
        (CONSTRUCTED, params.made, constructed),
    ):
        speakers = [name for name in names if (name, language) != UNSEEN]
        texts = _different(sentence, rng, count)
        apart = max(1, round(count * params.heldout_fraction / len(speakers)))
        for number, text in enumerate(texts):
            if number < apart:
                every += [
                    CorpusPlan(text, language, name, "heldout", len(every) + n) for n, name in enumerate(speakers)
                ]
                if language == UNSEEN[1]:
                    every.append(CorpusPlan(text, language, UNSEEN[0], "unseen_pair", len(every)))
            elif (number - apart) < count - apart * len(speakers):
                every.append(CorpusPlan(text, language, speakers[number % len(speakers)], "train", len(every)))
    return every


def _different(sentence: Callable[[np.random.Generator], str], rng: np.random.Generator, count: int) -> list[str]:
    """So many sentences, no two alike.

    Raises:
        AiprodError: the grammar has not so many.
    """
    sentences: dict[str, None] = {}
    for _ in range(50 * count):
        sentences.setdefault(sentence(rng))
        if len(sentences) == count:
            return list(sentences)
    raise AiprodError(
        f"the grammar has fewer than {count} sentences", "lower make_speech.descriptions or make_speech.made"
    )


def make_corpus(params: MakeSpeechParams, folder: Path, threads: int) -> list[SpeechRow]:
    """Speak everything into ``folder``; a row each."""
    with ThreadPoolExecutor(threads) as pool:  # NumPy works beside itself: transforms and products hold no lock
        return list(pool.map(lambda plan: _spoken(plan, folder, params.seed), plans(params)))


def _spoken(plan: CorpusPlan, folder: Path, seed: int) -> SpeechRow:
    (phrase,) = phrases(plan.text, plan.language)
    rng = np.random.default_rng([seed, plan.seed])
    words = [(word.text, word.phones) for word in phrase.words]
    utterance = speak(words, SPEAKERS[plan.speaker], plan.language, rng)
    name = f"{plan.utterance_id}.wav"
    data = write_sound(folder / name, utterance.sound)
    frames = frames_of(len(utterance.sound))
    at = ((np.arange(frames) + 0.5) * HOP / CONTROL).astype(int).clip(0, len(utterance.f0_hz) - 1)
    return SpeechRow(
        utterance_id=plan.utterance_id,
        status="ok",
        source_id=SOURCE,
        provenance=PROVENANCE,
        synthetic=True,
        speaker=plan.speaker,
        language=plan.language,
        text=plan.text,
        split=plan.split,
        sound_name=name,
        sound_sha256=hashlib.sha256(data).hexdigest(),
        seconds=len(utterance.sound) / 16_000,
        phones=[phone.name for phone in utterance.phones],
        phone_ends_s=[round(phone.end_s, 4) for phone in utterance.phones],
        words=[word.name for word in utterance.words],
        word_starts_s=[round(word.start_s, 4) for word in utterance.words],
        word_ends_s=[round(word.end_s, 4) for word in utterance.words],
        f0_hz=[round(float(value), 1) for value in utterance.f0_hz[at]],
    )
