"""The part of the speech dataset that teachers speak: English sentences, in the voices that the parameters name."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from aiprod.base.params import Params, nearest
from aiprod.errors import AiprodError
from aiprod.speech.features import HOP
from aiprod.speech.fundamental import fundamental
from aiprod.speech.phones import ENGLISH
from aiprod.speech.reference import levelled
from aiprod.speech.rows import TAUGHT, SpeechRow, Split, split_of
from aiprod.speech.sentences import command, description
from aiprod.speech.sound_files import write_sound
from aiprod.speech.teachers import Teacher, load_teacher
from aiprod.speech.text_to_phones import phrases
from aiprod.speech.times import edges, without_gaps
from aiprod.speech.voice import RATE

TeacherName = Literal["flite", "hibari"]


class TeacherParams(Params):
    """What one teacher speaks."""

    voices: list[str] = Field(default=[], description="of the teacher's; empty: its first three")
    commands: int = Field(default=360, ge=4, le=100_000, description="English sentences of six words and a grammar")
    descriptions: int = Field(default=200, ge=0, le=100_000, description="open English sentences")


@dataclass(frozen=True)
class TaughtPlan:
    """One sentence to be spoken by a teacher."""

    teacher: TeacherName
    voice: str
    text: str
    split: Split

    @property
    def source_id(self) -> str:
        """What its rows call their source."""
        return f"teacher_{self.teacher}"

    @property
    def utterance_id(self) -> str:
        """Opaque, from everything that makes it what it is."""
        content = f"{self.source_id}\x00{self.voice}\x00{self.text}"
        return "u1" + base64.b32encode(hashlib.sha256(content.encode()).digest()[:10]).decode().lower()


def taught_plans(
    teachers: Mapping[TeacherName, TeacherParams],
    loaded: Mapping[TeacherName, Teacher],
    seed: int,
    heldout_fraction: float,
    besides: Collection[str],
) -> list[TaughtPlan]:
    """What is to be spoken, a teacher's voices in turn; teachers speak the same sentences as far as their numbers go.

    Args:
        besides: sentences of others, which may be held out there, and are not taken.

    Raises:
        AiprodError: a voice that a teacher has not, or the grammar has too few sentences.
    """
    plans = []
    for name, params in sorted(teachers.items()):
        known = loaded[name].voices
        voices = params.voices or list(known[:3])
        for voice in voices:
            if voice not in known:
                raise AiprodError(f"the teacher {name} has no voice {voice!r}", nearest(voice, list(known)))
        texts = _texts(command, np.random.default_rng([seed, 1]), params.commands, besides)
        texts += _texts(description, np.random.default_rng([seed, 2]), params.descriptions, besides)
        plans += [
            TaughtPlan(name, voices[n % len(voices)], text, split_of(text, seed, heldout_fraction))
            for n, text in enumerate(texts)
        ]
    return plans


def _texts(
    sentence: Callable[[np.random.Generator], str], rng: np.random.Generator, count: int, besides: Collection[str]
) -> list[str]:
    texts: dict[str, None] = {}
    for _ in range(50 * count):
        if len(texts) == count:
            break
        if (text := sentence(rng)) not in besides:
            texts.setdefault(text)
    if len(texts) < count:
        raise AiprodError(f"the grammar has fewer than {count} more sentences", "lower the numbers of make_speech")
    return list(texts)


def loaded_teachers(teachers: Collection[TeacherName]) -> dict[TeacherName, Teacher]:
    """Each of them.

    Raises:
        AiprodError: one is not installed.
    """
    return {name: load_teacher(name) for name in sorted(teachers)}


def make_taught(
    plans: list[TaughtPlan],
    loaded: Mapping[TeacherName, Teacher],
    folder: Path,
    threads: int,
) -> list[SpeechRow]:
    """Let teachers speak everything into ``folder``; a row each."""
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(lambda plan: _row(plan, loaded[plan.teacher], folder), plans))


def _row(plan: TaughtPlan, teacher: Teacher, folder: Path) -> SpeechRow:
    bare = SpeechRow(
        utterance_id=plan.utterance_id,
        status="refused",
        source_id=plan.source_id,
        provenance=f"{TAUGHT} {teacher.name}, voice {plan.voice}",
        synthetic=True,
        speaker=f"{plan.teacher}_{plan.voice}",
        language=ENGLISH,
        text=plan.text,
        split=plan.split,
        rights_proof=[f"licence of the teacher: {teacher.licence}"],
    )
    words = [word for phrase in phrases(plan.text, ENGLISH) for word in phrase.words]
    try:
        speech = teacher.say(words, plan.voice)
        first, last = edges(speech.words, len(speech.sound))
    except AiprodError as error:
        return bare.model_copy(update={"reasons": [error.what]})
    pitch = fundamental(speech.sound)
    cut, offset = levelled(speech.sound, pitch)[first:last], first / RATE
    frames = slice(first // HOP, first // HOP + max(1, len(cut) // HOP))
    phones = without_gaps(speech.phones, offset, len(cut) / RATE)
    name = f"{plan.utterance_id}.wav"
    data = write_sound(folder / name, cut)
    return bare.model_copy(
        update={
            "status": "ok",
            "sound_name": name,
            "sound_sha256": hashlib.sha256(data).hexdigest(),
            "seconds": len(cut) / RATE,
            "phones": [phone.name for phone in phones],
            "phone_ends_s": [round(phone.end_s, 4) for phone in phones],
            "words": [word.name for word in speech.words],
            "word_starts_s": [round(word.start_s - offset, 4) for word in speech.words],
            "word_ends_s": [round(word.end_s - offset, 4) for word in speech.words],
            "f0_hz": [round(float(value), 1) for value in pitch[frames]],
        }
    )
