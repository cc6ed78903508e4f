"""Sentences that no dataset holds, spoken by the drawn voice: what a finished model is judged by."""

from __future__ import annotations

import numpy as np

from aiprod.speech.acoustic import style_of
from aiprod.speech.features import features_of, frames_of
from aiprod.speech.inputs import frames_of_times, phones_of_times
from aiprod.speech.meters import MeterInput
from aiprod.speech.phones import ENGLISH
from aiprod.speech.scores import Truth
from aiprod.speech.sentences import command
from aiprod.speech.text_to_phones import phrases
from aiprod.speech.voice import SPEAKERS, speak


def fresh_commands(count: int, seed: int = 9_999) -> list[Truth]:
    """English sentences of the command grammar (64,000 are possible), the speakers in turn."""
    rng = np.random.default_rng(seed)
    utterances = []
    for number in range(count):
        text, speaker = command(rng), list(SPEAKERS)[number % len(SPEAKERS)]
        (phrase,) = phrases(text, ENGLISH)
        speech = speak([(word.text, word.phones) for word in phrase.words], SPEAKERS[speaker], ENGLISH, rng)
        features = features_of(speech.sound, speech.f0_hz)
        utterances.append(
            Truth(
                heard=MeterInput(speech.sound, speech.phones, ENGLISH, speaker),
                phones=phones_of_times(speech.phones, speech.words),
                frames=frames_of_times(speech.phones, frames_of(len(speech.sound))),
                features=features,
                text=text,
                style=style_of(features),
            )
        )
    return utterances
