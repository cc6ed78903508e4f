"""The utterances of the speech dataset in memory, as training takes them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from aiprod.base.files import contained
from aiprod.speech.acoustic import style_of
from aiprod.speech.features import features_of, frames_of
from aiprod.speech.inputs import Phones, batch_of, frames_of_times, phones_of_times
from aiprod.speech.meters import MeterInput, Meters
from aiprod.speech.model import SpeechModel
from aiprod.speech.rows import SpeechRow
from aiprod.speech.scores import Truth
from aiprod.speech.sound_files import read_sound

_LENGTHS = 96  # utterances that the lengths are measured on
_EXAMPLES = 24  # of a speaker in a language, for the meters


@dataclass(frozen=True)
class LoadedUtterance:
    """One row, read."""

    row: SpeechRow
    sound: np.ndarray
    phones: Phones
    frames: list[int]
    features: Tensor
    style: Tensor

    @property
    def heard(self) -> MeterInput:
        """As meters take it."""
        return MeterInput(self.sound, self.row.timed_phones(), self.row.language, self.row.speaker)


def load_utterances(rows: Iterable[SpeechRow], folder: Path) -> list[LoadedUtterance]:
    """Read sounds and compute features; rows without a sound are left out (their reasons are in the manifest)."""
    utterances = []
    for row in rows:
        if row.status != "ok" or row.sound_name is None:
            continue
        sound = read_sound(contained(folder, row.sound_name))
        times = row.timed_phones()
        features = features_of(sound, np.array(row.f0_hz, np.float32))
        utterances.append(
            LoadedUtterance(
                row=row,
                sound=sound,
                phones=phones_of_times(times, row.timed_words()),
                frames=frames_of_times(times, frames_of(len(sound))),
                features=features,
                style=style_of(features),
            )
        )
    return utterances


def measure_statistics(model: SpeechModel, utterances: Sequence[LoadedUtterance]) -> None:
    """Give a model the mean and deviation of the features, and of the styles, of these utterances."""
    features = torch.cat([each.features for each in utterances], 1).double()
    styles = torch.stack([each.style for each in utterances]).double()
    for name, values in (
        ("mean", features.mean(1)),
        ("deviation", features.std(1).clamp_min(1e-3)),
        ("style_mean", styles.mean(0)),
        ("style_deviation", styles.std(0).clamp_min(1e-2)),
    ):
        getattr(model, name).copy_(values.float())


@torch.no_grad()
def measure_lengths(model: SpeechModel, utterances: Sequence[LoadedUtterance]) -> None:
    """Give a trained model the factor by which its predicted lengths are too short in these utterances.

    Logarithms of lengths are learnt, and the mean of a logarithm is that of a smaller number: phrases would be spoken
    too fast, the more so the less certain lengths are (6 % with three voices of a teacher).
    """
    true = predicted = 0.0
    for each in utterances[:: max(1, len(utterances) // _LENGTHS)]:
        number = model.speakers.index(each.row.speaker) + 1
        log_frames = model.acoustic.encode(batch_of([each.phones], [each.row.language], [number], [None]))[2]
        predicted += float(log_frames.exp().clamp_min(1).sum())
        true += sum(each.frames)
    model.length_factor = round(min(max(true / max(1.0, predicted), 0.8), 1.25), 4)


def truth_of(utterance: LoadedUtterance) -> Truth:
    """As a model is measured with."""
    row = utterance.row
    return Truth(utterance.heard, utterance.phones, utterance.frames, utterance.features, row.text, utterance.style)


def meters_of(train: Sequence[LoadedUtterance], most: int = _EXAMPLES) -> Meters:
    """Meters from the first utterances of each speaker in each language."""
    counts: dict[tuple[str, str], int] = {}
    chosen = []
    for each in train:
        key = each.row.speaker, each.row.language
        counts[key] = counts.get(key, 0) + 1
        if counts[key] <= most:
            chosen.append(each.heard)
    return Meters(chosen)
