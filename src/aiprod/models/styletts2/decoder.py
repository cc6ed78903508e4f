"""Phonemes with F0 and energy to sound: a source of harmonics, and a network that shapes it.

The last step is an inverse short-time transform (iSTFTNet; Kaneko et al. 2022) or more of the same (HiFi-GAN; Kong et
al. 2020); the source is that of neural source-filter models (Wang et al. 2019).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from aiprod.models.styletts2.config import SAMPLE_RATE, DecoderConfig, StyleTts2Config
from aiprod.models.styletts2.layers import StyledBlock, WavyBlock, snake

_HARMONICS = 9  # the fundamental among them
_AMPLITUDE, _BREATH, _VOICED_HZ = 0.1, 0.003, 10.0


class _Source(nn.Module):
    """Harmonics of F0 where it is voiced, noise elsewhere."""

    def __init__(self, hop: int) -> None:
        super().__init__()
        self.hop = hop
        self.l_linear = nn.Linear(_HARMONICS, 1)

    def forward(self, f0: Tensor, noise: Tensor) -> Tensor:
        """Sound ``[B, T · hop]`` of F0 ``[B, T]`` in Hz, with noise ``[B, T · hop, harmonics]``."""
        numbers = torch.arange(1, _HARMONICS + 1, device=f0.device)
        # in double precision: phases grow, and float32 has 0.01 rad left of them after three seconds
        turns = (f0.double()[..., None] * numbers / SAMPLE_RATE) % 1
        phase = (turns.cumsum(1) * (2 * math.pi * self.hop)).transpose(1, 2)
        phase = nn.functional.interpolate(phase, scale_factor=float(self.hop), mode="linear")
        voiced = (f0 > _VOICED_HZ).to(f0.dtype).repeat_interleave(self.hop, 1)[..., None]
        level = voiced * _BREATH + (1 - voiced) * (_AMPLITUDE / 3)
        waves = _AMPLITUDE * phase.sin().transpose(1, 2).to(f0.dtype) * voiced + level * noise
        source: Tensor = self.l_linear(waves).tanh()[..., 0]
        return source


class Generator(nn.Module):
    """What shapes the source; the subclasses say how it enters and how sound comes out."""

    enters: int
    leaves: int

    def __init__(self, config: DecoderConfig, style: int) -> None:
        super().__init__()
        self.config = config
        self.m_source = _Source(config.hop)
        widths = [config.upsample_initial_channel // 2**n for n in range(len(config.upsample_rates) + 1)]
        self.noise_convs, self.noise_res, self.ups, self.resblocks = (nn.ModuleList() for _ in range(4))
        for n, (rate, kernel) in enumerate(zip(config.upsample_rates, config.upsample_kernel_sizes, strict=True)):
            left = math.prod(config.upsample_rates[n + 1 :])
            last = n + 1 == len(config.upsample_rates)
            width = widths[n + 1]
            self.noise_convs.append(
                nn.Conv1d(self.enters, width, 1)
                if last
                else nn.Conv1d(self.enters, width, 2 * left, stride=left, padding=(left + 1) // 2)
            )
            self.noise_res.append(WavyBlock(width, 11 if last else 7, (1, 3, 5), style))
            self.ups.append(nn.ConvTranspose1d(widths[n], width, kernel, rate, *self._padding(rate, kernel)))
            self.resblocks.extend(
                WavyBlock(width, size, dilations, style)
                for size, dilations in zip(config.resblock_kernel_sizes, config.resblock_dilation_sizes, strict=True)
            )
        self.conv_post = nn.Conv1d(widths[-1], self.leaves, 7, padding=3)

    @staticmethod
    def _padding(rate: int, kernel: int) -> tuple[int, int]:
        """Samples cut off at both ends, and added at the end."""
        raise NotImplementedError

    def _blocks(self, number: int, x: Tensor, style: Tensor) -> Tensor:
        """The mean of the blocks of one rate."""
        count = len(self.config.resblock_kernel_sizes)
        chosen = self.resblocks[number * count : (number + 1) * count]
        return torch.stack([block(x, style) for block in chosen]).mean(0)


class SpectralGenerator(Generator):
    """Its sound is an inverse short-time transform away."""

    def __init__(self, config: DecoderConfig, style: int) -> None:
        self.enters = self.leaves = config.gen_istft_n_fft + 2
        super().__init__(config, style)
        self.register_buffer("window", torch.hann_window(config.gen_istft_n_fft), persistent=False)

    @staticmethod
    def _padding(rate: int, kernel: int) -> tuple[int, int]:
        return (kernel - rate) // 2, 0

    def forward(self, x: Tensor, style: Tensor, f0: Tensor, noise: Tensor) -> Tensor:
        """Sound ``[B, T · hop]``."""
        size, hop = self.config.gen_istft_n_fft, self.config.gen_istft_hop_size
        source = torch.stft(self.m_source(f0, noise), size, hop, window=self.window, return_complex=True)  # type: ignore[arg-type]
        heard = torch.cat([source.abs(), source.angle()], 1)
        last = len(self.ups) - 1
        for n, up in enumerate(self.ups):
            beside = self.noise_res[n](self.noise_convs[n](heard), style)
            x = up(nn.functional.leaky_relu(x, 0.1))
            x = nn.functional.pad(x, (1, 0), mode="reflect") if n == last else x
            x = self._blocks(n, x + beside, style)
        size_log, turn = self.conv_post(nn.functional.leaky_relu(x)).split(size // 2 + 1, 1)
        spectrum = torch.polar(size_log.exp(), turn.sin())
        return torch.istft(spectrum, size, hop, window=self.window)  # type: ignore[arg-type]


class WaveGenerator(Generator):
    """Its last layer gives samples."""

    enters = leaves = 1
    _CLICK = 50  # samples at the end that the published models spoil

    def __init__(self, config: DecoderConfig, style: int) -> None:
        super().__init__(config, style)
        widths = [config.upsample_initial_channel // 2**n for n in range(len(config.upsample_rates) + 1)]
        self.alphas = nn.ParameterList(torch.ones(1, width, 1) for width in widths)

    @staticmethod
    def _padding(rate: int, kernel: int) -> tuple[int, int]:
        return rate // 2 + rate % 2, rate % 2

    def forward(self, x: Tensor, style: Tensor, f0: Tensor, noise: Tensor) -> Tensor:
        """Sound ``[B, T · hop]``."""
        source = self.m_source(f0, noise)[:, None]
        for n, up in enumerate(self.ups):
            beside = self.noise_res[n](self.noise_convs[n](source), style)
            x = self._blocks(n, up(snake(x, self.alphas[n])) + beside, style)
        sound = self.conv_post(snake(x, self.alphas[len(self.ups)])).tanh()[:, 0]
        return torch.cat([sound[:, : -self._CLICK], torch.zeros_like(sound[:, -self._CLICK :])], 1)


class Decoder(nn.Module):
    """Phonemes over time ``[B, hidden, T]``, F0 and energy ``[B, 2·T]`` and a style to sound."""

    def __init__(self, config: StyleTts2Config) -> None:
        super().__init__()
        wide, skip, style = config.decoder_width, config.decoder_skip, config.style_dim
        narrow = config.decoder.upsample_initial_channel
        self.encode = StyledBlock(config.hidden_dim + 2, wide, style)
        self.decode = nn.ModuleList(
            StyledBlock(wide + 2 + skip, narrow if last else wide, style, double=last)
            for last in (False, False, False, True)
        )
        self.F0_conv, self.N_conv = (nn.Conv1d(1, 1, 3, stride=2, padding=1) for _ in range(2))
        self.asr_res = nn.Sequential(nn.Conv1d(config.hidden_dim, skip, 1))
        kind = SpectralGenerator if config.decoder.type == "istftnet" else WaveGenerator
        self.generator = kind(config.decoder, style)

    def forward(self, phonemes: Tensor, f0: Tensor, energy: Tensor, style: Tensor, noise: Tensor) -> Tensor:
        """Sound ``[B, 2 · T · hop]``."""
        tracks = torch.cat([self.F0_conv(f0[:, None]), self.N_conv(energy[:, None])], 1)
        x = self.encode(torch.cat([phonemes, tracks], 1), style)
        beside = self.asr_res(phonemes)
        for block in self.decode:
            x = block(torch.cat([x, beside, tracks], 1), style)
        sound: Tensor = self.generator(x, style, f0, noise)
        return sound

    def noise(self, steps: int, seed: int) -> Tensor:
        """What the source is mixed with, over as many steps of F0."""
        generator = torch.Generator().manual_seed(seed)
        return torch.randn(1, steps * self.generator.config.hop, _HARMONICS, generator=generator)
