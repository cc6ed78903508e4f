"""What the networks are put together from: layers that a style scales and shifts.

Published convolutions are stored as direction and length (weight normalisation); they are multiplied out as they are
read, so these are plain ones.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

_SLOPE = 0.2


class AdaptiveNorm(nn.Module):
    """Each channel with a mean of 0 and a deviation of 1 over time, then scaled and shifted by the style (AdaIN)."""

    def __init__(self, style: int, width: int) -> None:
        super().__init__()
        self.norm = nn.InstanceNorm1d(width, affine=True)
        self.fc = nn.Linear(style, 2 * width)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """``[B, width, N]`` and style ``[B, S]`` to ``[B, width, N]``."""
        scale, shift = self.fc(style)[..., None].chunk(2, 1)
        styled: Tensor = (1 + scale) * self.norm(x) + shift
        return styled


class AdaptiveLayerNorm(nn.Module):
    """As :class:`AdaptiveNorm`, but over the channels of each moment ``[B, N, width]``."""

    def __init__(self, style: int, width: int) -> None:
        super().__init__()
        self.fc = nn.Linear(style, 2 * width)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """``[B, N, width]`` and style ``[B, S]`` to ``[B, N, width]``."""
        scale, shift = self.fc(style)[:, None].chunk(2, 2)
        styled: Tensor = (1 + scale) * nn.functional.layer_norm(x, x.shape[-1:]) + shift
        return styled


class ChannelNorm(nn.Module):
    """Over the channels of ``[B, width, N]``, under the names it is published with."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma, self.beta = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        """``[B, width, N]``, each moment normalised."""
        return nn.functional.layer_norm(x.transpose(1, 2), x.shape[1:2], self.gamma, self.beta).transpose(1, 2)


class StyledBlock(nn.Module):
    """Two convolutions beside a way past them; doubles the length if asked to."""

    def __init__(self, enter: int, leave: int, style: int, *, double: bool = False) -> None:
        super().__init__()
        self.norm1, self.norm2 = AdaptiveNorm(style, enter), AdaptiveNorm(style, leave)
        self.conv1 = nn.Conv1d(enter, leave, 3, padding=1)
        self.conv2 = nn.Conv1d(leave, leave, 3, padding=1)
        self.conv1x1 = nn.Conv1d(enter, leave, 1, bias=False) if enter != leave else None
        self.pool = (
            nn.ConvTranspose1d(enter, enter, 3, stride=2, padding=1, output_padding=1, groups=enter) if double else None
        )

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """``[B, enter, N]`` and style ``[B, S]`` to ``[B, leave, N]``, or ``[B, leave, 2N]`` where it doubles."""
        y = nn.functional.leaky_relu(self.norm1(x, style), _SLOPE)
        if self.pool is not None:
            y, x = self.pool(y), x.repeat_interleave(2, 2)
        y = nn.functional.leaky_relu(self.norm2(self.conv1(y), style), _SLOPE)
        past = x if self.conv1x1 is None else self.conv1x1(x)
        styled: Tensor = (self.conv2(y) + past) / math.sqrt(2)
        return styled


def snake(x: Tensor, alpha: Tensor) -> Tensor:
    """Identity with a wave on it (Ziyin et al. 2020): it can continue what is periodic."""
    return x + torch.sin(alpha * x).square() / alpha


class WavyBlock(nn.Module):
    """Three pairs of convolutions, the first of each looking further apart."""

    def __init__(self, width: int, kernel: int, dilations: tuple[int, ...], style: int) -> None:
        super().__init__()
        self.convs1 = nn.ModuleList(
            nn.Conv1d(width, width, kernel, dilation=d, padding=(kernel - 1) * d // 2) for d in dilations
        )
        self.convs2 = nn.ModuleList(nn.Conv1d(width, width, kernel, padding=(kernel - 1) // 2) for _ in dilations)
        self.adain1, self.adain2 = (nn.ModuleList(AdaptiveNorm(style, width) for _ in dilations) for _ in range(2))
        self.alpha1, self.alpha2 = (nn.ParameterList(torch.ones(1, width, 1) for _ in dilations) for _ in range(2))

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """``[B, width, N]`` and style ``[B, S]`` to ``[B, width, N]``."""
        for n in range(len(self.convs1)):
            y = self.convs1[n](snake(self.adain1[n](x, style), self.alpha1[n]))
            x = x + self.convs2[n](snake(self.adain2[n](y, style), self.alpha2[n]))
        return x


def both_ways(enter: int, leave: int) -> nn.LSTM:
    """A recurrent layer that reads in both directions, with half of the channels each."""
    return nn.LSTM(enter, leave // 2, batch_first=True, bidirectional=True)
