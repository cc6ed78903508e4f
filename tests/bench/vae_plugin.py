"""Our autoencoders as entrants of the side-by-side benchmark, at the peers' compression and parameter counts.

The benchmark calls ``video(kind, size)`` or ``sound(kind, size)`` and expects (module, inputs, forward FLOPs or None).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from aiprod.core.vae.audio import AudioVAE
from aiprod.core.vae.config import AudioVAEConfig, VideoVAEConfig
from aiprod.core.vae.video import VideoVAE

Inputs = Callable[[str, SimpleNamespace], Any]

# compression 8 × 32 × 32 as LTX-Video's; 32 latent channels as its tiny and 64 as its small entrant
VIDEO = {
    "tiny": VideoVAEConfig(
        patch=(1, 4, 4),
        strides=((2, 2, 2), (2, 2, 2), (2, 2, 2)),
        widths=(24, 64, 128, 192),
        encoder_depths=(0, 1, 1, 2),
        decoder_depths=(0, 1, 1, 2),
        latent_channels=32,
        shortcut=False,
    ),
    "small": VideoVAEConfig(
        patch=(1, 4, 4),
        strides=((2, 2, 2), (2, 2, 2), (2, 2, 2)),
        widths=(48, 128, 256, 320),
        encoder_depths=(0, 1, 2, 2),
        decoder_depths=(0, 1, 2, 2),
        latent_channels=64,
        shortcut=False,
    ),
}
AUDIO = {"tiny": AudioVAEConfig.demo(), "small": AudioVAEConfig(widths=(128, 256, 384))}


class Coder(nn.Module):
    """An autoencoder in the benchmark's form: tensors in, tensors out."""

    def __init__(self, vae: VideoVAE | AudioVAE) -> None:
        super().__init__()
        self.vae = vae

    def encode(self, x: Tensor) -> Tensor:
        """The mode of the posterior."""
        return self.vae.encode(x).mode()

    def decode(self, z: Tensor) -> Tensor:
        """Pixels or samples."""
        return self.vae.decode(z)

    def forward(self, x: Tensor) -> Tensor:
        """A reconstruction."""
        return self.decode(self.encode(x))


def video(kind: str, size: str) -> tuple[nn.Module, Inputs, None]:
    """The causal video autoencoder."""
    if kind != "video-vae":
        raise ValueError(f"this plug-in has a video autoencoder, not a {kind}")
    return (
        Coder(VideoVAE(VIDEO[size])),
        _inputs(lambda spec: (spec.batch, 3, spec.frames, spec.height, spec.width)),
        None,
    )


def sound(kind: str, size: str) -> tuple[nn.Module, Inputs, None]:
    """The waveform autoencoder."""
    if kind != "audio-vae":
        raise ValueError(f"this plug-in has an audio autoencoder, not a {kind}")
    hop = AUDIO[size].hop
    shape = _inputs(lambda spec: (spec.batch, 2, math.ceil(48_000 * spec.seconds / hop) * hop))
    return Coder(AudioVAE(AUDIO[size])), shape, None


def _inputs(shape: Callable[[SimpleNamespace], tuple[int, ...]]) -> Inputs:
    def make(op: str, spec: SimpleNamespace) -> tuple[tuple[Tensor], dict[str, Any]]:
        generator = torch.Generator().manual_seed(spec.seed)
        size = spec.latent_shape if op == "decode" else shape(spec)
        return (torch.randn(*size, generator=generator).to(spec.device, spec.dtype),), {}

    return make
