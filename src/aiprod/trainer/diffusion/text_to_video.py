"""Text to video with sound: what the audio-video transformer needs from a batch, and its loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from aiprod.base.params import Params
from aiprod.core.components.noiser import Noiser
from aiprod.core.components.patchifier import AudioLatentPatchifier, VideoLatentPatchifier
from aiprod.core.text_features import pad_text
from aiprod.core.transformer.modality import ModalityInput
from aiprod.data.latents.dataset import LatentDataset, LatentItem
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


class TextToVideoParams(Params):
    """What the strategy does besides the plain flow loss."""

    sigma_video: SigmaParams = SigmaParams()
    sigma_audio: SigmaParams = SigmaParams()
    audio_weight: float = Field(
        default=1.0, ge=0, le=100, description="weight of the audio loss relative to the video loss"
    )
    text_dropout: float = Field(default=0.1, ge=0, lt=1, description="of the samples that see the empty prompt")
    first_frame: float = Field(default=0.0, ge=0, lt=1, description="of the samples that have their first frame clean")
    heldout_clips: int = Field(default=8, ge=0, description="held-out clips that are measured at each validation")
    heldout_sigmas: list[Annotated[float, Field(ge=0, le=1)]] = Field(default=[0.2, 0.5, 0.8], min_length=1)


@dataclass(frozen=True)
class Tokens:
    """One stream of a batch. ``clean`` [B, N, C], ``positions`` [B, N, axes], ``mask`` [B, N] (False = absent)."""

    clean: Tensor
    positions: Tensor
    mask: Tensor

    @property
    def present(self) -> Tensor:
        """[B] bool: samples that have this stream."""
        return self.mask.any(-1)

    def to(self, device: torch.device) -> Tokens:
        """On another device."""
        return Tokens(self.clean.to(device), self.positions.to(device), self.mask.to(device))


@dataclass(frozen=True)
class AVBatch:
    """Samples as tokens. A stream that no sample has is None.

    ``first`` counts the tokens of the first latent frame, ``references`` those at the end of the video stream that are
    only looked at.
    """

    video: Tokens | None
    audio: Tokens | None
    text: list[tuple[Tensor, Tensor]]
    first: int
    references: int = 0


class TextToVideoTrainer(BaseStrategy):
    """Rectified flow on video and audio tokens, each with its own noise level, conditioned on text.

    Args:
        dataset: cached latents.
        video, audio: patchifiers that match the model.
        params: of the strategy.
        seed: of every random draw.
    """

    reference_dropout = 0.0  # of samples with a reference; a strategy that has references sets it
    sound = True  # False for a model without an audio stream

    def __init__(
        self,
        dataset: LatentDataset,
        video: VideoLatentPatchifier,
        audio: AudioLatentPatchifier,
        params: TextToVideoParams,
        seed: int,
    ) -> None:
        self.dataset, self.video, self.audio, self.params, self.seed = dataset, video, audio, params, seed
        self._null = dataset.null_text()

    def load(self, phase: str, draw: Draw, places: Sequence[int]) -> AVBatch:
        """Read a part of a batch."""
        return self.read(phase, [draw.clip_ids[place] for place in places])

    def read(self, phase: str, clip_ids: Sequence[str]) -> AVBatch:
        """Read clips and lay them out as tokens."""
        return self.collate([self.dataset.load(phase, clip_id) for clip_id in clip_ids])

    def collate(self, items: Sequence[LatentItem]) -> AVBatch:
        """Tokens of clips with or without sound, with or without picture, padded to the longest."""
        video = [self.video.patchify(i.video[None], fps=i.fps) if i.video is not None else None for i in items]
        audio = [self.audio.patchify(i.audio[None]) if self.sound and i.audio is not None else None for i in items]
        shape = next((i.video.shape for i in items if i.video is not None), None)
        frames = shape[1] // self.video.patch[0] if shape is not None else 1
        stacked = _stack(video)
        return AVBatch(
            stacked,
            _stack(audio),
            [(i.text, i.text_mask) for i in items],
            stacked.clean.shape[1] // frames if stacked is not None else 0,
        )

    def loss(
        self, model: nn.Module, batch: AVBatch, *, step: int, slots: Sequence[int], device: torch.device
    ) -> StepLoss:
        """Flow loss with random noise levels, text dropout and first-frame dropout."""
        generators = [slot_generator(self.seed, step, slot) for slot in slots]
        sigma_video = torch.tensor([draw_sigma(g, self.params.sigma_video) for g in generators])
        sigma_audio = torch.tensor([draw_sigma(g, self.params.sigma_audio) for g in generators])
        coins = torch.stack([torch.rand(3, generator=g) for g in generators])
        drop, given = coins[:, 0] < self.params.text_dropout, coins[:, 1] < self.params.first_frame
        batch = _without_references(batch, coins[:, 2] < self.reference_dropout)
        text = [self._null if drop[i] else batch.text[i] for i in range(len(slots))]
        video, audio = self._losses(
            model, batch, text, sigma=(sigma_video, sigma_audio), given=given, generators=generators, device=device
        )
        total, figures = torch.zeros((), device=device), {}
        for name, stream, sigma, losses, weight in (
            ("video", batch.video, sigma_video, video, 1.0),
            ("audio", batch.audio, sigma_audio, audio, self.params.audio_weight),
        ):
            if stream is None or losses is None:
                continue
            loss = batch_loss(losses, stream.present.to(device))
            total = total + weight * loss
            figures[f"loss_{name}"] = float(loss.detach())
            figures |= by_sigma(name, losses.tolist(), sigma.tolist(), stream.present.tolist())
        return StepLoss(total, figures)

    def heldout(self, model: nn.Module, phase: str, *, device: torch.device) -> dict[str, float]:
        """Mean loss of held-out clips at fixed noise levels and with fixed noise, both streams and their sum."""
        rows = self.dataset.usable(phase, "heldout")[: self.params.heldout_clips]
        sums: dict[str, list[float]] = {"video": [], "audio": []}
        groups: dict[tuple[object, ...], list[str]] = {}
        for row in rows:
            groups.setdefault((row.height, row.width, row.frames, row.has_audio), []).append(row.clip_id)
        for ids in groups.values():
            batch = self.read(phase, ids)
            for level in self.params.heldout_sigmas:
                sigma = torch.full((len(ids),), level)
                noise = [slot_generator(_HELDOUT_SEED, round(level * 1e6), int(i.encode().hex(), 16)) for i in ids]
                none = torch.zeros(len(ids), dtype=torch.bool)
                found = self._losses(
                    model, batch, batch.text, sigma=(sigma, sigma), given=none, generators=noise, device=device
                )
                for name, losses in zip(("video", "audio"), found, strict=True):
                    sums[name] += losses.tolist() if losses is not None else []
        means = {f"heldout/{name}": sum(v) / len(v) for name, v in sums.items() if v}
        if not means:
            return {}
        weights = {"heldout/video": 1.0, "heldout/audio": self.params.audio_weight}
        return {**means, "heldout/loss": sum(weights[name] * value for name, value in means.items())}

    def _losses(
        self,
        model: nn.Module,
        batch: AVBatch,
        text: list[tuple[Tensor, Tensor]],
        *,
        sigma: tuple[Tensor, Tensor],
        given: Tensor,
        generators: Sequence[torch.Generator],
        device: torch.device,
    ) -> tuple[Tensor | None, Tensor | None]:
        """Per-sample losses [B] of both streams."""
        hidden, mask = pad_text(text)
        context, context_mask = hidden.to(device), mask.to(device)
        inputs: list[ModalityInput | None] = []
        targets: list[tuple[Tensor, Tensor, Tensor] | None] = []
        for stream, level, keeps in ((batch.video, sigma[0], True), (batch.audio, sigma[1], False)):
            if stream is None:
                inputs.append(None)
                targets.append(None)
                continue
            noise = torch.stack([torch.randn(stream.clean.shape[1:], generator=g) for g in generators])
            counts = stream.mask.clone()
            times = level[:, None]
            if keeps and (batch.references or bool(given.any())):
                times = times.expand(stream.mask.shape).clone()
                times[given, : batch.first] = 0.0
                counts[given, : batch.first] = False
                own = stream.mask.shape[1] - batch.references
                times[:, own:] = 0.0
                counts[:, own:] = False
            noisy = Noiser.mix(stream.clean, noise, times.expand(stream.mask.shape))
            inputs.append(
                ModalityInput(
                    latent=noisy.to(device),
                    timesteps=times.to(device),
                    positions=stream.positions.to(device),
                    context=context,
                    context_mask=context_mask,
                    token_mask=None if bool(stream.mask.all()) else stream.mask.to(device),
                )
            )
            targets.append((stream.clean.to(device), noise.to(device), counts.to(device)))
        output = model(inputs[0], inputs[1])
        losses = [
            None if target is None else per_sample_loss(velocity, *target)
            for velocity, target in zip((output.video, output.audio), targets, strict=True)
        ]
        return losses[0], losses[1]


def _without_references(batch: AVBatch, dropped: Tensor) -> AVBatch:
    """The batch with the reference tokens of some samples [B] masked."""
    if batch.video is None or not batch.references or not bool(dropped.any()):
        return batch
    mask = batch.video.mask.clone()
    mask[dropped, -batch.references :] = False
    return replace(batch, video=replace(batch.video, mask=mask))


def _stack(streams: Sequence[tuple[Tensor, Tensor] | None]) -> Tokens | None:
    """Pad [1, N, C] tokens of several samples to the longest; a sample without the stream is masked throughout."""
    present = [s for s in streams if s is not None]
    if not present:
        return None
    longest = max(tokens.shape[1] for tokens, _ in present)
    clean = torch.zeros(len(streams), longest, present[0][0].shape[2])
    positions = torch.zeros(len(streams), longest, present[0][1].shape[2])
    mask = torch.zeros(len(streams), longest, dtype=torch.bool)
    for row, stream in enumerate(streams):
        if stream is not None:
            tokens, places = stream
            clean[row, : tokens.shape[1]], positions[row, : tokens.shape[1]] = tokens[0], places[0]
            mask[row, : tokens.shape[1]] = True
    return Tokens(clean, positions, mask)
