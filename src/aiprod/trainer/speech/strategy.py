"""How the speech model is trained: durations, prior, flow and vocoder in one loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from aiprod.base.params import Params
from aiprod.speech.acoustic import PhraseBatch
from aiprod.speech.features import CHANNELS, HOP
from aiprod.speech.inputs import batch_of
from aiprod.speech.model import SpeechModel
from aiprod.speech.vocoder import spectral_distance
from aiprod.trainer.loop.one_phase import WholeStrategy
from aiprod.trainer.loop.samplers import Draw, StepSampler, step_seed
from aiprod.trainer.loop.strategy import StepLoss
from aiprod.trainer.speech.data import LoadedUtterance

_HELDOUT = 24
_TOGETHER = 4  # utterances of nearly equal length that are computed at once: padding costs as much as speech


class SpeechLossParams(Params):
    """Weights of the parts of the loss, and what is left out at random."""

    duration: float = Field(default=0.5, ge=0)
    prior: float = Field(default=1.0, ge=0)
    flow: float = Field(default=0.3, ge=0)
    vocoder: float = Field(default=0.5, ge=0)
    crop_frames: int = Field(
        default=32, ge=8, le=4096, description="length of what the vocoder is trained on, 12.5 ms each"
    )
    style_share: float = Field(default=0.4, ge=0, le=1, description="samples whose style is given by a reference")
    nameless_share: float = Field(default=0.5, ge=0, le=1, description="share of those whose speaker is not named")


@dataclass(frozen=True)
class TrainingBatch:
    """Phrases with their lengths, features and sound, padded."""

    spoken: PhraseBatch
    frames: Tensor
    features: Tensor
    sounds: list[np.ndarray]
    lengths: list[int]

    def part(self, chosen: Sequence[int]) -> TrainingBatch:
        """Some of them, padded to the longest of these."""
        index = torch.tensor(list(chosen))
        phones = int((self.spoken.phones[index] > 0).sum(1).max())
        lengths = [self.lengths[n] for n in chosen]
        spoken = self.spoken
        return TrainingBatch(
            PhraseBatch(
                phones=spoken.phones[index, :phones],
                places=spoken.places[index, :phones],
                language=spoken.language[index],
                speaker=spoken.speaker[index],
                style=spoken.style[index],
            ),
            self.frames[index, :phones],
            self.features[index, :, : max(lengths)],
            [self.sounds[n] for n in chosen],
            lengths,
        )


class SpeechStrategy(WholeStrategy):
    """Draws utterances, and a reference of the same speaker for some."""

    model: SpeechModel

    in_memory: ClassVar[bool] = True

    def __init__(
        self,
        model: SpeechModel,
        train: Sequence[LoadedUtterance],
        heldout: Sequence[LoadedUtterance],
        params: SpeechLossParams,
        seed: int,
    ) -> None:
        self.model, self.params, self.seed = model, params, seed
        self.train = {each.row.utterance_id: each for each in train}
        self.apart = list(heldout)[:_HELDOUT]
        self._of_speaker: dict[str, list[str]] = {}
        for name, each in self.train.items():
            self._of_speaker.setdefault(each.row.speaker, []).append(name)

    def sampler(self, batch: int, seed: int) -> StepSampler:
        """Every utterance once before any comes again, nearly: batches are drawn without repetition."""
        ids = sorted(self.train)

        def draw(generator: torch.Generator) -> tuple[list[tuple[bool, bool, str]], list[str]]:
            order = torch.randperm(len(ids), generator=generator).tolist()
            chosen = [ids[order[n % len(order)]] for n in range(batch)]
            content = []
            for name in chosen:
                styled, nameless = (float(torch.rand((), generator=generator)) for _ in range(2))
                own = self._of_speaker[self.train[name].row.speaker]
                reference = own[int(torch.randint(len(own), (), generator=generator))]
                use = styled < self.params.style_share
                content.append((use, use and nameless < self.params.nameless_share, reference))
            return content, chosen

        return StepSampler(draw, batch=batch, seed=seed)

    def load(self, phase: str, draw: Draw, places: Sequence[int]) -> TrainingBatch:
        """A part of a batch."""
        utterances = [self.train[draw.clip_ids[place]] for place in places]
        contents = [draw.content[place] for place in places]
        styles = [self.train[reference].style if styled else None for styled, _, reference in contents]
        return self._batch(utterances, styles, [nameless for _, nameless, _ in contents])

    def loss(
        self, model: nn.Module, batch: TrainingBatch, *, step: int, slots: Sequence[int], device: torch.device
    ) -> StepLoss:
        """Of one part of a batch."""
        seeds = [step_seed(step_seed(self.seed, step), slot) for slot in slots]
        parts = self._means(model, batch, seeds, device)
        total = sum(getattr(self.params, name) * value for name, value in parts.items())
        return StepLoss(total, {name: float(value.detach()) for name, value in parts.items()})  # type: ignore[arg-type]

    def heldout(self, model: nn.Module, phase: str, *, device: torch.device) -> dict[str, float]:
        """Of sentences that are not trained on, with the same noise every time."""
        if not self.apart:
            return {}
        batch = self._batch(self.apart, [None] * len(self.apart), [False] * len(self.apart))
        parts = self._means(model, batch, list(range(len(self.apart))), device)
        total = sum(getattr(self.params, name) * float(value) for name, value in parts.items())
        return {"heldout/loss": total, **{f"heldout/{name}": float(value) for name, value in parts.items()}}

    def _normalised(self, style: Tensor) -> Tensor:
        place: Tensor = self.model.style_mean  # type: ignore[assignment]
        return self.model.normalised_style(style.to(place.device)).cpu()

    def _batch(
        self, utterances: Sequence[LoadedUtterance], styles: Sequence[Tensor | None], nameless: Sequence[bool]
    ) -> TrainingBatch:
        numbers = [
            0 if without else self.model.speakers.index(each.row.speaker) + 1
            for each, without in zip(utterances, nameless, strict=True)
        ]
        normal = [None if style is None else self._normalised(style) for style in styles]
        spoken = batch_of(
            [each.phones for each in utterances], [each.row.language for each in utterances], numbers, normal
        )
        frames = torch.zeros_like(spoken.phones)
        longest = max(each.features.shape[1] for each in utterances)
        features = torch.zeros(len(utterances), CHANNELS, longest)
        for n, each in enumerate(utterances):
            frames[n, : len(each.frames)] = torch.tensor(each.frames)
            features[n, :, : each.features.shape[1]] = each.features
        lengths = [each.features.shape[1] for each in utterances]
        return TrainingBatch(spoken, frames, features, [each.sound for each in utterances], lengths)

    def _means(
        self, model: nn.Module, batch: TrainingBatch, seeds: Sequence[int], device: torch.device
    ) -> dict[str, Tensor]:
        """Losses of a batch, computed a few utterances of like length at a time."""
        order = sorted(range(len(batch.lengths)), key=lambda n: (batch.lengths[n], n))
        means: dict[str, Tensor] = {}
        for at in range(0, len(order), _TOGETHER):
            chosen = order[at : at + _TOGETHER]
            parts = self._losses(model, batch.part(chosen), [seeds[n] for n in chosen], device)
            for name, value in parts.items():
                means[name] = means.get(name, 0.0) + value * (len(chosen) / len(order))
        return means

    def _losses(
        self, model: nn.Module, batch: TrainingBatch, seeds: Sequence[int], device: torch.device
    ) -> dict[str, Tensor]:
        size = min(self.params.crop_frames, *batch.lengths)
        noise, at, crops, sounds = torch.zeros_like(batch.features), [], [], []
        for n, seed in enumerate(seeds):
            generator = torch.Generator().manual_seed(seed)
            at.append(torch.rand((), generator=generator))
            first = int(torch.randint(batch.lengths[n] - size + 1, (), generator=generator))
            noise[n, :, : batch.lengths[n]] = torch.randn(CHANNELS, batch.lengths[n], generator=generator)
            crops.append(batch.features[n, :, first : first + size])
            sounds.append(torch.from_numpy(batch.sounds[n][first * HOP : (first + size) * HOP]))
        spoken = PhraseBatch(**{name: value.to(device) for name, value in vars(batch.spoken).items()})
        losses: dict[str, Tensor] = model(
            spoken,
            batch.frames.to(device),
            batch.features.to(device),
            noise.to(device),
            torch.stack(at).to(device),
            torch.stack(crops).to(device),
            seeds[0],
        )
        generated = losses.pop("sound")
        losses["vocoder"] = spectral_distance(generated, torch.stack(sounds).to(device))
        return losses
