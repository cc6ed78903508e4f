"""What a speech model is measured by: its bounds and chance levels always beside its own figures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aiprod.speech.features import griffin_lim, log_mel
from aiprod.speech.fundamental import fundamental
from aiprod.speech.inputs import Phones
from aiprod.speech.meters import MeterInput, Meters, pitch_correlation
from aiprod.speech.model import SpeechModel
from aiprod.speech.mos import Listeners
from aiprod.speech.recogniser import Recogniser, accuracy, chance, is_command
from aiprod.speech.synthesis import Voice, speak_phones, timed
from aiprod.speech.vocoder import spectral_distance
from aiprod.speech.voice import RATE

_GRIFFIN_LIM = 8  # utterances that the slow baseline is made for


@dataclass(frozen=True)
class Truth:
    """A held-out utterance."""

    heard: MeterInput
    phones: Phones
    frames: list[int]
    features: Tensor
    text: str
    style: Tensor


def score(model: SpeechModel, meters: Meters, heldout: Sequence[Truth], unseen: Sequence[Truth]) -> dict[str, Any]:
    """Figures of a model on sentences that it was not trained on; ``unseen``: of a pair that it never heard."""
    true = [each.heard for each in heldout]
    outputs = [_spoken(model, each) for each in heldout]
    heard = [each[0] for each in outputs]
    lengths = np.array([sum(frames) / sum(each.frames) - 1 for (_, frames), each in zip(outputs, heldout, strict=True)])
    pitches = [
        (fundamental(_spoken(model, each, aligned=True)[0].sound), fundamental(each.heard.sound), each.heard.speaker)
        for each in heldout
    ]
    correlation, semitones = pitch_correlation(pitches)
    vocoded, griffin = _vocoder(model, heldout)
    figures: dict[str, Any] = {
        "heldout_utterances": len(heldout),
        "phone_accuracy": meters.phone_accuracy(heard),
        "phone_accuracy_bound": meters.phone_accuracy(true),
        "phone_accuracy_chance": meters.phone_chance(true),
        "speaker_accuracy": meters.speaker_accuracy(heard),
        "speaker_accuracy_bound": meters.speaker_accuracy(true),
        "speaker_accuracy_chance": 1 / len(model.speakers),
        "language_accuracy": meters.language_accuracy(heard),
        "language_accuracy_bound": meters.language_accuracy(true),
        "language_accuracy_chance": 0.5,
        "duration_error": float(np.abs(lengths).mean()) if len(lengths) else None,
        "duration_bias": float(lengths.mean()) if len(lengths) else None,
        "f0_correlation": correlation,
        "f0_error_semitones": semitones,
        "vocoder_distance": vocoded,
        "griffin_lim_distance": griffin,
    }
    by_style = [_spoken(model, each, styled=True)[0] for each in heldout]
    figures["speaker_accuracy_by_reference"] = meters.speaker_accuracy(by_style)
    if unseen:
        never = [_spoken(model, each)[0] for each in unseen]
        figures["unseen_pair"] = {
            "utterances": len(unseen),
            "phone_accuracy": meters.phone_accuracy(never),
            "phone_accuracy_bound": meters.phone_accuracy(each.heard for each in unseen),
            "speaker_accuracy": meters.speaker_accuracy(never),
            "language_accuracy": meters.language_accuracy(never),
        }
    return figures


def word_figures(model: SpeechModel, heldout: Iterable[Truth]) -> dict[str, Any]:
    """Word accuracy of the model, of the voice that it learnt from, and of what the vocoder alone loses.

    Raises:
        AiprodError: PocketSphinx is not installed.
    """
    recogniser = Recogniser()
    commands = [each for each in heldout if is_command(each.text)]
    expected = [each.text.lower().split() for each in commands]

    def heard(sounds: Iterable[NDArray[np.float32]]) -> float:
        return accuracy([(recogniser.words(sound), text) for sound, text in zip(sounds, expected, strict=True)])

    return {
        "sentences": len(commands),
        "words": sum(map(len, expected)),
        "word_accuracy": heard(_spoken(model, each)[0].sound for each in commands),
        "word_accuracy_of_the_voice": heard(each.heard.sound for each in commands),
        "word_accuracy_of_the_vocoder": heard(_vocoded(model, each) for each in commands),
        "word_accuracy_chance": chance(expected),
    }


def ratings(model: SpeechModel, heldout: Sequence[Truth]) -> dict[str, Any]:
    """Overall rating by DNSMOS of the model, the voice, its features through the vocoder, and Griffin and Lim's sound.

    Raises:
        AiprodError: DNSMOS is not installed.
    """
    listeners = Listeners()
    chosen = heldout[:: max(1, len(heldout) // _GRIFFIN_LIM)][:_GRIFFIN_LIM]

    def mean(sounds: Iterable[NDArray[np.float32]]) -> float:
        return float(np.mean([listeners.rate(sound)["overall"] for sound in sounds]))

    noise = np.random.default_rng(0).normal(0, 0.1, RATE * 9).astype(np.float32)
    return {
        "dnsmos_sentences": len(chosen),
        "dnsmos": mean(_spoken(model, each)[0].sound for each in chosen),
        "dnsmos_of_the_voice": mean(each.heard.sound for each in chosen),
        "dnsmos_of_the_vocoder": mean(_vocoded(model, each) for each in chosen),
        "dnsmos_of_griffin_lim": mean(
            griffin_lim(log_mel(torch.from_numpy(each.heard.sound))).numpy() for each in chosen
        ),
        "dnsmos_of_noise": mean([noise]),
    }


def _spoken(
    model: SpeechModel, truth: Truth, *, aligned: bool = False, styled: bool = False
) -> tuple[MeterInput, list[int]]:
    """The model says it; with the lengths of the truth, or in the style of the truth instead of by name."""
    own = truth.heard
    voice = Voice("" if styled else own.speaker, own.language, style=truth.style if styled else None)
    features, frames = speak_phones(model, truth.phones, voice, frames=truth.frames if aligned else None)
    with torch.no_grad():
        sound = model.sound(features[None], seed=0)[0].numpy()
    return MeterInput(sound, timed(truth.phones, frames, [])[0], own.language, own.speaker), frames


@torch.no_grad()
def _vocoded(model: SpeechModel, truth: Truth) -> NDArray[np.float32]:
    samples: NDArray[np.float32] = model.sound(model.normalised(truth.features)[None], seed=0)[0].numpy()
    return samples


def _vocoder(model: SpeechModel, heldout: Sequence[Truth]) -> tuple[float | None, float | None]:
    """Spectral distance to the truth of the vocoder, and of Griffin and Lim's iteration, on the same utterances."""
    ours, theirs = [], []
    for truth in heldout[:: max(1, len(heldout) // _GRIFFIN_LIM)][:_GRIFFIN_LIM]:
        sound = torch.from_numpy(_vocoded(model, truth))
        wanted = torch.from_numpy(truth.heard.sound)[: len(sound)]
        ours.append(float(spectral_distance(sound, wanted)))
        theirs.append(float(spectral_distance(griffin_lim(log_mel(wanted))[: len(wanted)], wanted)))
    return (float(np.mean(ours)), float(np.mean(theirs))) if ours else (None, None)
