"""Video to video: a reference clip stands beside the one that is denoised, clean, and is not itself trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from aiprod.base.params import Params
from aiprod.core.components.patchifier import AudioLatentPatchifier, VideoLatentPatchifier
from aiprod.core.conditioning import coarse
from aiprod.data.latents.dataset import LatentDataset, LatentItem
from aiprod.trainer.diffusion.text_to_video import AVBatch, TextToVideoParams, TextToVideoTrainer, Tokens


class ReferenceParams(Params):
    """What the reference of a clip is, for ``strategy: video_to_video``."""

    kind: Literal["coarse"] = Field(
        default="coarse", description="the clip itself, its latent averaged over blocks of cells (restoration)"
    )
    block: int = Field(default=2, ge=1, le=1024, description="latent cells on a side of a block")
    dropout: float = Field(default=0.1, ge=0, lt=1, description="of the samples that see no reference")


class VideoToVideoTrainer(TextToVideoTrainer):
    """Adds the reference's tokens behind the video stream.

    They carry the positions of the tokens they stand for and noise level 0, so the model tells them apart by their
    noise level and finds them by their place; the sampler's ``ReferenceVideoCondition`` does the same. They do not
    count in the loss.
    """

    def __init__(
        self,
        dataset: LatentDataset,
        video: VideoLatentPatchifier,
        audio: AudioLatentPatchifier,
        params: TextToVideoParams,
        *,
        seed: int,
        reference: ReferenceParams,
    ) -> None:
        super().__init__(dataset, video, audio, params, seed)
        self.reference, self.reference_dropout = reference, reference.dropout

    def collate(self, items: Sequence[LatentItem]) -> AVBatch:
        """Tokens of the clips, and behind them tokens of their references."""
        batch = super().collate(items)
        given = super().collate([replace(item, video=self._reference(item), audio=None) for item in items]).video
        if batch.video is None or given is None:
            return batch
        joined = Tokens(
            torch.cat([batch.video.clean, given.clean], 1),
            torch.cat([batch.video.positions, given.positions], 1),
            torch.cat([batch.video.mask, given.mask], 1),
        )
        return replace(batch, video=joined, references=given.clean.shape[1])

    def _reference(self, item: LatentItem) -> Tensor | None:
        return None if item.video is None else coarse(item.video, self.reference.block)
