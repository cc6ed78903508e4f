"""The three bottlenecks between encoder and decoder: Gaussian (kl), finite scalar (fsq), vector codebook (vq)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from aiprod.core.vae.config import AudioVAEConfig, VideoVAEConfig
from aiprod.core.vae.posterior import LOGVAR_RANGE, Posterior


class GaussianBottleneck(nn.Module):
    """Splits ``[B, …, 2C]`` into mean and log variance; channels come last here and second in the result."""

    parameters_per_channel = 2

    def forward(self, hidden: Tensor) -> Posterior:
        """``[B, …, 2C]`` to a Gaussian over ``[B, C, …]``."""
        mean, logvar = hidden.movedim(-1, 1).chunk(2, dim=1)
        return Posterior(mean, logvar.clamp(*LOGVAR_RANGE))


class FiniteScalarBottleneck(nn.Module):
    """Rounds each channel to a few levels in [−1, 1] (Mentzer et al. 2023, arXiv:2309.15505)."""

    parameters_per_channel = 1

    def __init__(self, levels: tuple[int, ...]) -> None:
        super().__init__()
        from vector_quantize_pytorch import FSQ

        self.quantiser = FSQ(list(levels))

    def forward(self, hidden: Tensor) -> Posterior:
        """``[B, …, C]`` to quantised ``[B, C, …]`` with codes ``[B, …]``."""
        quantised, codes = self.quantiser(hidden.flatten(1, -2).float())
        return Posterior(
            quantised.reshape(hidden.shape).to(hidden).movedim(-1, 1), codes=codes.reshape(hidden.shape[:-1])
        )


class VectorBottleneck(nn.Module):
    """Nearest entry of a learned codebook (van den Oord et al. 2017, arXiv:1711.00937), moving-average updates."""

    parameters_per_channel = 1

    def __init__(self, channels: int, codebook_size: int) -> None:
        super().__init__()
        from vector_quantize_pytorch import VectorQuantize

        self.quantiser = VectorQuantize(
            dim=channels, codebook_size=codebook_size, decay=0.95, commitment_weight=1.0, threshold_ema_dead_code=1
        )

    def forward(self, hidden: Tensor) -> Posterior:
        """``[B, …, C]`` to codebook entries ``[B, C, …]`` with codes ``[B, …]``."""
        quantised, codes, commitment = self.quantiser(hidden.flatten(1, -2).float())
        return Posterior(
            quantised.reshape(hidden.shape).to(hidden).movedim(-1, 1),
            commitment=commitment.sum(),
            codes=codes.reshape(hidden.shape[:-1]),
        )


def make_bottleneck(config: VideoVAEConfig | AudioVAEConfig) -> nn.Module:
    """The bottleneck that a configuration names."""
    if config.bottleneck == "kl":
        return GaussianBottleneck()
    with torch.device("cpu"):  # a quantiser's tables are computed and not stored, so they must not be built empty
        if config.bottleneck == "fsq":
            return FiniteScalarBottleneck(config.fsq_levels)
        return VectorBottleneck(config.latent_channels, config.codebook_size)
