"""Noise, the same for a seed on every device, and its mixing with clean latents."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from aiprod.core.protocols import Random, Sigma
from aiprod.core.types import LatentState


def draw(like: Tensor, generator: Random | None = None) -> Tensor:
    """Standard normal fp32 noise of the size of ``like``, drawn on the generator's device (default the CPU).

    Of several generators each draws one sample of the batch.
    """
    if isinstance(generator, Sequence):
        return torch.stack([draw(sample, own) for sample, own in zip(like, generator, strict=True)])
    device = generator.device if generator is not None else "cpu"
    return torch.randn(like.shape, generator=generator, device=device).to(like.device)


def expand_sigma(sigma: Sigma, like: Tensor) -> Tensor:
    """A noise level as fp32, with axes added behind until it broadcasts against ``like``."""
    level = torch.as_tensor(sigma, dtype=torch.float32, device=like.device)
    return level.reshape(level.shape + (1,) * (like.ndim - level.ndim))


class Noiser:
    """Adds Gaussian noise by the flow rule x_σ = (1 − σ)·x₀ + σ·noise.

    Args:
        seed: seeds a CPU generator, so that a seed means the same noise on every device.
        generator: used instead of a seed.
    """

    def __init__(self, seed: int | None = None, generator: torch.Generator | None = None) -> None:
        if generator is None and seed is not None:
            generator = torch.Generator().manual_seed(seed)
        self.generator = generator

    def noise(self, like: Tensor) -> Tensor:
        """Fresh fp32 noise of the size of ``like``, on its device."""
        return draw(like, self.generator)

    @staticmethod
    def mix(clean: Tensor, noise: Tensor, sigma: float | Tensor) -> Tensor:
        """x_σ for a σ that is one number, ``[B]`` or ``[B, N]``; fp32 within, the dtype of ``clean`` without."""
        return torch.lerp(clean.float(), noise.float(), expand_sigma(sigma, clean)).to(clean.dtype)

    def __call__(self, state: LatentState, sigma: float | Float[Tensor, batch] = 1.0) -> LatentState:
        """The state noised to σ·mask a token: kept tokens (mask 0) hold the clean latent."""
        noise = self.noise(state.clean_latent)
        return state.replace(latent=self.mix(state.clean_latent, noise, state.timesteps(sigma)))
