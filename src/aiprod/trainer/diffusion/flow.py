"""Rectified flow for training: noise levels, noisy latents, the masked loss and its split by noise level.

x_σ = (1 − σ)·x₀ + σ·ε and the model predicts v = ε − x₀ (Liu et al., "Flow Straight and Fast", 2022). σ is drawn from
a logit-normal (Esser et al., "Scaling Rectified Flow Transformers", 2024), shifted, with a uniform floor so that no
noise level is left untrained.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from pydantic import Field
from torch import Tensor

from aiprod.base.params import Params

SIGMA_BUCKETS = 5


class SigmaParams(Params):
    """How noise levels are drawn."""

    mean: float = Field(default=0.0, ge=-5, le=5, description="of the normal before the sigmoid")
    std: float = Field(default=1.0, gt=0, le=5)
    shift: float = Field(default=0.0, ge=-5, le=5, description="log of the factor on σ/(1−σ); > 0: noisier")
    uniform_fraction: float = Field(default=0.1, ge=0, le=1, description="of the draws that are uniform on (0, 1)")


def slot_generator(seed: int | str, step: int, slot: int) -> torch.Generator:
    """A generator of its own for one place in one global batch.

    ``slot`` counts over all ranks, so two ranks never share noise, and the same global batch gets the same noise on one
    process or several. Nothing has to be saved to continue exactly.
    """
    import hashlib

    digest = hashlib.sha256(f"{seed}/{step}/{slot}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)


def draw_sigma(generator: torch.Generator, params: SigmaParams) -> float:
    """One noise level in (0, 1)."""
    uniform, choice = torch.rand(2, generator=generator).tolist()
    normal = torch.randn((), generator=generator)
    if choice < params.uniform_fraction:
        return min(max(uniform, 1e-4), 1 - 1e-4)
    sigma = torch.sigmoid(normal * params.std + params.mean + params.shift)
    return float(sigma.clamp(1e-4, 1 - 1e-4))


def per_sample_loss(velocity: Tensor, clean: Tensor, noise: Tensor, mask: Tensor) -> Tensor:
    """Mean squared error over each sample's unmasked tokens.

    Args:
        velocity, clean, noise: [B, N, C].
        mask: [B, N] bool, True where the token counts.

    Returns:
        [B]; exactly 0 for a sample without a counting token (it then gives no gradient).
    """
    error = (velocity.float() - (noise - clean).float()).square().mean(-1)
    weight = mask.to(error.dtype)
    return (error * weight).sum(-1) / weight.sum(-1).clamp_min(1)


def batch_loss(losses: Tensor, present: Tensor) -> Tensor:
    """Mean over the samples that have the modality; 0 where none has."""
    weight = present.to(losses.dtype)
    return (losses * weight).sum() / weight.sum().clamp_min(1)


def by_sigma(name: str, losses: Sequence[float], sigmas: Sequence[float], present: Sequence[bool]) -> dict[str, float]:
    """Mean loss in each fifth of the noise range, as ``name/sigma_0.2_0.4``; fifths without a sample are absent."""
    sums: dict[int, list[float]] = {}
    for loss, sigma, there in zip(losses, sigmas, present, strict=True):
        if there:
            sums.setdefault(min(int(sigma * SIGMA_BUCKETS), SIGMA_BUCKETS - 1), []).append(loss)
    width = 1 / SIGMA_BUCKETS
    return {f"{name}/sigma_{i * width:.1f}_{(i + 1) * width:.1f}": sum(v) / len(v) for i, v in sorted(sums.items())}
