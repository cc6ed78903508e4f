"""What an encoder returns: a distribution over latents, or the nearest codes of a quantiser."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

LOGVAR_RANGE = (-30.0, 20.0)


@dataclass(frozen=True)
class Posterior:
    """Diagonal Gaussian over latents ``[B, C, …]`` (Kingma & Welling 2013, arXiv:1312.6114), or a point.

    Attributes:
        mean: the latents; for a quantiser the quantised values, with straight-through gradients.
        logvar: log variance, same shape, within ``LOGVAR_RANGE``; None for a quantiser.
        commitment: the quantiser's own loss term, a scalar; None where there is none.
        codes: the quantiser's integer codes ``[B, …]``; None for a Gaussian.
    """

    mean: Tensor
    logvar: Tensor | None = None
    commitment: Tensor | None = None
    codes: Tensor | None = None

    def mode(self) -> Tensor:
        """The most likely latents."""
        return self.mean

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """``mean + std · ε``; noise is drawn on the generator's device, so that a seed gives one result."""
        if self.logvar is None:
            return self.mean
        device = generator.device if generator is not None else self.mean.device
        noise = torch.randn(self.mean.shape, generator=generator, device=device, dtype=torch.float32)
        return self.mean + (0.5 * self.logvar).exp() * noise.to(self.mean)

    def kl(self) -> Tensor:
        """``KL(q ‖ N(0, I))`` in nats, summed over all but the batch: ``[B]``; zero for a quantiser."""
        if self.logvar is None:
            return self.mean.new_zeros(self.mean.shape[0])
        terms = self.mean.square() + self.logvar.exp() - 1.0 - self.logvar
        return 0.5 * terms.flatten(1).sum(1)
