"""What the loops ask of a component; anything with these methods can take its place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from aiprod.core.text_features import TextFeatures
from aiprod.core.types import AudioCompression, LatentState, VideoCompression

Sigma = float | Tensor
"""A noise level: one number, ``[B]`` one per sample, or ``[B, N]`` one per token."""

Predict = Callable[[Tensor, Sigma], Tensor]
"""Calls the model again at ``(sample, sigma)``; second-order steps need it."""

Random = torch.Generator | Sequence[torch.Generator]
"""Where noise is drawn: one generator for a batch, or one per sample, so that none depends on its neighbours."""


@runtime_checkable
class Scheduler(Protocol):
    """Chooses the noise levels of a sampling run."""

    def sigmas(self, steps: int, tokens: int) -> Tensor:
        """``[steps + 1]`` fp32, falling from 1 to 0."""
        ...


@runtime_checkable
class DiffusionStep(Protocol):
    """Moves a sample from one noise level to the next."""

    def step(
        self,
        sample: Tensor,
        prediction: Tensor,
        sigma: Sigma,
        sigma_next: Sigma,
        *,
        predict: Predict | None = None,
        generator: Random | None = None,
    ) -> Tensor:
        """The sample at ``sigma_next``, in the dtype of ``sample``."""
        ...


@runtime_checkable
class Guider(Protocol):
    """Combines model outputs with and without a condition."""

    @property
    def enabled(self) -> bool:
        """False if the unconditional call can be saved."""
        ...

    def __call__(self, conditional: Tensor, unconditional: Tensor) -> Tensor:
        """The guided output, of the same size."""
        ...


@runtime_checkable
class ConditioningItem(Protocol):
    """Fixes or adds some tokens of a stream before it is denoised."""

    def apply(self, state: LatentState) -> LatentState:
        """The state with the condition in it."""
        ...


@runtime_checkable
class VideoAutoencoder(Protocol):
    """What latents of video need: encode, decode and how much they compress."""

    @property
    def compression(self) -> VideoCompression:
        """Cells a latent stands for."""
        ...

    def decode(self, latent: Tensor) -> Tensor:
        """``[B, C, F', H', W']`` to ``[B, 3, F, H, W]`` in [−1, 1]."""
        ...


@runtime_checkable
class AudioAutoencoder(Protocol):
    """What latents of sound need: encode, decode and how much they compress."""

    @property
    def compression(self) -> AudioCompression:
        """Samples a latent stands for."""
        ...

    def decode(self, latent: Tensor) -> Tensor:
        """``[B, C, F']`` to ``[B, channels, samples]`` in [−1, 1]."""
        ...


@runtime_checkable
class TextEncoder(Protocol):
    """What turns prompts into the context of a transformer."""

    @property
    def width(self) -> int:
        """Size D of a token's vector."""
        ...

    def encode(self, texts: Sequence[str]) -> TextFeatures:
        """``[B, T, D]`` features and ``[B, T]`` mask, of each text independent of the others."""
        ...
