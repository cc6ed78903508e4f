"""The causal video autoencoder."""

from __future__ import annotations

import math

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from aiprod.core.types import VideoCompression, VideoPixelShape
from aiprod.core.vae.autoencoder import Autoencoder
from aiprod.core.vae.bottlenecks import make_bottleneck
from aiprod.core.vae.causal import ResidualBlock, RMSNorm, Stream, fold, unfold
from aiprod.core.vae.config import VideoVAEConfig
from aiprod.core.vae.posterior import Posterior
from aiprod.core.vae.statistics import LatentStatistics
from aiprod.errors import CoreError

Factors = tuple[int, int, int]


def _volume(factors: Factors) -> int:
    return factors[0] * factors[1] * factors[2]


class VideoEncoder(nn.Module):
    """Pixels ``[B, F, H, W, 3]`` to what the bottleneck reads, ``[B, F', H', W', P]``."""

    def __init__(self, config: VideoVAEConfig, outputs: int) -> None:
        super().__init__()
        self.folds: tuple[Factors, ...] = (config.patch, *config.strides)
        self.total: Factors = (config.compression.time, config.compression.height, config.compression.width)
        inputs = [3, *config.widths]
        self.enter = nn.ModuleList(
            nn.Linear(inputs[i] * _volume(f), config.widths[i]) for i, f in enumerate(self.folds)
        )
        self.blocks = nn.ModuleList(
            nn.ModuleList(ResidualBlock(width, config.time_kernel) for _ in range(depth))
            for width, depth in zip(config.widths, config.encoder_depths, strict=True)
        )
        self.norm = RMSNorm(config.widths[-1])
        self.leave = nn.Linear(config.widths[-1], outputs)
        self.shortcut = nn.Linear(3 * _volume(self.total), config.latent_channels) if config.shortcut else None

    def forward(self, x: Tensor, stream: Stream | None = None) -> Tensor:
        """Encode a video, or the next chunk of a stream."""
        first = stream is None or stream.first
        hidden = x = x.contiguous()  # one pass with long steps instead of one in every fold
        direct = fold(x, self.total, first=first) if self.shortcut is not None else None
        for factors, enter, blocks in zip(self.folds, self.enter, self.blocks, strict=True):
            whole = factors == self.total and direct is not None
            hidden = enter(direct if whole else fold(hidden, factors, first=first))
            for block in blocks:  # type: ignore[attr-defined]
                hidden = block(hidden, stream)
        out = self.leave(functional.silu(self.norm(hidden)))
        if self.shortcut is not None and direct is not None:
            straight = self.shortcut(direct)
            out = out + functional.pad(straight, (0, out.shape[-1] - straight.shape[-1]))
        return out


class VideoDecoder(nn.Module):
    """Latents ``[B, F', H', W', C]`` to pixels ``[B, F, H, W, 3]``; causal too, so frames can be shown as they come."""

    def __init__(self, config: VideoVAEConfig) -> None:
        super().__init__()
        self.folds: tuple[Factors, ...] = (config.patch, *config.strides)[::-1]
        self.total: Factors = (config.compression.time, config.compression.height, config.compression.width)
        widths = config.widths[::-1]
        self.enter = nn.Linear(config.latent_channels, widths[0])
        self.blocks = nn.ModuleList(
            nn.ModuleList(ResidualBlock(width, config.time_kernel) for _ in range(depth))
            for width, depth in zip(widths, config.decoder_depths[::-1], strict=True)
        )
        self.norm = RMSNorm(widths[-1])
        outputs = [*widths[1:], 3]
        self.leave = nn.ModuleList(nn.Linear(widths[i], outputs[i] * _volume(f)) for i, f in enumerate(self.folds))
        self.shortcut = nn.Linear(config.latent_channels, 3 * _volume(self.total)) if config.shortcut else None

    def forward(self, z: Tensor, stream: Stream | None = None) -> Tensor:
        """Decode a whole latent, or the next chunk of a stream."""
        first = stream is None or stream.first
        hidden = self.enter(z)
        last = len(self.folds) - 1
        for i, (factors, blocks, leave) in enumerate(zip(self.folds, self.blocks, self.leave, strict=True)):
            for block in blocks:  # type: ignore[attr-defined]
                hidden = block(hidden, stream)
            hidden = functional.silu(self.norm(hidden)) if i == last else hidden
            hidden = unfold(leave(hidden), factors, first=first)
        if self.shortcut is not None:
            hidden = hidden + unfold(self.shortcut(z), self.total, first=first)
        return hidden


class VideoVAE(Autoencoder):
    """Causal video autoencoder: pixels in [−1, 1] to latents and back.

    The first frame stands alone, every following group of ``compression.time`` frames makes one latent frame, and no
    output depends on a later input, in the encoder or in the decoder.
    """

    config_class = VideoVAEConfig
    config: VideoVAEConfig

    def __init__(self, config: VideoVAEConfig) -> None:
        super().__init__()
        self.config = config
        self.bottleneck = make_bottleneck(config)
        per_channel: int = self.bottleneck.parameters_per_channel  # type: ignore[assignment]
        self.encoder = VideoEncoder(config, config.latent_channels * per_channel)
        self.decoder = VideoDecoder(config)
        self.statistics = LatentStatistics(config.latent_channels)

    @property
    def compression(self) -> VideoCompression:
        """Pixels per latent along each axis, and latent channels."""
        return self.config.compression

    @property
    def encoder_reach(self) -> int:
        """Latent cells on each side, in space, whose pixels can change an encoded latent."""
        return self._reach(self.config.encoder_depths)

    @property
    def decoder_reach(self) -> int:
        """Latent cells on each side, in space, that can change a decoded pixel."""
        return self._reach(self.config.decoder_depths)

    def _reach(self, depths: tuple[int, ...]) -> int:
        """Every block looks one cell of its level aside; the cells of outer levels are smaller."""
        reach = 0.0
        for axis in (1, 2):
            total, scale = 0, 1
            for factors, depth in zip((self.config.patch, *self.config.strides), depths, strict=True):
                scale *= factors[axis]
                total += depth * scale
            reach = max(reach, total / scale)
        return math.ceil(reach)

    def encode(self, x: Float[Tensor, "b 3 f h w"], stream: Stream | None = None) -> Posterior:
        """Pixels in [−1, 1] to a distribution over latents ``[B, C, (F−1)/t+1, H/h, W/w]``.

        Args:
            stream: memory of the chunks before this one (see :mod:`aiprod.core.vae.tiling`); None for a whole video.

        Raises:
            CoreError: the size does not divide; names the nearest valid one.
        """
        if x.dim() != 5 or x.shape[1] != 3:
            raise CoreError(f"video has the shape {list(x.shape)}", "give [batch, 3, frames, height, width]")
        first = stream is None or stream.first
        frames = x.shape[2] if first else x.shape[2] + 1
        VideoPixelShape(x.shape[0], frames, x.shape[3], x.shape[4], fps=1.0).to_latent(self.compression)
        posterior: Posterior = self.bottleneck(self.encoder(x.movedim(1, -1), stream))
        if stream is not None:
            stream.first = False
        return posterior

    def decode(self, z: Float[Tensor, "b c f h w"], stream: Stream | None = None) -> Float[Tensor, "b 3 F H W"]:
        """Latents (not normalised) to pixels ``[B, 3, (F'−1)·t+1, H'·h, W'·w]``, about in [−1, 1], not clamped.

        Raises:
            CoreError: not a latent of this autoencoder.
        """
        if z.dim() != 5 or z.shape[1] != self.config.latent_channels:
            raise CoreError(
                f"latent has the shape {list(z.shape)}",
                f"give [batch, {self.config.latent_channels}, frames, height, width]",
            )
        pixels = self.decoder(z.movedim(1, -1), stream).movedim(-1, 1)
        if stream is not None:
            stream.first = False
        return pixels
