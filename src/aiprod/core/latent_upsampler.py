"""A network that makes a video latent twice as large in space, in time or in both, in the layout of LTX-Video's.

The published networks (LTX-Video's and LTX-2's spatial and temporal upsamplers) are read and written as they are. A new
one has a linear path beside the network, which begins as nearest-neighbour interpolation, so that it is no worse than
that before its first step.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from aiprod.errors import CoreError

GROUPS = 32  # of the published group normalisation
Latent = Float[Tensor, "batch channels frames height width"]


class LatentUpsamplerConfig(BaseModel):
    """Sizes, by the names that the published checkpoints give them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    in_channels: int = Field(ge=1, le=65_536, description="of the latent")
    mid_channels: int = Field(default=64, ge=GROUPS, le=65_536, multiple_of=GROUPS)
    num_blocks_per_stage: int = Field(default=1, ge=0, le=1000, description="residual blocks before, and after")
    dims: int = Field(default=3, ge=2, le=3, description="of the convolutions; 2: each latent frame by itself")
    spatial_upsample: bool = True
    temporal_upsample: bool = False
    shortcut: bool = Field(
        default=True,
        description="a linear path beside the network, over latents normalised by the autoencoder's statistics; false:"
        " the published network, over latents as the encoder makes them",
    )

    @model_validator(mode="after")
    def _does_something(self) -> LatentUpsamplerConfig:
        if not (self.spatial_upsample or self.temporal_upsample):
            raise ValueError("neither space nor time is upsampled → set one of them to true")
        if self.temporal_upsample and self.dims == 2:
            raise ValueError("dims is 2, and time is upsampled → set dims to 3")
        return self

    @property
    def factors(self) -> tuple[int, int, int]:
        """How much larger (frames, height, width) become; of G frames in time 2·G − 1, the first stands for itself."""
        space = 2 if self.spatial_upsample else 1
        return (2 if self.temporal_upsample else 1), space, space


class Statistics(Protocol):
    """An autoencoder, of which only the statistics of its latents are asked."""

    def normalize(self, z: Tensor) -> Tensor:
        """To mean 0 and variance 1 per channel."""

    def denormalize(self, z: Tensor) -> Tensor:
        """The inverse."""


class LatentUpsampler(nn.Module):
    """Maps ``[B, C, F, H, W]`` to ``[B, C, F', 2·H, 2·W]``, F' = F, or 2·F − 1 where time is upsampled."""

    def __init__(self, config: LatentUpsamplerConfig) -> None:
        super().__init__()
        self.config = config
        mid, count, parts = config.mid_channels, config.num_blocks_per_stage, _parts(config)
        conv = nn.Conv2d if config.dims == 2 else nn.Conv3d
        spread = nn.Conv3d if config.temporal_upsample else nn.Conv2d
        self.initial_conv = conv(config.in_channels, mid, 3, padding=1)
        self.initial_norm = nn.GroupNorm(GROUPS, mid)
        self.res_blocks = nn.ModuleList(_Block(mid, conv) for _ in range(count))
        self.upsampler = nn.Sequential(spread(mid, parts * mid, 3, padding=1))
        self.post_upsample_res_blocks = nn.ModuleList(_Block(mid, conv) for _ in range(count))
        self.final_conv = conv(mid, config.in_channels, 3, padding=1)
        if config.shortcut:
            width = config.in_channels
            self.shortcut = nn.Conv3d(width, parts * width, 3, padding=1, padding_mode="replicate")
            self._begin_as_nearest()

    def _begin_as_nearest(self) -> None:
        with torch.no_grad():
            for weight in (self.final_conv.weight, self.final_conv.bias, self.shortcut.weight, self.shortcut.bias):
                if weight is not None:
                    weight.zero_()
            places = torch.arange(len(self.shortcut.weight))
            self.shortcut.weight[places, places // _parts(self.config), 1, 1, 1] = 1.0

    def forward(self, latent: Latent) -> Latent:
        """The larger latent. See :func:`upsample` for what statistics it is in."""
        flat = self.config.dims == 2
        x = _as_images(latent) if flat else latent
        x = nn.functional.silu(self.initial_norm(self.initial_conv(x)))
        for block in self.res_blocks:
            x = block(x)
        x = self._larger(x, self.upsampler, images=flat)
        for block in self.post_upsample_res_blocks:
            x = block(x)
        x = self.final_conv(x)
        if flat:
            x = _as_film(x, len(latent))
        return x + _shuffled(self.shortcut(latent), self.config.factors) if self.config.shortcut else x

    def _larger(self, x: Tensor, spread: nn.Module, *, images: bool) -> Tensor:
        if self.config.temporal_upsample:
            return _shuffled(spread(x), self.config.factors)
        if images:
            return nn.functional.pixel_shuffle(spread(x), 2)
        return _as_film(nn.functional.pixel_shuffle(spread(_as_images(x)), 2), len(x))


class _Block(nn.Module):
    """Two convolutions round which the input is added, as published."""

    def __init__(self, width: int, conv: Any) -> None:
        super().__init__()
        self.conv1, self.norm1 = conv(width, width, 3, padding=1), nn.GroupNorm(GROUPS, width)
        self.conv2, self.norm2 = conv(width, width, 3, padding=1), nn.GroupNorm(GROUPS, width)

    def forward(self, x: Tensor) -> Tensor:
        y = nn.functional.silu(self.norm1(self.conv1(x)))
        return nn.functional.silu(self.norm2(self.conv2(y)) + x)


def upsample(model: LatentUpsampler, statistics: Statistics, latent: Latent) -> Latent:
    """A larger latent, both normalised by the autoencoder's statistics; each sample by itself.

    Raises:
        CoreError: the latent has other channels than the model takes.
    """
    if latent.shape[1] != model.config.in_channels:
        raise CoreError(
            f"the latent has {latent.shape[1]} channels, and the upsampler takes {model.config.in_channels}",
            "use an upsampler of the same autoencoder",
        )
    if model.config.shortcut:
        return torch.cat([model(each[None]) for each in latent])
    return statistics.normalize(torch.cat([model(each[None]) for each in statistics.denormalize(latent)]))


def interpolated(latent: Latent, factors: tuple[int, int, int], mode: str) -> Latent:
    """What needs no network: ``nearest`` or ``trilinear`` interpolation of the latent, of the same size.

    In time, the first frame keeps its place, as causal latents have it.
    """
    time, height, width = latent.shape[2] * factors[0] - (factors[0] - 1), *latent.shape[3:]
    size = (height * factors[1], width * factors[2])
    if mode == "nearest":
        x = latent.repeat_interleave(factors[0], 2)[:, :, factors[0] - 1 :]
        return x.repeat_interleave(factors[1], 3).repeat_interleave(factors[2], 4)
    x = nn.functional.interpolate(latent, (time, height, width), mode="trilinear", align_corners=True)
    return nn.functional.interpolate(x, (time, *size), mode="trilinear", align_corners=False)


def smaller(
    size: tuple[int, int, int], factors: tuple[int, int, int], cell: tuple[int, int, int]
) -> tuple[int, int, int]:
    """Pixels (frames, height, width) of the film whose latent is upsampled to that of a film of this size.

    Args:
        size: (frames, height, width) of the whole film.
        cell: pixels on each side of what may be cut: in time a latent frame, in space a token.

    Raises:
        CoreError: it has no half; names the nearest sizes that have one.
    """
    sizes = []
    for name, pixels, factor, unit in zip(("frames", "height", "width"), size, factors, cell, strict=True):
        first = 1 if name == "frames" else 0  # a causal latent's first frame stands for itself
        step = unit * factor
        if factor > 1 and ((pixels - first) % step or pixels <= first):
            below = first + max(1, (pixels - first) // step) * step
            raise CoreError(
                f"{name} of {pixels} cannot be halved for the first of two stages",
                f"use {below} or {below + step}, or one stage",
            )
        sizes.append(first + (pixels - first) // factor)
    return sizes[0], sizes[1], sizes[2]


def _parts(config: LatentUpsamplerConfig) -> int:
    time, height, width = config.factors
    return time * height * width


def _as_images(film: Tensor) -> Tensor:
    return film.transpose(1, 2).flatten(0, 1)


def _as_film(images: Tensor, batch: int) -> Tensor:
    return images.unflatten(0, (batch, -1)).transpose(1, 2)


def _shuffled(x: Tensor, factors: tuple[int, int, int]) -> Tensor:
    """``[B, C·t·h·w, F, H, W]`` to ``[B, C, F·t, H·h, W·w]``, without the first t − 1 frames."""
    time, height, width = factors
    parts = x.unflatten(1, (-1, time, height, width)).permute(0, 1, 5, 2, 6, 3, 7, 4)
    return parts.flatten(6, 7).flatten(4, 5).flatten(2, 3)[:, :, time - 1 :]
