"""What the video and the audio autoencoder have in common: reconstruction and latent statistics."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import torch
from pydantic import BaseModel
from torch import Tensor, nn

from aiprod.core.vae.posterior import Posterior
from aiprod.core.vae.statistics import LatentStatistics


class Autoencoder(nn.Module):
    """Base of :class:`~aiprod.core.vae.video.VideoVAE` and :class:`~aiprod.core.vae.audio.AudioVAE`.

    A subclass names its ``config_class`` and gives ``config``, ``statistics``, ``encode`` and ``decode``.
    """

    config_class: ClassVar[type[BaseModel]]
    config: Any
    statistics: LatentStatistics

    def encode(self, x: Tensor) -> Posterior:
        """Media ``[B, channels, …]`` to a distribution over latents ``[B, C, …]``."""
        raise NotImplementedError

    def decode(self, z: Tensor) -> Tensor:
        """Latents ``[B, C, …]``, not normalised, to media ``[B, channels, …]``."""
        raise NotImplementedError

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Reconstruction; from a sample of the posterior in training mode, from its mode otherwise."""
        posterior = self.encode(x)
        return self.decode(posterior.sample(generator) if self.training else posterior.mode())

    def normalize(self, z: Tensor) -> Tensor:
        """Latents ``[B, C, …]`` to mean 0 and variance 1 per channel, by the stored statistics."""
        return self.statistics.normalize(z)

    def denormalize(self, z: Tensor) -> Tensor:
        """The inverse of :meth:`normalize`."""
        return self.statistics.denormalize(z)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """A new autoencoder, untrained, from the values of its ``config_class``."""
        return cls(cls.config_class.model_validate(config))
