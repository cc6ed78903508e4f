"""Reads from a mel spectrogram how a voice sounds, or how it moves: convolutions with one vector at their end."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn

from aiprod.models.styletts2.config import StyleTts2Config

_HALVINGS, _SLOPE = 4, 0.2
_SHORTEST = 80  # columns: four halvings leave five, which the last convolution takes
_FFT, _WINDOW, _HOP = 2_048, 1_200, 300
_FILTERS_FOR = 16_000  # the rate that the published code makes its filters for, though its sound has 24,000 samples


class _Halving(nn.Module):
    """Convolutions that halve both axes."""

    def __init__(self, enter: int, leave: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(enter, enter, 3, padding=1)
        self.downsample_res = nn.Module()
        self.downsample_res.conv = nn.Conv2d(enter, enter, 3, stride=2, padding=1, groups=enter)
        self.conv2 = nn.Conv2d(enter, leave, 3, padding=1)
        self.conv1x1 = nn.Conv2d(enter, leave, 1, bias=False) if enter != leave else None

    def forward(self, x: Tensor) -> Tensor:
        past = x if self.conv1x1 is None else self.conv1x1(x)
        if past.shape[-1] % 2:
            past = torch.cat([past, past[..., -1:]], -1)
        y = self.conv1(nn.functional.leaky_relu(x, _SLOPE))
        y = self.downsample_res.conv(y)  # type: ignore[operator]
        y = self.conv2(nn.functional.leaky_relu(y, _SLOPE))
        pooled: Tensor = (y + nn.functional.avg_pool2d(past, 2)) / math.sqrt(2)
        return pooled


class StyleEncoder(nn.Module):
    """``[B, 1, n_mels, T]`` to ``[B, style_dim]``."""

    def __init__(self, config: StyleTts2Config) -> None:
        super().__init__()
        widths = [config.dim_in, *(min(config.dim_in * 2**n, config.max_conv_dim) for n in range(1, _HALVINGS + 1))]
        self.shared = nn.Sequential(
            nn.Conv2d(1, widths[0], 3, padding=1),
            *(_Halving(a, b) for a, b in itertools.pairwise(widths)),
            nn.LeakyReLU(_SLOPE),
            nn.Conv2d(widths[-1], widths[-1], 5),
            nn.AdaptiveAvgPool2d(1),
            nn.LeakyReLU(_SLOPE),
        )
        self.unshared = nn.Linear(widths[-1], config.style_dim)

    def forward(self, mel: Tensor) -> Tensor:
        """A style."""
        style: Tensor = self.unshared(self.shared(mel).flatten(1))
        return style


def reference_mel(sound: Tensor, bands: int) -> Tensor:
    """The normalised mel spectrogram ``[bands, T]`` of sound at 24 kHz that styles are read from.

    Bands are those of torchaudio's defaults, its sampling rate among them: HTK's scale, triangles of height 1, power.
    Sound shorter than a second is repeated.
    """
    sound = sound.repeat(math.ceil(_SHORTEST * _HOP / len(sound))) if len(sound) < _SHORTEST * _HOP else sound
    window = torch.hann_window(_WINDOW)
    spectrum = torch.stft(sound, _FFT, _HOP, _WINDOW, window=window, return_complex=True).abs().square()
    return (torch.log(1e-5 + _triangles(bands) @ spectrum) + 4) / 4


def _triangles(bands: int) -> Tensor:
    """``[bands, _FFT / 2 + 1]``."""
    top = 2595 * math.log10(1 + _FILTERS_FOR / 2 / 700)
    edges = 700 * (10 ** (torch.linspace(0, top, bands + 2) / 2595) - 1)
    hz = torch.linspace(0, _FILTERS_FOR / 2, _FFT // 2 + 1)
    away, widths = edges[:, None] - hz[None], edges.diff()[:, None]
    return torch.minimum(-away[:-2] / widths[:-1], away[2:] / widths[1:]).clamp_min(0)
