"""How the network from sound to visemes is trained: stretches of utterances, of other throats, levels and noises."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from aiprod.base.files import contained
from aiprod.base.params import Params
from aiprod.lips.viseme_model import VisemeModel
from aiprod.speech.features import BANDS, FLOOR, FRAME_HZ, band_centres, log_mel
from aiprod.speech.rows import SpeechRow
from aiprod.speech.sound_files import read_sound
from aiprod.speech.visemes import NUMBERS, SHAPES, middles, mouth_at, visemes_at
from aiprod.trainer.loop.one_phase import WholeStrategy
from aiprod.trainer.loop.samplers import Draw, StepSampler, step_seed
from aiprod.trainer.loop.strategy import StepLoss

_HELDOUT = 16
_REST = torch.tensor(SHAPES["sil"])


class VisemeLossParams(Params):
    """Weights of the parts of the loss, and what is done to the sound."""

    visemes: float = Field(default=0.3, ge=0, description="cross-entropy")
    mouth: float = Field(default=20.0, ge=0, description="mean squared error of the mouth's numbers")
    crop_frames: int = Field(default=128, ge=16, le=8192, description="length of a stretch, 12.5 ms each")
    tract: float = Field(
        default=0.2, ge=0, le=0.5, description="largest change of the vocal tract's length, as a share"
    )
    gain_db: float = Field(default=10.0, ge=0, le=40, description="deviation of the level")
    tilt_db: float = Field(default=12.0, ge=0, le=40, description="deviation of the highest band against the lowest")
    noise: float = Field(default=0.05, ge=0, le=1, description="largest amplitude of noise that is added")
    hidden_bands: int = Field(
        default=8, ge=0, le=BANDS // 2, description="largest number of neighbouring bands that are hidden; 0: none"
    )
    silence: float = Field(default=0.1, ge=0, le=1, description="share of stretches without speech")


@dataclass(frozen=True)
class TrainingUtterance:
    """An utterance: log mel bands ``[BANDS, T]``, visemes ``[T]`` and the mouth ``[4, T]`` of each frame."""

    row: SpeechRow
    sound: np.ndarray
    mel: Tensor
    visemes: Tensor
    mouth: Tensor


def load_heard(rows: Iterable[SpeechRow], folder: Path) -> list[TrainingUtterance]:
    """Read the sounds of rows that have one."""
    utterances = []
    for row in rows:
        if row.status != "ok" or row.sound_name is None:
            continue
        sound = read_sound(contained(folder, row.sound_name))
        mel = log_mel(torch.from_numpy(sound))
        times = middles(mel.shape[1], FRAME_HZ)
        phones = row.timed_phones()
        mouth = torch.from_numpy(mouth_at(phones, row.language, times).T.astype(np.float32))
        visemes = torch.from_numpy(visemes_at(phones, row.language, times))
        utterances.append(TrainingUtterance(row, sound, mel, visemes, mouth))
    return utterances


@dataclass(frozen=True)
class VisemeBatch:
    """Stretches of equal length, and which of their frames there are."""

    mel: Tensor
    visemes: Tensor
    mouth: Tensor
    there: Tensor


class VisemeStrategy(WholeStrategy):
    """Draws stretches of utterances."""

    in_memory: ClassVar[bool] = True

    def __init__(
        self,
        model: VisemeModel,
        train: Sequence[TrainingUtterance],
        heldout: Sequence[TrainingUtterance],
        params: VisemeLossParams,
        seed: int,
    ) -> None:
        self.model, self.params, self.seed = model, params, seed
        self.train = {each.row.utterance_id: each for each in train}
        self.apart = list(heldout)[:_HELDOUT]

    def sampler(self, batch: int, seed: int) -> StepSampler:
        """Batches without repetition."""
        ids = sorted(self.train)

        def draw(generator: torch.Generator) -> tuple[list[None], list[str]]:
            order = torch.randperm(len(ids), generator=generator).tolist()
            return [None] * batch, [ids[order[n % len(order)]] for n in range(batch)]

        return StepSampler(draw, batch=batch, seed=seed)

    def load(self, phase: str, draw: Draw, places: Sequence[int]) -> list[TrainingUtterance]:
        """A part of a batch."""
        return [self.train[draw.clip_ids[place]] for place in places]

    def loss(
        self, model: nn.Module, batch: list[TrainingUtterance], *, step: int, slots: Sequence[int], device: torch.device
    ) -> StepLoss:
        """Of one part of a batch."""
        seeds = [step_seed(step_seed(self.seed, step), slot) for slot in slots]
        parts = self._losses(model, self._batch(batch, seeds), device)
        total = self.params.visemes * parts["visemes"] + self.params.mouth * parts["mouth"]
        return StepLoss(total, {name: float(value.detach()) for name, value in parts.items()})

    def heldout(self, model: nn.Module, phase: str, *, device: torch.device) -> dict[str, float]:
        """Of the beginnings of sentences that are not trained on, as they are."""
        if not self.apart:
            return {}
        parts = self._losses(model, self._batch(self.apart, None), device)
        total = self.params.visemes * parts["visemes"] + self.params.mouth * parts["mouth"]
        return {"heldout/loss": float(total), **{f"heldout/{name}": float(value) for name, value in parts.items()}}

    def _batch(self, heard: Sequence[TrainingUtterance], seeds: Sequence[int] | None) -> VisemeBatch:
        size = self.params.crop_frames
        mel = torch.full((len(heard), BANDS, size), float(np.log(FLOOR)))
        visemes = torch.zeros(len(heard), size, dtype=torch.long)
        mouth, there = torch.zeros(len(heard), len(NUMBERS), size), torch.zeros(len(heard), size)
        for n, each in enumerate(heard):
            first, total = 0, each.mel.shape[1]
            cut = each.mel
            if seeds is not None:
                generator = torch.Generator().manual_seed(seeds[n])
                first = int(torch.randint(max(1, total - size + 1), (), generator=generator))
                quiet = bool(torch.rand((), generator=generator) < self.params.silence)
                if quiet:
                    there[n], mouth[n] = 1.0, _REST[:, None]
                    mel[n] = self._changed(mel[n], generator)
                    continue
                length = 1 + self.params.tract * (2 * float(torch.rand((), generator=generator)) - 1)
                cut = self._changed(of_tract(cut, length), generator)
            last = min(total, first + size)
            there[n, : last - first] = 1.0
            for target, part in ((mel, cut), (visemes, each.visemes), (mouth, each.mouth)):
                target[n, ..., : last - first] = part[..., first:last]
        return VisemeBatch(mel, visemes, mouth, there)

    def _changed(self, mel: Tensor, generator: torch.Generator) -> Tensor:
        """Another level, another timbre, and noise beneath."""
        gain, tilt = torch.randn(2, generator=generator) * torch.tensor([self.params.gain_db, self.params.tilt_db])
        db = gain + tilt * torch.linspace(-0.5, 0.5, BANDS)[:, None]
        level = self.params.noise * torch.rand((), generator=generator) ** 3
        noise = level * torch.rand(mel.shape, generator=generator)
        return self._hidden((mel.exp() * 10 ** (db / 20) + noise).clamp_min(FLOOR).log(), generator)

    def _hidden(self, mel: Tensor, generator: torch.Generator) -> Tensor:
        """Without some neighbouring bands (Park et al. 2019): a formant of a stranger is where none was before, so that
        no single one may decide."""
        if not self.params.hidden_bands:
            return mel
        most = self.params.hidden_bands
        width, first = (int(torch.randint(0, n, (), generator=generator)) for n in (most + 1, BANDS - most + 1))
        mel[first : first + width] = mel.mean()
        return mel

    def _losses(self, model: nn.Module, batch: VisemeBatch, device: torch.device) -> dict[str, Tensor]:
        logits, mouth = model(batch.mel.to(device))
        there = batch.there.to(device)
        share = there / there.sum(1, keepdim=True).clamp_min(1)
        entropy = nn.functional.cross_entropy(logits.float(), batch.visemes.to(device), reduction="none")
        error = (mouth.float() - batch.mouth.to(device)).square().mean(1)
        return {"visemes": (entropy * share).sum(1).mean(), "mouth": (error * share).sum(1).mean()}


def of_tract(mel: Tensor, length: float) -> Tensor:
    """Log mel bands ``[BANDS, T]`` as of a vocal tract of that share of the speaker's: a longer one resonates lower.

    Frequencies are divided by the length, and from 0.85 of the way up they go straight to the top (vocal tract length
    perturbation; Jaitly and Hinton 2013).
    """
    centres = torch.from_numpy(band_centres()).float()
    top = centres[-1]
    knee = 0.85 * top * min(1.0, 1 / length)
    beyond = knee * length + (centres - knee) * (top - knee * length) / (top - knee)
    wanted = torch.where(centres > knee, beyond, centres * length).clamp(centres[0], top)
    above = torch.searchsorted(centres, wanted).clamp(1, len(centres) - 1)
    share = ((wanted - centres[above - 1]) / (centres[above] - centres[above - 1]))[:, None]
    return torch.lerp(mel[above - 1], mel[above], share)
