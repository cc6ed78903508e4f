"""What the video and the audio autoencoder have in common: reconstruction, latent statistics, checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from pydantic import BaseModel
from torch import Tensor, nn

from aiprod.core.loader.build import load_checkpoint
from aiprod.core.loader.files import save_checkpoint
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

    def save_pretrained(self, folder: Path | str) -> str:
        """Write a checkpoint folder and return its digest."""
        return save_checkpoint(folder, self.config.model_dump(mode="json"), self.state_dict(), type(self).__name__)

    @classmethod
    def from_pretrained(cls, folder: Path | str, *, device: str | torch.device = "cpu", **options: Any) -> Self:
        """Read a checkpoint folder, in eval mode; ``options`` go to :func:`aiprod.core.loader.build.load_checkpoint`.

        Raises:
            CheckpointError: missing, damaged, or of another kind.
        """
        return load_checkpoint(folder, cls._from_config, cls.__name__, device=device, **options)

    @classmethod
    def _from_config(cls, config: dict[str, Any]) -> Self:
        return cls(cls.config_class.model_validate(config))
