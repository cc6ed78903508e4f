"""Layers of the video autoencoder, channels last ``[B, F, H, W, C]``, causal in time, with a streaming memory.

Spatial work folds frames into the batch and temporal work is one matrix product over shifted frames: on CPUs torch
sends small 3-D convolutions to a slow kernel, and this form avoids them; on GPUs it costs nothing. Where channels are
few, moving memory takes longer than computing, so narrow layers take other ways to the same formula, with fewer passes
over memory; results differ by rounding.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

_NARROW = 128  # below so many channels a copy of the activations costs more than their product


class Stream:
    """What causal layers remember between chunks of one video: the last frames each of them saw."""

    def __init__(self) -> None:
        self.past: dict[nn.Module, Tensor] = {}
        self.first = True


class RMSNorm(nn.Module):
    """Root-mean-square norm over channels (arXiv:1910.07467), none over space or time, so that streams agree."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        if len(self.weight) >= _NARROW:
            return functional.rms_norm(x, self.weight.shape, self.weight, 1e-6)
        square = torch.linalg.vector_norm(x, dim=-1, keepdim=True).square()
        return x * (square / len(self.weight) + 1e-6).rsqrt() * self.weight


class SpatialConv(nn.Module):
    """3×3 convolution of every frame, zero padding."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, F, H, W, C]`` to the same shape."""
        images = x.flatten(0, 1).permute(0, 3, 1, 2)  # is channels-last memory already
        return self.conv(images).permute(0, 2, 3, 1).unflatten(0, x.shape[:2])


class CausalTimeConv(nn.Module):
    """Each output frame mixes the present and ``kernel − 1`` past frames; before the first frame, the first repeats."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.kernel = kernel
        self.mix = nn.Linear(channels * kernel, channels)

    def forward(self, x: Tensor, stream: Stream | None = None) -> Tensor:
        """``[B, F, H, W, C]`` to the same shape."""
        if self.kernel == 1:
            return self.mix(x)
        past = stream.past.get(self) if stream is not None else None
        if past is None:
            past = x[:, :1].expand(-1, self.kernel - 1, -1, -1, -1)
        seen = torch.cat([past, x], dim=1)
        if stream is not None:
            stream.past[self] = seen[:, seen.shape[1] - (self.kernel - 1) :].clone()
        if x.shape[-1] < _NARROW:
            return self._slide(seen)
        frames = x.shape[1]
        return self.mix(torch.cat([seen[:, i : i + frames] for i in range(self.kernel)], dim=-1))

    def _slide(self, seen: Tensor) -> Tensor:
        """The same mix as a convolution over (frames, pixels), which needs no copy of the shifted frames."""
        images = seen.flatten(2, 3).permute(0, 3, 1, 2)  # is channels-last memory already
        weight = self.mix.weight.unflatten(1, (self.kernel, -1)).transpose(1, 2)[..., None].contiguous()
        return functional.conv2d(images, weight, self.mix.bias).permute(0, 2, 3, 1).unflatten(2, seen.shape[2:4])


class ResidualBlock(nn.Module):
    """Norm, SiLU, space, SiLU, time, added to the input; the last layer starts at zero, so a new block does nothing."""

    def __init__(self, channels: int, time_kernel: int) -> None:
        super().__init__()
        self.norm = RMSNorm(channels)
        self.space = SpatialConv(channels)
        self.time = CausalTimeConv(channels, time_kernel)
        nn.init.zeros_(self.time.mix.weight)
        nn.init.zeros_(self.time.mix.bias)

    def forward(self, x: Tensor, stream: Stream | None = None) -> Tensor:
        """``[B, F, H, W, C]`` to the same shape."""
        spare = not torch.is_grad_enabled()  # then what no backward pass will read may be overwritten
        hidden = self.space(functional.silu(self.norm(x), inplace=spare))
        added: Tensor = self.time(functional.silu(hidden, inplace=spare), stream)
        return added.add_(x) if spare and added.dtype == x.dtype else x + added


def fold(x: Tensor, factors: tuple[int, int, int], *, first: bool = True) -> Tensor:
    """Space-time to depth: ``[B, F, H, W, C]`` to ``[B, F', H/h, W/w, t·h·w·C]``.

    Args:
        first: the chunk starts the video: its first frame stands alone and is repeated to fill a group of ``t``, so
            that ``F' = (F − 1)/t + 1``. Otherwise ``F' = F/t``.
    """
    t, h, w = factors
    if first and t > 1:
        x = torch.cat([x[:, :1].expand(-1, t - 1, -1, -1, -1), x], dim=1)
    b, frames, height, width, c = x.shape
    x = x.reshape(b, frames // t, t, height // h, h, width // w, w, c)
    return x.permute(0, 1, 3, 5, 2, 4, 6, 7).reshape(b, frames // t, height // h, width // w, t * h * w * c)


def unfold(x: Tensor, factors: tuple[int, int, int], *, first: bool = True) -> Tensor:
    """The inverse of :func:`fold`; the repeats of the first frame are dropped."""
    t, h, w = factors
    b, frames, height, width, depth = x.shape
    c = depth // (t * h * w)
    x = x.reshape(b, frames, height, width, t, h, w, c).permute(0, 1, 4, 2, 5, 3, 6, 7)
    x = x.reshape(b, frames * t, height * h, width * w, c)
    return x[:, t - 1 :] if first else x
