"""Wan checkpoints (Wan Team, 2025, arXiv:2503.20314) in diffusers format as a backbone, one model or two experts."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aiprod.core.components.patchifier import VideoLatentPatchifier
from aiprod.core.perturbations import Perturbation
from aiprod.core.transformer.modality import ModalityInput
from aiprod.core.types import VideoCompression, VideoLatentShape
from aiprod.errors import AiprodError
from aiprod.models.adapters.backbone import DiffusersBackbone, Sizes, refuse_skips, without_cross_skips

EXPERTS = "WanExperts"


class WanExperts(nn.Module):
    """The two transformers of Wan 2.2, of which each is asked within its range of noise levels.

    Args:
        high: is asked at and above the boundary.
        low: is asked below it.
        boundary: share of the noise.
    """

    def __init__(self, high: Any, low: Any, boundary: float) -> None:
        super().__init__()
        self.high, self.low, self.boundary = high, low, float(boundary)
        configs = [{k: v for k, v in dict(m.config).items() if not k.startswith("_")} for m in (high, low)]
        self.config = {**configs[0], "low": configs[1], "boundary_ratio": self.boundary}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> WanExperts:
        """Without weights, as :attr:`config` describes it; computed buffers are there also under the meta device."""
        from diffusers import WanTransformer3DModel

        own = {k: v for k, v in config.items() if k not in ("low", "boundary_ratio")}
        experts = [WanTransformer3DModel.from_config(config_of_part) for config_of_part in (own, config["low"])]
        for model in experts:
            rope = model.rope
            with torch.device("cpu"):
                model.rope = type(rope)(rope.attention_head_dim, rope.patch_size, rope.max_seq_len)
        return cls(experts[0], experts[1], config["boundary_ratio"])

    @property
    def blocks(self) -> list[nn.Module]:
        """Of both."""
        return [*self.high.blocks, *self.low.blocks]

    def enable_gradient_checkpointing(self) -> None:
        """Recompute in the backward pass."""
        for model in (self.high, self.low):
            model.enable_gradient_checkpointing()

    def disable_gradient_checkpointing(self) -> None:
        """Keep what the backward pass needs."""
        for model in (self.high, self.low):
            model.disable_gradient_checkpointing()

    def forward(
        self, hidden_states: Tensor, timestep: Tensor, encoder_hidden_states: Tensor, return_dict: bool = False
    ) -> tuple[Tensor]:
        """Each sample through the expert of its noise level; of levels of its tokens, the highest counts."""
        levels = timestep if timestep.dim() == 1 else timestep.amax(dim=1)
        high = levels >= 1000 * self.boundary
        result: Tensor | None = None
        for model, rows in ((self.high, high), (self.low, ~high)):
            if not bool(rows.any()):
                continue
            part: Tensor = model(
                hidden_states=hidden_states[rows],
                timestep=timestep[rows],
                encoder_hidden_states=encoder_hidden_states[rows],
                return_dict=False,
            )[0]
            if result is None:
                result = part.new_zeros((len(rows), *part.shape[1:]))
            result = result.index_put((rows.nonzero()[:, 0],), part)
        assert result is not None
        return (result,)


class WanBackbone(DiffusersBackbone):
    """``diffusers.WanTransformer3DModel`` or two of them (text to video): video only, tokens of (1, 2, 2) latent cells.

    The model takes whole latents, so the tokens must form a grid; the grid is read from their positions.

    Args:
        model: the transformer.
        compression: of the VAE it was trained with.
        text_tokens: length that text is padded to with zeros, as the model was trained (public checkpoints: 512);
            None leaves it as it is. The model knows no text mask: padding holds zeros.

    Raises:
        AiprodError: the checkpoint is not one for text to video.
    """

    def __init__(self, model: Any, compression: VideoCompression, text_tokens: int | None = None) -> None:
        config = model.config
        patch = tuple(config["patch_size"])
        super().__init__(model, Sizes(config["in_channels"] * patch[0] * patch[1] * patch[2], 0, config["text_dim"]))
        if config["out_channels"] != config["in_channels"]:
            raise AiprodError(
                f"this checkpoint takes {config['in_channels']} channels and gives {config['out_channels']}",
                "use a text-to-video checkpoint",
            )
        self.patchifier = VideoLatentPatchifier(compression, (patch[0], patch[1], patch[2]))
        self.text_tokens = text_tokens

    def call(
        self, video: ModalityInput | None, audio: ModalityInput | None, skips: tuple[Perturbation, ...]
    ) -> tuple[Tensor | None, Tensor | None]:
        """The model on video of full batches: velocity ``[B, N, C]``, and None for sound.

        Raises:
            AiprodError: the tokens do not form a grid, or an attention is to be skipped.
        """
        if video is None:
            return None, None
        if left := without_cross_skips(skips):
            refuse_skips(self.model, left, "set perturbed guidance to 0 for this checkpoint")
        dtype = next(self.model.parameters()).dtype
        shape = self._shape(video)
        times = 1000 * video.timesteps
        result = self.model(
            hidden_states=self.patchifier.unpatchify(video.latent, shape).to(dtype),
            timestep=times[:, 0] if times.shape[1] == 1 else times,
            encoder_hidden_states=self._text(video).to(dtype),
            return_dict=False,
        )
        tokens, _ = self.patchifier.patchify(result[0], fps=1.0)
        return tokens, None

    def _shape(self, video: ModalityInput) -> VideoLatentShape:
        """Size of the latent that the tokens make up.

        Raises:
            AiprodError: they do not form one grid in (time, row, column) order.
        """
        positions = video.positions[0]
        grid = [len(positions[:, axis].unique()) for axis in range(3)]
        corners = torch.stack(torch.meshgrid(*(positions[:, a].unique() for a in range(3)), indexing="ij"), dim=-1)
        same = len(positions) == grid[0] * grid[1] * grid[2] and torch.equal(corners.reshape(-1, 3), positions)
        if not same:
            raise AiprodError(
                f"{len(positions)} tokens do not fill a grid of {grid}", "this checkpoint takes complete latents only"
            )
        pt, ph, pw = self.patchifier.patch
        channels = self.patchifier.compression.channels
        return VideoLatentShape(video.latent.shape[0], channels, grid[0] * pt, grid[1] * ph, grid[2] * pw)

    def _text(self, video: ModalityInput) -> Tensor:
        assert video.context is not None
        text = video.context
        if video.context_mask is not None:
            text = text.masked_fill(~video.context_mask[:, :, None], 0)
        missing = (self.text_tokens or 0) - text.shape[1]
        return F.pad(text, (0, 0, 0, missing)) if missing > 0 else text
