"""The waveform autoencoder: 48 kHz stereo in and out, so that no vocoder is needed."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from aiprod.core.types import AudioCompression, AudioShape
from aiprod.core.vae.autoencoder import Autoencoder
from aiprod.core.vae.bottlenecks import make_bottleneck
from aiprod.core.vae.config import AudioVAEConfig
from aiprod.core.vae.posterior import Posterior
from aiprod.core.vae.statistics import LatentStatistics
from aiprod.errors import CoreError


class Snake(nn.Module):
    """``x + sin²(αx)/α`` with a learned α per channel, a periodic activation (Ziyin et al. 2020, arXiv:2006.08195)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """``[B, C, T]`` to the same shape."""
        return x + torch.sin(x * self.alpha).square() / (self.alpha + 1e-9)


class ResidualUnit(nn.Module):
    """Snake, dilated convolution, Snake, pointwise convolution, added; starts as the identity."""

    def __init__(self, channels: int, kernel: int, dilation: int) -> None:
        super().__init__()
        self.first = Snake(channels)
        self.wide = nn.Conv1d(channels, channels, kernel, dilation=dilation, padding=dilation * (kernel // 2))
        self.second = Snake(channels)
        self.point = nn.Conv1d(channels, channels, 1)
        nn.init.zeros_(self.point.weight)
        nn.init.zeros_(self.point.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """``[B, C, T]`` to the same shape."""
        return x + self.point(self.second(self.wide(self.first(x))))


class Down(nn.Module):
    """Blocks of ``stride`` steps become channels, then a convolution over three blocks: a kernel of 3·stride."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.conv = nn.Conv1d(inputs * stride, outputs, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, C, T]`` to ``[B, C', T/stride]``."""
        b, c, t = x.shape
        blocks = x.reshape(b, c, t // self.stride, self.stride).transpose(2, 3)
        return self.conv(blocks.reshape(b, c * self.stride, t // self.stride))


class Up(nn.Module):
    """The mirror of :class:`Down`: a convolution over three blocks, then channels become steps."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.conv = nn.Conv1d(inputs, outputs * stride, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, C, T]`` to ``[B, C', T·stride]``."""
        x = self.conv(x)
        b, c, t = x.shape
        return x.reshape(b, c // self.stride, self.stride, t).transpose(2, 3).reshape(b, c // self.stride, -1)


class LappedTransform(nn.Module):
    """A learned linear transform of windows of two hops, and its overlap-add back (the form of an MDCT)."""

    window: Tensor

    def __init__(self, channels: int, hop: int, latent: int) -> None:
        super().__init__()
        self.channels, self.hop = channels, hop
        self.analyse = nn.Linear(2 * hop * channels, latent)
        self.synthesise = nn.Linear(latent, 2 * hop * channels)
        self.register_buffer("window", torch.empty(2 * hop), persistent=False)
        self.reset_buffers()

    def reset_buffers(self, device: str | torch.device | None = None) -> None:
        """Compute the sine window: its square sums to one at a hop of half its length. Not on the meta device."""
        if device is None and self.window.is_meta:
            return
        phase = (torch.arange(2 * self.hop, device=device or self.window.device) + 0.5) / (2 * self.hop)
        self.window = torch.sin(torch.pi * phase)

    def frames(self, x: Tensor) -> Tensor:
        """``[B, channels, T]`` to windowed frames ``[B, T/hop, channels·2·hop]``, centred on their hop."""
        half = self.hop // 2
        frames = functional.pad(x, (half, half)).unfold(2, 2 * self.hop, self.hop) * self.window
        return frames.transpose(1, 2).flatten(2)

    def encode(self, x: Tensor) -> Tensor:
        """``[B, channels, T]`` to ``[B, T/hop, latent]``."""
        return self.analyse(self.frames(x))

    def decode(self, z: Tensor) -> Tensor:
        """``[B, T', latent]`` to ``[B, channels, T'·hop]``."""
        b, t, _ = z.shape
        frames = self.synthesise(z).reshape(b, t, self.channels, 2, self.hop) * self.window.view(2, self.hop)
        frames = frames.permute(0, 2, 3, 1, 4)  # [B, channels, half, T', hop]
        early, late = (
            functional.pad(frames[:, :, 0].flatten(2), (0, self.hop)),
            functional.pad(frames[:, :, 1].flatten(2), (self.hop, 0)),
        )
        half = self.hop // 2
        return (early + late)[..., half : half + t * self.hop]


class AudioVAE(Autoencoder):
    """Waveform autoencoder: ``[B, channels, T]`` in [−1, 1] to latents ``[B, C, T/hop]`` and back.

    Its reach is finite, so that long sound is coded in chunks with equal results (:mod:`aiprod.core.vae.tiling`).
    """

    config_class = AudioVAEConfig
    config: AudioVAEConfig

    def __init__(self, config: AudioVAEConfig) -> None:
        super().__init__()
        self.config = config
        self.bottleneck = make_bottleneck(config)
        outputs = config.latent_channels * int(self.bottleneck.parameters_per_channel)  # type: ignore[arg-type]
        strides, widths = (config.block, *config.strides), config.widths
        channels = [config.channels, *widths]
        encoder: list[nn.Module] = []
        for i, stride in enumerate(strides):
            encoder += [Down(channels[i], widths[i], stride), *self._units(widths[i], config.depths[i])]
        self.encoder = nn.Sequential(*encoder, Snake(widths[-1]), nn.Conv1d(widths[-1], outputs, 3, padding=1))
        decoder: list[nn.Module] = [nn.Conv1d(config.latent_channels, widths[-1], 3, padding=1)]
        for i in reversed(range(len(strides))):
            decoder += [
                *self._units(widths[i], config.depths[i]),
                Snake(widths[i]),
                Up(widths[i], channels[i], strides[i]),
            ]
        self.decoder = nn.Sequential(*decoder)
        self.lapped = LappedTransform(config.channels, config.hop, config.latent_channels) if config.shortcut else None
        self.statistics = LatentStatistics(config.latent_channels)

    def _units(self, width: int, depth: int) -> list[nn.Module]:
        dilations = self.config.dilations
        return [ResidualUnit(width, self.config.kernel, dilations[i % len(dilations)]) for i in range(depth)]

    @property
    def compression(self) -> AudioCompression:
        """Samples per latent frame, latent channels and sample rate."""
        return self.config.compression

    @property
    def reach(self) -> int:
        """Latent frames on each side that can change an encoded latent or a decoded hop."""
        samples, scale = 0.0, 1
        for i, stride in enumerate((self.config.block, *self.config.strides)):
            samples += 1.5 * stride * scale
            scale *= stride
            wide = [self.config.dilations[j % len(self.config.dilations)] for j in range(self.config.depths[i])]
            samples += sum(wide) * (self.config.kernel // 2) * scale
        return int(-(-(samples + scale) // self.config.hop)) + 1

    def encode(self, x: Float[Tensor, "b channels t"]) -> Posterior:
        """A waveform to a distribution over latents ``[B, C, T/hop]``.

        Raises:
            CoreError: another number of channels, or a length that is not a multiple of the hop (names the nearest).
        """
        if x.dim() != 3 or x.shape[1] != self.config.channels:
            raise CoreError(f"sound has the shape {list(x.shape)}", f"give [batch, {self.config.channels}, samples]")
        AudioShape(x.shape[0], x.shape[2], self.config.sample_rate, x.shape[1]).to_latent(self.compression)
        hidden = self.encoder(x).transpose(1, 2)
        if self.lapped is not None:
            direct = self.lapped.encode(x)
            hidden = hidden + functional.pad(direct, (0, hidden.shape[-1] - direct.shape[-1]))
        posterior: Posterior = self.bottleneck(hidden)
        return posterior

    def decode(self, z: Float[Tensor, "b c t"]) -> Float[Tensor, "b channels T"]:
        """Latents (not normalised) to a waveform ``[B, channels, T'·hop]``, about in [−1, 1], not clamped.

        Raises:
            CoreError: not a latent of this autoencoder.
        """
        if z.dim() != 3 or z.shape[1] != self.config.latent_channels:
            raise CoreError(
                f"latent has the shape {list(z.shape)}", f"give [batch, {self.config.latent_channels}, frames]"
            )
        sound: Tensor = self.decoder(z)
        return sound if self.lapped is None else sound + self.lapped.decode(z.transpose(1, 2))
