"""LTX-Video checkpoints (HaCohen et al., 2024, arXiv:2501.00103) in diffusers format as a backbone."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from aiprod.core.perturbations import Perturbation
from aiprod.core.transformer.modality import ModalityInput
from aiprod.core.types import VideoCompression
from aiprod.models.adapters.backbone import DiffusersBackbone, Sizes, refuse_skips, without_cross_skips


class LTXBackbone(DiffusersBackbone):
    """``diffusers.LTXVideoTransformer3DModel``: video only.

    Args:
        model: the transformer.
        compression: of the VAE it was trained with; fixes how our positions become its coordinates.
    """

    def __init__(self, model: Any, compression: VideoCompression) -> None:
        config = model.config
        super().__init__(model, Sizes(config["in_channels"], 0, config["caption_channels"]))
        self.compression = compression

    def call(
        self, video: ModalityInput | None, audio: ModalityInput | None, skips: tuple[Perturbation, ...]
    ) -> tuple[Tensor | None, Tensor | None]:
        """The model on video of full batches: velocity ``[B, N, C]``, and None for sound."""
        if video is None:
            return None, None
        if left := without_cross_skips(skips):
            refuse_skips(self.model, left, "set perturbed guidance to 0 for this checkpoint")
        dtype = next(self.model.parameters()).dtype
        result = self.model(
            hidden_states=video.latent.to(dtype),
            encoder_hidden_states=None if video.context is None else video.context.to(dtype),
            timestep=1000 * video.timesteps,
            encoder_attention_mask=video.context_mask,
            video_coords=self.coordinates(video.positions),
            return_dict=False,
        )
        return result[0], None

    def coordinates(self, positions: Tensor) -> Tensor:
        """``[B, 3, N]`` of this model: latent frame · time compression / fps, and the first row and column of a token.

        Ours are middles, in seconds and pixels, and the first latent frame stands for one frame alone; its middle, half
        a frame, gives the frame rate.
        """
        scale = self.compression
        seconds = positions[..., 0].double()
        frame = 2 * seconds.amin(dim=1, keepdim=True)  # duration of one frame
        frames = seconds / frame
        index = torch.where(frames > 1, (frames - 1 + scale.time / 2), 0.0)
        half = torch.tensor([scale.height / 2, scale.width / 2], device=positions.device)
        space = positions[..., 1:] - half
        return torch.stack([(index * frame).to(positions.dtype), space[..., 0], space[..., 1]], dim=1)
