"""Our autoencoders as entrants of the side-by-side benchmark, at the peers' compression and parameter counts.

The benchmark calls ``video(kind, size)`` or ``sound(kind, size)`` and expects (module, inputs, forward FLOPs or None).
``like_ltx``, ``like_ltx2``, ``like_wan`` and ``like_cogvideox`` are made for one peer each, tiny and small: its
compression and latent channels, and its parameters in encoder and in decoder, each to within 1.5 %. The tiny ones of
the first two do its FLOPs as well; the others do less: ours makes patches before its first layer, and the small ones of
the first two have more of their parameters next to the latent.
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
_LTX = {"shortcut": False}
_WAN = {"patch": (1, 2, 2), "strides": ((2, 2, 2),) * 2, "latent_channels": 16, "shortcut": False}
_LTX_FOLDS = {"patch": (2, 8, 8), "strides": ((2, 2, 2), (2, 2, 2))}
LIKE = {
    "tiny": {
        "ltx-vae": VideoVAEConfig(
            **_LTX,
            **_LTX_FOLDS,
            latent_channels=32,
            widths=(96, 112, 144),
            encoder_depths=(4, 3, 1),
            decoder_depths=(4, 4, 4),
        ),
        "ltx2-vae": VideoVAEConfig(
            **_LTX,
            patch=(1, 8, 8),
            strides=((2, 2, 2), (4, 2, 2)),
            latent_channels=32,
            widths=(96, 144, 128),
            encoder_depths=(6, 1, 1),
            decoder_depths=(0, 2, 0),
        ),
        "wan-vae": VideoVAEConfig(**_WAN, widths=(40, 128, 144), encoder_depths=(3, 4, 2), decoder_depths=(2, 3, 5)),
        "cogvideox-vae": VideoVAEConfig(
            **_WAN, widths=(48, 128, 112), encoder_depths=(3, 3, 2), decoder_depths=(3, 4, 4)
        ),
    },
    "small": {
        "ltx-vae": VideoVAEConfig(
            **_LTX,
            **_LTX_FOLDS,
            latent_channels=128,
            widths=(304, 224, 320),
            encoder_depths=(1, 2, 1),
            decoder_depths=(1, 4, 3),
        ),
        "ltx2-vae": VideoVAEConfig(
            **_LTX,
            patch=(1, 8, 8),
            strides=((4, 2, 2), (2, 2, 2)),
            latent_channels=128,
            widths=(192, 304, 128),
            encoder_depths=(10, 2, 0),
            decoder_depths=(0, 2, 2),
        ),
        "wan-vae": VideoVAEConfig(**_WAN, widths=(88, 160, 256), encoder_depths=(6, 4, 3), decoder_depths=(5, 2, 6)),
        "cogvideox-vae": VideoVAEConfig(
            **_WAN, widths=(104, 240, 192), encoder_depths=(4, 1, 6), decoder_depths=(3, 4, 6)
        ),
    },
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
    return _video(VIDEO[size], kind)


def like_ltx(kind: str, size: str) -> tuple[nn.Module, Inputs, None]:
    """The parameters, FLOPs and compression of the LTX-Video autoencoder of this size."""
    return _video(LIKE[size]["ltx-vae"], kind)


def like_ltx2(kind: str, size: str) -> tuple[nn.Module, Inputs, None]:
    """The parameters, FLOPs and compression of the LTX-2 autoencoder of this size."""
    return _video(LIKE[size]["ltx2-vae"], kind)


def like_wan(kind: str, size: str) -> tuple[nn.Module, Inputs, None]:
    """The parameters and compression of the Wan autoencoder of this size."""
    return _video(LIKE[size]["wan-vae"], kind)


def like_cogvideox(kind: str, size: str) -> tuple[nn.Module, Inputs, None]:
    """The parameters and compression of the CogVideoX autoencoder of this size."""
    return _video(LIKE[size]["cogvideox-vae"], kind)


def _video(config: VideoVAEConfig, kind: str) -> tuple[nn.Module, Inputs, None]:
    if kind != "video-vae":
        raise ValueError(f"this plug-in has a video autoencoder, not a {kind}")
    return Coder(VideoVAE(config)), _inputs(lambda spec: (spec.batch, 3, spec.frames, spec.height, spec.width)), None


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
