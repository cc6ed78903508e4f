"""Per-channel statistics of latents, stored with the weights, so that a diffusion model sees mean 0 and variance 1."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class LatentStatistics(nn.Module):
    """Mean and standard deviation of each latent channel; identity until :meth:`measure` is called."""

    mean: Tensor
    std: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("std", torch.ones(channels))

    def _shaped(self, values: Tensor, latents: Tensor) -> Tensor:
        return values.to(latents).view(1, -1, *([1] * (latents.dim() - 2)))

    def normalize(self, latents: Tensor) -> Tensor:
        """``[B, C, …]`` to mean 0 and variance 1 per channel."""
        return (latents - self._shaped(self.mean, latents)) / self._shaped(self.std, latents)

    def denormalize(self, latents: Tensor) -> Tensor:
        """The inverse of :meth:`normalize`."""
        return latents * self._shaped(self.std, latents) + self._shaped(self.mean, latents)

    @torch.no_grad()
    def measure(self, latents: list[Tensor]) -> None:
        """Take the statistics of these latents, each ``[B, C, …]``, of any sizes.

        Raises:
            ValueError: no latents.
        """
        if not latents:
            raise ValueError("no latents to measure")
        flat = torch.cat([z.movedim(1, 0).flatten(1) for z in latents], dim=1).double()
        self.mean.copy_(flat.mean(1))
        self.std.copy_(flat.std(1, correction=0).clamp_min(1e-6))
