"""Trains the audio-video transformer on a mix of tasks: what a step needs from a batch, and its loss.

There is one strategy for every task. A task is drawn for each sample, what it gives of the clip is written into the
sample's denoise mask, and the loss counts generated tokens alone. Text to video and video to video are presets of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from aiprod.base.params import Params
from aiprod.core.components.noiser import Noiser
from aiprod.core.components.patchifier import AudioLatentPatchifier, VideoLatentPatchifier
from aiprod.core.text_features import pad_text
from aiprod.core.transformer.modality import ModalityInput
from aiprod.core.types import LatentState
from aiprod.data.latents.conditions import ClipTokens, Conditioner, Extent, misfit
from aiprod.data.latents.dataset import LatentDataset, LatentItem
from aiprod.data.latents.tasks import TaskParams
from aiprod.errors import AiprodError
from aiprod.trainer.diffusion.flow import (
    SigmaParams,
    batch_loss,
    by_sigma,
    draw_sigma,
    per_sample_loss,
    slot_generator,
)
from aiprod.trainer.loop.samplers import Draw
from aiprod.trainer.loop.strategy import BaseStrategy, StepLoss

_HELDOUT_SEED = 7_041
_TASK_SEED = "task"  # tasks and what they give have generators of their own, so that noise does not depend on them


class DiffusionTaskParams(Params):
    """What is trained besides the plain flow loss."""

    sigma_video: SigmaParams = SigmaParams()
    sigma_audio: SigmaParams = SigmaParams()
    audio_weight: float = Field(
        default=1.0, ge=0, le=100, description="weight of the audio loss relative to the video loss"
    )
    text_dropout: float = Field(default=0.1, ge=0, lt=1, description="of the samples that see the empty prompt")
    first_frame: float = Field(default=0.0, ge=0, lt=1, description="of the samples that have their first frame clean")
    heldout_clips: int = Field(default=8, ge=0, description="held-out clips per validation")
    heldout_sigmas: list[Annotated[float, Field(ge=0, le=1)]] = Field(default=[0.2, 0.5, 0.8], min_length=1)
    tasks: list[TaskParams] = Field(
        default=[],
        max_length=64,
        description="a mix of tasks, one drawn for each sample; empty: the one that `strategy` names",
    )


@dataclass(frozen=True)
class AVBatch:
    """Clips as tokens, and their text."""

    clips: list[ClipTokens]
    text: list[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class StreamBatch:
    """One stream of samples, padded to the longest.

    Attributes:
        clean: [B, N, C]; references stand behind the ``own`` tokens of the longest clip.
        positions: [B, N, axes].
        present: [B, N] bool, False = absent or padding.
        free: [B, N] in [0, 1], 1 = generated, 0 = given; references are given.
        own: tokens that get noise.
    """

    clean: Tensor
    positions: Tensor
    present: Tensor
    free: Tensor
    own: int

    @property
    def counts(self) -> Tensor:
        """[B, N] bool: tokens that count in the loss."""
        return self.present & (self.free > 0)

    @property
    def trained(self) -> Tensor:
        """[B] bool: samples that have tokens to learn from."""
        return self.counts.any(-1)


Streams = tuple[StreamBatch | None, StreamBatch | None]
Target = tuple[Tensor, Tensor, Tensor]  # clean tokens, noise, and which tokens count


class TaskTrainer(BaseStrategy):
    """Rectified flow on video and audio tokens, each with its own noise level, under the conditions of tasks.

    Args:
        dataset: cached latents.
        video, audio: patchifiers that match the model.
        params: of the strategy.
        seed: of every random draw.
        tasks: of which one is drawn for each sample.
    """

    sound = True  # False for a model without an audio stream

    def __init__(
        self,
        dataset: LatentDataset,
        video: VideoLatentPatchifier,
        audio: AudioLatentPatchifier,
        params: DiffusionTaskParams,
        seed: int,
        *,
        tasks: Sequence[TaskParams],
    ) -> None:
        self.dataset, self.video, self.audio, self.params, self.seed = dataset, video, audio, params, seed
        self.tasks, self.conditioner = list(tasks), Conditioner(video, audio)
        self._null = dataset.null_text()
        self._feeding: dict[tuple[Extent | None, Extent | None], list[TaskParams]] = {}

    def load(self, phase: str, draw: Draw, places: Sequence[int]) -> AVBatch:
        """Read a part of a batch."""
        return self.read(phase, [draw.clip_ids[place] for place in places])

    def read(self, phase: str, clip_ids: Sequence[str]) -> AVBatch:
        """Read clips and lay them out as tokens."""
        return self.collate([self.dataset.load(phase, clip_id) for clip_id in clip_ids])

    def collate(self, items: Sequence[LatentItem]) -> AVBatch:
        """Tokens of clips with or without sound, with or without picture."""
        return AVBatch([self.conditioner.tokens(i, self.sound) for i in items], [(i.text, i.text_mask) for i in items])

    def feeding(self, clip: ClipTokens) -> list[TaskParams]:
        """The tasks that a clip can feed."""
        extents = self.conditioner.extents(clip)
        if extents not in self._feeding:
            self._feeding[extents] = [task for task in self.tasks if misfit(task, *extents) is None]
        return self._feeding[extents]

    def draw_task(self, clip: ClipTokens, random: torch.Generator) -> TaskParams:
        """One of the tasks that a clip can feed, by their weights.

        Raises:
            AiprodError: there is none.
        """
        tasks = self.feeding(clip)
        if not tasks:
            why = "; ".join(f"{task.name}: {misfit(task, *self.conditioner.extents(clip))}" for task in self.tasks)
            raise AiprodError(f"clip {clip.item.clip_id} feeds none of the tasks: {why}", "declare one that fits it")
        weights = torch.tensor([task.weight for task in tasks], dtype=torch.float64)
        place = float(torch.rand((), generator=random, dtype=torch.float64)) * float(weights.sum())
        return tasks[min(int((weights.cumsum(0) <= place).sum()), len(tasks) - 1)]

    def streams(self, batch: AVBatch, tasks: Sequence[TaskParams], random: Sequence[torch.Generator]) -> Streams:
        """What each sample of a batch is given and has to make under its task."""
        drawn = zip(batch.clips, tasks, random, strict=True)
        samples = [self.conditioner.sample(task, clip, generator) for clip, task, generator in drawn]
        video = _stack([clip.video for clip in batch.clips], [sample[0] for sample in samples])
        audio = _stack([clip.audio for clip in batch.clips], [sample[1] for sample in samples])
        return video if self._uses("video") else None, audio if self._uses("audio") else None

    def _uses(self, name: Literal["video", "audio"]) -> bool:
        """Whether any task has a modality."""
        return any(getattr(task, name).role != "absent" for task in self.tasks)

    def loss(
        self, model: nn.Module, batch: AVBatch, *, step: int, slots: Sequence[int], device: torch.device
    ) -> StepLoss:
        """Flow loss with random noise levels, tasks, conditions and text dropout."""
        generators = [slot_generator(self.seed, step, slot) for slot in slots]
        sigma_video = torch.tensor([draw_sigma(g, self.params.sigma_video) for g in generators])
        sigma_audio = torch.tensor([draw_sigma(g, self.params.sigma_audio) for g in generators])
        coins = torch.stack([torch.rand(3, generator=g) for g in generators])
        drop = coins[:, 0] < self.params.text_dropout
        text = [self._null if drop[i] else batch.text[i] for i in range(len(slots))]
        chance = [slot_generator(f"{self.seed}/{_TASK_SEED}", step, slot) for slot in slots]
        tasks = [self.draw_task(clip, random) for clip, random in zip(batch.clips, chance, strict=True)]
        streams = self.streams(batch, tasks, chance)
        sigmas = (sigma_video, sigma_audio)
        by_stream = self._losses(model, streams, text, sigma=sigmas, generators=generators, device=device)
        total, figures = torch.zeros((), device=device), {}
        sums = zip(("video", "audio"), streams, sigmas, by_stream, (1.0, self.params.audio_weight), strict=True)
        for name, stream, sigma, losses, weight in sums:
            if stream is None or losses is None:
                continue
            loss = batch_loss(losses, stream.trained.to(device))
            total = total + weight * loss
            if bool(stream.trained.any()):
                figures[f"loss_{name}"] = float(loss.detach())
                figures |= by_sigma(name, losses.tolist(), sigma.tolist(), stream.trained.tolist())
        return StepLoss(total, figures)

    def heldout(self, model: nn.Module, phase: str, *, device: torch.device) -> dict[str, float]:
        """Mean loss of held-out clips at fixed noise levels, with fixed noise and fixed draws of what is given.

        Both streams and their sum, over all tasks alike; of a mix also the sum of each task.
        """
        rows = self.dataset.usable(phase, "heldout")[: self.params.heldout_clips]
        sums: dict[str, list[float]] = {}
        groups: dict[tuple[object, ...], list[str]] = {}
        for row in rows:
            groups.setdefault((row.height, row.width, row.frames, row.has_audio), []).append(row.clip_id)
        for ids in groups.values():
            batch = self.read(phase, ids)
            for task, name, losses in self._heldout_losses(model, batch, ids, device):
                sums.setdefault(name, []).extend(losses)
                if len(self.tasks) > 1:
                    sums.setdefault(f"{task}/{name}", []).extend(losses)
        means = {f"heldout/{name}": sum(sums[name]) / len(sums[name]) for name in ("video", "audio") if sums.get(name)}
        if not means:
            return {}
        weights = {"video": 1.0, "audio": self.params.audio_weight}
        total = sum(weights[name.removeprefix("heldout/")] * value for name, value in means.items())
        by_task: dict[str, float] = {}
        for name, values in sorted(sums.items()):
            task, _, stream = name.rpartition("/")
            if task and values:
                by_task[f"heldout/task_{task}"] = by_task.get(f"heldout/task_{task}", 0.0) + weights[stream] * (
                    sum(values) / len(values)
                )
        return {**means, **by_task, "heldout/loss": total}

    def _heldout_losses(
        self, model: nn.Module, batch: AVBatch, ids: Sequence[str], device: torch.device
    ) -> Iterator[tuple[str, str, list[float]]]:
        """Task, stream and the losses of the clips that it has something to learn from, at each noise level."""
        for task in self.feeding(batch.clips[0]):
            for level in self.params.heldout_sigmas:
                sigma = torch.full((len(ids),), level)
                number = [int(i.encode().hex(), 16) for i in ids]
                noise = [slot_generator(_HELDOUT_SEED, round(level * 1e6), n) for n in number]
                chance = [slot_generator(f"{_HELDOUT_SEED}/{_TASK_SEED}", 0, n) for n in number]
                streams = self.streams(batch, [task] * len(ids), chance)
                by_stream = self._losses(
                    model, streams, batch.text, sigma=(sigma, sigma), generators=noise, device=device
                )
                for name, stream, losses in zip(("video", "audio"), streams, by_stream, strict=True):
                    if stream is not None and losses is not None:
                        trained = stream.trained.tolist()
                        yield task.name, name, [x for x, there in zip(losses.tolist(), trained, strict=True) if there]

    def _losses(
        self,
        model: nn.Module,
        streams: Streams,
        text: list[tuple[Tensor, Tensor]],
        *,
        sigma: tuple[Tensor, Tensor],
        generators: Sequence[torch.Generator],
        device: torch.device,
    ) -> tuple[Tensor | None, Tensor | None]:
        """Per-sample losses [B] of both streams."""
        inputs, targets = self.noised(streams, text, sigma=sigma, generators=generators, device=device)
        return losses_of(model, inputs, targets)

    def noised(
        self,
        streams: Streams,
        text: list[tuple[Tensor, Tensor]],
        *,
        sigma: tuple[Tensor, Tensor],
        generators: Sequence[torch.Generator],
        device: torch.device,
    ) -> tuple[list[ModalityInput | None], list[Target | None]]:
        """What the model is given for both streams, and what its output is compared with.

        Args:
            sigma: noise levels [B] of both streams.
            generators: of the noise of each sample.
        """
        hidden, mask = pad_text(text)
        context, context_mask = hidden.to(device), mask.to(device)
        inputs: list[ModalityInput | None] = []
        targets: list[Target | None] = []
        for stream, level in zip(streams, sigma, strict=True):
            if stream is None:
                inputs.append(None)
                targets.append(None)
                continue
            noise = torch.zeros_like(stream.clean)
            for row, generator in enumerate(generators):
                noise[row, : stream.own] = torch.randn(stream.own, stream.clean.shape[2], generator=generator)
            # one level a sample where nothing is given: the model is then quicker
            times = level[:, None] if bool((stream.free == 1).all()) else level[:, None] * stream.free
            noisy = Noiser.mix(stream.clean, noise, times.expand(stream.present.shape))
            inputs.append(
                ModalityInput(
                    latent=noisy.to(device),
                    timesteps=times.to(device),
                    positions=stream.positions.to(device),
                    context=context,
                    context_mask=context_mask,
                    token_mask=None if bool(stream.present.all()) else stream.present.to(device),
                    own=stream.own,
                )
            )
            targets.append((stream.clean.to(device), noise.to(device), stream.counts.to(device)))
        return inputs, targets


def losses_of(
    model: nn.Module, inputs: Sequence[ModalityInput | None], targets: Sequence[Target | None]
) -> tuple[Tensor | None, Tensor | None]:
    """Per-sample losses [B] of both streams, from what :meth:`TaskTrainer.noised` made."""
    output = model(inputs[0], inputs[1])
    losses = [
        None if target is None else per_sample_loss(velocity, *target)
        for velocity, target in zip((output.video, output.audio), targets, strict=True)
    ]
    return losses[0], losses[1]


def _stack(clips: Sequence[tuple[Tensor, Tensor] | None], samples: Sequence[LatentState | None]) -> StreamBatch | None:
    """Samples padded to the longest; one without the stream is absent throughout.

    The stream is None only where no clip has it: a batch is then the same on every rank whatever tasks were drawn.
    """
    known = [clip for clip in clips if clip is not None]
    if not known:
        return None
    own = max(tokens.shape[1] for tokens, _ in known)
    pairs = list(zip(clips, samples, strict=True))
    behind = [0 if c is None or s is None else s.latent.shape[1] - c[0].shape[1] for c, s in pairs]
    size = (len(clips), own + max(behind))
    clean = torch.zeros(*size, known[0][0].shape[2])
    positions = torch.zeros(*size, known[0][1].shape[2])
    present, free = torch.zeros(size, dtype=torch.bool), torch.ones(size)
    for row, (clip, state) in enumerate(pairs):
        if clip is None or state is None:
            continue
        count = clip[0].shape[1]
        for source, target in ((slice(0, count), slice(0, count)), (slice(count, None), slice(own, own + behind[row]))):
            clean[row, target] = state.clean_latent[0, source]
            positions[row, target] = state.positions[0, source]
            free[row, target] = state.denoise_mask[0, source]
            present[row, target] = True
    return StreamBatch(clean, positions, present, free, own)
