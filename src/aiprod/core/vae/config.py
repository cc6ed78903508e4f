"""Configurations of the two autoencoders; every compression factor in the package comes from here."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from aiprod.core.types import AudioCompression, VideoCompression

PositiveInt = Annotated[int, Field(strict=True, ge=1, le=1_000_000)]
Depth = Annotated[int, Field(strict=True, ge=0, le=1000)]
Bottleneck = Literal["kl", "fsq", "vq"]


class _Config(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class VideoVAEConfig(_Config):
    """A causal video autoencoder: patches, then levels of residual blocks with space-to-depth between them.

    Compression is the product of ``patch`` and ``strides``, as (time, height, width). ``widths[0]`` is the level next
    to the patches and ``widths[-1]`` the level next to the latent; a single level is the cheapest form.
    """

    patch: tuple[PositiveInt, PositiveInt, PositiveInt] = (4, 8, 8)
    strides: tuple[tuple[PositiveInt, PositiveInt, PositiveInt], ...] = ()
    widths: tuple[PositiveInt, ...] = (128,)
    encoder_depths: tuple[Depth, ...] = (2,)
    decoder_depths: tuple[Depth, ...] = (4,)
    latent_channels: PositiveInt = 16
    time_kernel: Annotated[int, Field(strict=True, ge=1, le=7)] = 3
    shortcut: bool = Field(
        default=True, description="a linear path from patch to latent and back, parallel to the network"
    )
    bottleneck: Bottleneck = "kl"
    fsq_levels: tuple[Annotated[int, Field(strict=True, ge=2, le=1_000_000)], ...] = ()
    codebook_size: PositiveInt = 1024

    @model_validator(mode="after")
    def _consistent(self) -> VideoVAEConfig:
        levels = len(self.widths)
        if not len(self.strides) + 1 == levels == len(self.encoder_depths) == len(self.decoder_depths):
            raise ValueError(
                f"{levels} widths need as many encoder_depths and decoder_depths, {levels - 1} strides → give as many"
            )
        if self.bottleneck == "fsq" and len(self.fsq_levels) != self.latent_channels:
            raise ValueError("fsq_levels needs one entry for each latent channel → give as many")
        return self

    @property
    def compression(self) -> VideoCompression:
        """Pixels per latent along each axis."""
        time, height, width = (math.prod(axis) for axis in zip(self.patch, *self.strides, strict=True))
        return VideoCompression(time, height, width, self.latent_channels)

    @classmethod
    def demo(cls) -> VideoVAEConfig:
        """Compression (4, 8, 8) × 16 channels, small enough to train in a minute or two on two CPU cores."""
        return cls()

    @classmethod
    def large(cls) -> VideoVAEConfig:
        """Compression (8, 32, 32) × 128 channels for GPUs, about 300 M parameters."""
        return cls(
            patch=(1, 4, 4),
            strides=((2, 2, 2), (2, 2, 2), (2, 2, 2)),
            widths=(128, 256, 512, 1024),
            encoder_depths=(4, 6, 6, 4),
            decoder_depths=(5, 6, 6, 6),
            latent_channels=128,
        )


class AudioVAEConfig(_Config):
    """A waveform autoencoder: blocks of samples, then levels of Snake residual units with strides between them.

    The hop is ``block · prod(strides)`` samples. ``widths[0]`` is the level next to the waveform.
    """

    sample_rate: PositiveInt = 48_000
    channels: PositiveInt = 2
    block: PositiveInt = 96
    strides: tuple[PositiveInt, ...] = (4, 5)
    widths: tuple[PositiveInt, ...] = (64, 128, 192)
    depths: tuple[Depth, ...] = (1, 2, 1)
    kernel: Annotated[int, Field(strict=True, ge=1, le=15)] = 7
    dilations: tuple[PositiveInt, ...] = (1, 3, 9)
    latent_channels: PositiveInt = 32
    shortcut: bool = Field(default=True, description="a learned lapped transform of two hops, parallel to the network")
    bottleneck: Bottleneck = "kl"
    fsq_levels: tuple[Annotated[int, Field(strict=True, ge=2, le=1_000_000)], ...] = ()
    codebook_size: PositiveInt = 1024

    @model_validator(mode="after")
    def _consistent(self) -> AudioVAEConfig:
        if not len(self.strides) + 1 == len(self.widths) == len(self.depths):
            raise ValueError(
                f"{len(self.widths)} widths need as many depths and {len(self.widths) - 1} strides → give as many"
            )
        if self.kernel % 2 == 0:
            raise ValueError(f"kernel is {self.kernel} → give {self.kernel + 1}")
        if self.shortcut and self.hop % 2:
            raise ValueError("the shortcut needs an even hop → make block or a stride even")
        if self.bottleneck == "fsq" and len(self.fsq_levels) != self.latent_channels:
            raise ValueError("fsq_levels needs one entry for each latent channel → give as many")
        return self

    @property
    def hop(self) -> int:
        """Samples per latent frame."""
        return self.block * math.prod(self.strides)

    @property
    def compression(self) -> AudioCompression:
        """Samples per latent frame, channels and rate."""
        return AudioCompression(self.hop, self.latent_channels, self.sample_rate)

    @classmethod
    def demo(cls) -> AudioVAEConfig:
        """25 latents per second of 32 channels, small enough to train in about a minute on two CPU cores."""
        return cls()

    @classmethod
    def large(cls) -> AudioVAEConfig:
        """25 latents per second of 64 channels for GPUs."""
        return cls(
            block=8,
            strides=(4, 4, 3, 5),
            widths=(128, 256, 512, 1024, 1536),
            depths=(3, 3, 3, 3, 3),
            latent_channels=64,
        )
