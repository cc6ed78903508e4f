"""Losses of the autoencoders: reconstruction, KL, perceptual, and multi-resolution STFT, each with its weight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from aiprod.base.params import Params
from aiprod.core.vae.posterior import Posterior

Reconstruction = Literal["l1", "mse"]


class VideoLossParams(Params):
    """``α·reconstruction + β·KL + γ·perceptual``; KL is in nats per latent value."""

    alpha: float = Field(default=1.0, ge=0, description="weight of the reconstruction")
    beta: float = Field(default=1e-5, ge=0, description="weight of the KL divergence from N(0, 1)")
    gamma: float = Field(default=0.02, ge=0, description="weight of the perceptual distance")
    reconstruction: Reconstruction = "mse"
    perceptual_layers: int = Field(default=2, ge=1, le=5, description="blocks of VGG16 to compare, from the first")
    perceptual_frames: int = Field(
        default=1, ge=1, le=65_536, description="frames of a batch that it looks at, for its cost"
    )


class AudioLossParams(Params):
    """``α·reconstruction + β·KL + γ·multi-resolution STFT``; KL is in nats per latent value."""

    alpha: float = Field(default=1.0, ge=0, description="weight of the reconstruction")
    beta: float = Field(default=1e-5, ge=0, description="weight of the KL divergence from N(0, 1)")
    gamma: float = Field(default=0.1, ge=0, description="weight of the STFT distance")
    reconstruction: Reconstruction = "mse"
    relative: bool = Field(default=True, description="divide it by the size of the batch, so that loudness cancels")
    stft_windows: tuple[Annotated[int, Field(ge=16, le=65_536)], ...] = Field(
        default=(256, 1024, 4096), min_length=1, description="windows, samples"
    )


@dataclass(frozen=True)
class Share:
    """Which samples of the target of a global batch a rank has: those from ``first`` on.

    With it the mean of the ranks' losses is the loss of the whole batch, also where a term is no mean over samples.
    """

    whole: Tensor
    first: int = 0


def reconstruction_loss(output: Tensor, target: Tensor, kind: Reconstruction) -> Tensor:
    """Mean absolute or mean square error."""
    return functional.l1_loss(output, target) if kind == "l1" else functional.mse_loss(output, target)


def kl_per_value(posterior: Posterior) -> Tensor:
    """KL divergence in nats per latent value, or a quantiser's commitment loss."""
    if posterior.commitment is not None:
        return posterior.commitment
    return posterior.kl().mean() / posterior.mean[0].numel()


class SpectralLoss(nn.Module):
    """Multi-resolution STFT distance (Yamamoto et al. 2020, arXiv:1910.11480): spectral convergence + log magnitude.

    Magnitudes are scaled so that a full-scale sine reads 1, and logarithms (base 10) are floored at ``floor``, so that
    silence against inaudible noise is no distance. The result is the mean over resolutions of both terms.

    Args:
        windows: Hann window lengths in samples; the hop is ``window / overlap``.
        floor: the quietest magnitude that counts; 1e-4 is −80 dB of full scale.
    """

    def __init__(self, windows: tuple[int, ...] = (256, 1024, 4096), overlap: int = 2, floor: float = 1e-4) -> None:
        super().__init__()
        self.windows, self.overlap, self.floor = windows, overlap, floor
        for length in windows:
            window = torch.hann_window(length)
            self.register_buffer(f"window_{length}", window / window.sum() * 2, persistent=False)

    def magnitudes(self, x: Tensor, length: int) -> Tensor:
        """``[B, C, T]`` to magnitudes ``[B·C, length/2 + 1, frames]``."""
        window: Tensor = getattr(self, f"window_{length}")
        spectrum = torch.stft(x.flatten(0, 1), length, length // self.overlap, window=window, return_complex=True)
        # the square root's gradient is infinite at zero, so a little power is added far below the floor
        return (spectrum.real.square() + spectrum.imag.square() + (0.01 * self.floor) ** 2).sqrt()

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """Distance between two waveforms ``[B, C, T]`` in [−1, 1], a scalar ≥ 0.

        Raises:
            ValueError: shorter than half of the longest window.
        """
        if output.shape[-1] <= max(self.windows) // 2:
            raise ValueError(f"{output.shape[-1]} samples are too few for windows of {max(self.windows)}")
        total = output.new_zeros(())
        for length in self.windows:
            a = self.magnitudes(output, length)
            with torch.no_grad():
                b = self.magnitudes(target, length)
            size = torch.linalg.vector_norm(b, dim=(1, 2)) + self.floor * (b.shape[1] * b.shape[2]) ** 0.5
            convergence = (torch.linalg.vector_norm(a - b, dim=(1, 2)) / size).mean()
            logs = ((a + self.floor).log10() - (b + self.floor).log10()).abs().mean()
            total = total + convergence + logs
        return total / len(self.windows)


class VideoVAELoss(nn.Module):
    """The loss of the video autoencoder with its parts by name.

    Args:
        perceptual: a distance between pictures ``[N, 3, H, W]`` in [−1, 1]; None leaves the term out.
    """

    def __init__(self, params: VideoLossParams, perceptual: nn.Module | None = None) -> None:
        super().__init__()
        self.params = params
        self.perceptual = perceptual if params.gamma > 0 else None

    def forward(
        self,
        output: Tensor,
        target: Tensor,
        posterior: Posterior,
        generator: torch.Generator | None = None,
        share: Share | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Total and parts for videos ``[B, 3, F, H, W]``; ``generator`` picks the frames of the perceptual part."""
        p = self.params
        parts = {"reconstruction": reconstruction_loss(output, target, p.reconstruction), "kl": kl_per_value(posterior)}
        total = p.alpha * parts["reconstruction"] + p.beta * parts["kl"]
        if self.perceptual is not None:
            parts["perceptual"] = self._perceptual(self.perceptual, output, target, generator, share or Share(target))
            total = total + p.gamma * parts["perceptual"]
        return total, parts

    def _perceptual(
        self,
        distance: nn.Module,
        output: Tensor,
        target: Tensor,
        generator: torch.Generator | None,
        share: Share,
    ) -> Tensor:
        """Of the batch's chosen frames that are in this share, weighed so that the ranks' mean is the batch's."""
        frames, samples = output.shape[2], output.shape[0]
        chosen = torch.randperm(share.whole.shape[0] * frames, generator=generator)[: self.params.perceptual_frames]
        own = chosen - share.first * frames
        own = own[(own >= 0) & (own < samples * frames)].to(output.device)
        if not len(own):
            return output.sum() * 0
        a, b = (v.transpose(1, 2).flatten(0, 1).index_select(0, own) for v in (output, target))
        loss: Tensor = distance(a, b) * (len(own) / len(chosen) * share.whole.shape[0] / samples)
        return loss


class AudioVAELoss(nn.Module):
    """The loss of the audio autoencoder with its parts by name."""

    def __init__(self, params: AudioLossParams) -> None:
        super().__init__()
        self.params = params
        self.spectral = SpectralLoss(params.stft_windows) if params.gamma > 0 else None

    def forward(
        self,
        output: Tensor,
        target: Tensor,
        posterior: Posterior,
        generator: torch.Generator | None = None,
        share: Share | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Total and parts for waveforms ``[B, C, T]``; nothing here is drawn at random."""
        p = self.params
        distance = reconstruction_loss(output, target, p.reconstruction)
        if p.relative:
            whole = share.whole.to(target.device) if share is not None else target
            distance = distance / (reconstruction_loss(whole, torch.zeros_like(whole), p.reconstruction) + 1e-6)
        parts = {"reconstruction": distance, "kl": kl_per_value(posterior)}
        total = p.alpha * parts["reconstruction"] + p.beta * parts["kl"]
        if self.spectral is not None:
            parts["stft"] = self.spectral(output, target)
            total = total + p.gamma * parts["stft"]
        return total, parts
