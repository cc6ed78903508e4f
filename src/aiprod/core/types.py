"""What the core computes on: sizes of video and audio in samples and in latents, and the state of a generation."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any, Self

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from aiprod.errors import CoreError


class ModalityType(StrEnum):
    """The three kinds of content that the model relates."""

    VIDEO = "video"
    AUDIO = "audio"
    TEXT = "text"


class _Positive:
    """Refuses a dataclass whose number fields are not all positive."""

    def __post_init__(self) -> None:
        for field in fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            whole = "int" in str(field.type)
            if isinstance(value, bool) or not isinstance(value, int if whole else int | float) or not value > 0:
                kind = "a whole number above 0" if whole else "a number above 0"
                raise CoreError(f"{type(self).__name__}.{field.name} is {value!r}", f"give {kind}")


@dataclass(frozen=True)
class VideoCompression(_Positive):
    """How many pixels one video latent stands for; comes from the configuration of a VAE.

    ``time`` counts frames per latent frame (the first latent frame stands for one frame alone, because the encoder is
    causal), ``height`` and ``width`` count pixels, ``channels`` are those of the latent.
    """

    time: int
    height: int
    width: int
    channels: int


@dataclass(frozen=True)
class AudioCompression(_Positive):
    """``hop`` audio samples make one latent frame of ``channels`` values, at ``sample_rate`` samples per second."""

    hop: int
    channels: int
    sample_rate: int

    @property
    def latents_per_s(self) -> float:
        """Latent frames per second."""
        return self.sample_rate / self.hop


@dataclass(frozen=True)
class VideoPixelShape(_Positive):
    """Size of decoded video ``[batch, channels, frames, height, width]`` at ``fps`` frames per second."""

    batch: int
    frames: int
    height: int
    width: int
    fps: float
    channels: int = 3

    def to_latent(self, compression: VideoCompression) -> VideoLatentShape:
        """Size of the latent: ``F' = (F − 1) / time + 1``, ``H' = H / height``, ``W' = W / width``.

        Raises:
            CoreError: a size does not divide; names the nearest valid sizes.
        """
        frames = 1 + _divide(self.frames - 1, compression.time, "frames", extra=1)
        height = _divide(self.height, compression.height, "height")
        width = _divide(self.width, compression.width, "width")
        return VideoLatentShape(self.batch, compression.channels, frames, height, width)

    @property
    def duration_s(self) -> float:
        """Duration in seconds."""
        return self.frames / self.fps


@dataclass(frozen=True)
class VideoLatentShape(_Positive):
    """Size of a video latent ``[batch, channels, frames, height, width]``."""

    batch: int
    channels: int
    frames: int
    height: int
    width: int

    def to_pixels(self, compression: VideoCompression, fps: float, channels: int = 3) -> VideoPixelShape:
        """Size of the video that this latent decodes to, at ``fps`` frames per second.

        Raises:
            CoreError: the latent has other channels than the VAE makes.
        """
        _same_channels(self.channels, compression.channels)
        frames = (self.frames - 1) * compression.time + 1
        height, width = self.height * compression.height, self.width * compression.width
        return VideoPixelShape(self.batch, frames, height, width, fps, channels)

    @classmethod
    def of(cls, latent: Float[Tensor, "batch channels frames height width"]) -> Self:
        """The size of a tensor.

        Raises:
            CoreError: the tensor has another number of dimensions.
        """
        return cls(*_rank(latent, 5, "video latent"))

    @property
    def shape(self) -> tuple[int, int, int, int, int]:
        """As a tuple for torch."""
        return self.batch, self.channels, self.frames, self.height, self.width


@dataclass(frozen=True)
class AudioShape(_Positive):
    """Size of a waveform ``[batch, channels, samples]``."""

    batch: int
    samples: int
    sample_rate: int = 48_000
    channels: int = 2

    def to_latent(self, compression: AudioCompression) -> AudioLatentShape:
        """Size of the latent: one frame every ``hop`` samples.

        Raises:
            CoreError: ``samples`` does not divide (names the nearest valid ones), or another sample rate.
        """
        if self.sample_rate != compression.sample_rate:
            raise CoreError(
                f"audio has {self.sample_rate} samples per second, the VAE needs {compression.sample_rate}",
                "resample it",
            )
        return AudioLatentShape(self.batch, compression.channels, _divide(self.samples, compression.hop, "samples"))

    @property
    def duration_s(self) -> float:
        """Duration in seconds."""
        return self.samples / self.sample_rate


@dataclass(frozen=True)
class AudioLatentShape(_Positive):
    """Size of an audio latent ``[batch, channels, frames]``."""

    batch: int
    channels: int
    frames: int

    def to_audio(self, compression: AudioCompression, channels: int = 2) -> AudioShape:
        """Size of the waveform that this latent decodes to.

        Raises:
            CoreError: the latent has other channels than the VAE makes.
        """
        _same_channels(self.channels, compression.channels)
        return AudioShape(self.batch, self.frames * compression.hop, compression.sample_rate, channels)

    @classmethod
    def of(cls, latent: Float[Tensor, "batch channels frames"]) -> Self:
        """The size of a tensor.

        Raises:
            CoreError: the tensor has another number of dimensions.
        """
        return cls(*_rank(latent, 3, "audio latent"))

    @property
    def shape(self) -> tuple[int, int, int]:
        """As a tuple for torch."""
        return self.batch, self.channels, self.frames


@dataclass(frozen=True)
class LatentState:
    """One stream (video or audio) of a generation, as tokens.

    Attributes:
        latent: ``[B, N, C]`` current, partly noised tokens.
        denoise_mask: ``[B, N]`` in [0, 1]; 1 = denoise fully, 0 = keep ``clean_latent``.
        positions: ``[B, N, axes]`` of each token: (seconds, y pixels, x pixels) for video, (seconds,) for audio.
        clean_latent: ``[B, N, C]`` what kept tokens hold.
        attention_mask: ``[B, N]`` bool, False = absent or padding; None = all present.
        own: tokens of the stream itself, which stand before those of references; None = all.

    Raises:
        CoreError: the tensors do not fit together; says which.
    """

    latent: Float[Tensor, "batch tokens channels"]
    denoise_mask: Float[Tensor, "batch tokens"]
    positions: Float[Tensor, "batch tokens axes"]
    clean_latent: Float[Tensor, "batch tokens channels"]
    attention_mask: Bool[Tensor, "batch tokens"] | None = None
    own: int | None = None

    def __post_init__(self) -> None:
        batch, tokens, _ = _rank(self.latent, 3, "latent")
        wanted = {
            "denoise_mask": (self.denoise_mask.shape, (batch, tokens)),
            "positions": (self.positions.shape[:-1], (batch, tokens)),
            "clean_latent": (self.clean_latent.shape, tuple(self.latent.shape)),
        }
        if self.attention_mask is not None:
            wanted["attention_mask"] = (self.attention_mask.shape, (batch, tokens))
        for name, (got, want) in wanted.items():
            if tuple(got) != want:
                raise CoreError(
                    f"LatentState.{name} has size {tuple(got)}", f"latent {tuple(self.latent.shape)} needs {want}"
                )

    @classmethod
    def start(cls, latent: Tensor, positions: Tensor, attention_mask: Tensor | None = None) -> Self:
        """A state of clean tokens ``[B, N, C]``, all of them to be denoised."""
        mask = torch.ones(latent.shape[:2], dtype=torch.float32, device=latent.device)
        return cls(latent, mask, positions, latent, attention_mask, latent.shape[1])

    def timesteps(self, sigma: float | Float[Tensor, batch]) -> Float[Tensor, "batch tokens"]:
        """Noise level of each token: σ · mask, with one σ for all or one per sample."""
        if isinstance(sigma, Tensor) and sigma.ndim == 1:
            sigma = sigma[:, None]
        return self.denoise_mask * sigma

    def replace(self, **changes: Any) -> Self:
        """A copy with some tensors exchanged (sizes are checked again)."""
        return replace(self, **changes)


def _divide(size: int, factor: int, name: str, extra: int = 0) -> int:
    """``size / factor``, or an error that names the sizes next to it that divide (``extra`` is added in the text)."""
    if size % factor == 0:
        return size // factor
    below, above = size - size % factor, size - size % factor + factor
    valid = [str(n + extra) for n in (below, above) if n + extra > 0]
    rule = f"a multiple of {factor}" + (f" plus {extra}" if extra else "")
    raise CoreError(f"{name} is {size + extra}, which is not {rule}", f"use {' or '.join(valid)}")


def _same_channels(got: int, want: int) -> None:
    if got != want:
        raise CoreError(f"the latent has {got} channels", f"this VAE makes {want}")


def _rank(tensor: Tensor, rank: int, name: str) -> tuple[int, ...]:
    if tensor.ndim != rank:
        raise CoreError(f"{name} has {tensor.ndim} dimensions {tuple(tensor.shape)}", f"it needs {rank}")
    return tuple(tensor.shape)
