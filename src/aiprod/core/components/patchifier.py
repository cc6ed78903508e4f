"""Turns latents into tokens and back; one pass gives the tokens and where each is in time and space.

Video and audio share one time axis in **seconds**, so that sound lines up with picture at any frame rate. A token's
position is the middle of what it stands for.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from aiprod.core.types import (
    AudioCompression,
    AudioLatentShape,
    VideoCompression,
    VideoLatentShape,
    VideoPixelShape,
)
from aiprod.errors import CoreError


class VideoLatentPatchifier:
    """Tokens of ``patch`` = (frames, height, width) latent cells each.

    Args:
        compression: of the VAE that made the latent; fixes what a cell means in seconds and pixels.
        patch: cells per token along each axis.
        gains: factor of each latent channel in tokens, undone by :meth:`unpatchify`; empty: none. With factors that
            follow what a channel does to the picture, noise hides fine detail before layout and colour.

    The first latent frame stands for one video frame, every later one for ``compression.time`` (causal encoder).

    Raises:
        CoreError: the patch is not three whole numbers above 0.
    """

    def __init__(
        self, compression: VideoCompression, patch: tuple[int, int, int] = (1, 1, 1), gains: Sequence[float] = ()
    ) -> None:
        if len(patch) != 3 or min(patch) < 1:
            raise CoreError(f"patch is {patch}", "give three whole numbers above 0")
        if gains and (len(gains) != compression.channels or min(gains) <= 0):
            raise CoreError(f"gains are {list(gains)}", f"give {compression.channels} numbers above 0, or none")
        self.gains = tuple(gains)
        self.compression = compression
        self.patch = tuple(patch)

    @property
    def token_channels(self) -> int:
        """Values in a token."""
        pt, ph, pw = self.patch
        return self.compression.channels * pt * ph * pw

    def grid(self, shape: VideoLatentShape) -> tuple[int, int, int]:
        """Tokens along (time, height, width).

        Raises:
            CoreError: the latent does not divide into patches; names the nearest valid sizes.
        """
        grid = []
        sizes = (shape.frames, shape.height, shape.width)
        for name, size, patch in zip(("frames", "height", "width"), sizes, self.patch, strict=True):
            if size % patch:
                near = [n for n in (size - size % patch, size - size % patch + patch) if n > 0]
                raise CoreError(
                    f"latent {name} is {size}, which is not a multiple of the patch {patch}",
                    f"use {' or '.join(map(str, near))}",
                )
            grid.append(size // patch)
        return grid[0], grid[1], grid[2]

    def tokens(self, shape: VideoLatentShape) -> int:
        """Number of tokens in a sample."""
        t, h, w = self.grid(shape)
        return t * h * w

    def patchify(
        self,
        latent: Float[Tensor, "batch channels frames height width"],
        fps: float | Sequence[float] | Float[Tensor, batch],
        start_s: float = 0.0,
    ) -> tuple[Float[Tensor, "batch tokens token_channels"], Float[Tensor, "batch tokens 3"]]:
        """Tokens (time-major, then rows) and their positions (seconds, y pixels, x pixels).

        Raises:
            CoreError: other channels than the compression has, no whole patches, or no valid ``fps``.
        """
        shape = VideoLatentShape.of(latent)
        if shape.channels != self.compression.channels:
            raise CoreError(f"the latent has {shape.channels} channels", f"give {self.compression.channels}")
        t, h, w = self.grid(shape)
        pt, ph, pw = self.patch
        if self.gains:
            latent = latent * latent.new_tensor(self.gains)[:, None, None, None]
        cells = latent.reshape(shape.batch, shape.channels, t, pt, h, ph, w, pw)
        tokens = cells.permute(0, 2, 4, 6, 1, 3, 5, 7).reshape(shape.batch, t * h * w, self.token_channels)
        return tokens, self.positions(shape, fps, start_s).to(latent.device)

    def unpatchify(
        self, tokens: Float[Tensor, "batch tokens token_channels"], shape: VideoLatentShape
    ) -> Float[Tensor, "batch channels frames height width"]:
        """The latent that :meth:`patchify` took apart.

        Raises:
            CoreError: the tokens are not those of a latent of this shape.
        """
        t, h, w = self.grid(shape)
        pt, ph, pw = self.patch
        _check_tokens(tokens, t * h * w, self.token_channels)
        cells = tokens.reshape(-1, t, h, w, self.compression.channels, pt, ph, pw)
        cells = cells.permute(0, 4, 1, 5, 2, 6, 3, 7)
        latent = cells.reshape(-1, self.compression.channels, shape.frames, shape.height, shape.width)
        return latent / latent.new_tensor(self.gains)[:, None, None, None] if self.gains else latent

    def positions(
        self, shape: VideoLatentShape, fps: float | Sequence[float] | Float[Tensor, batch], start_s: float = 0.0
    ) -> Float[Tensor, "batch tokens 3"]:
        """Positions alone: the middle of each token's frames in seconds, of its rows and columns in pixels.

        Raises:
            CoreError: ``fps`` is neither one positive number nor one per sample.
        """
        t, h, w = self.grid(shape)
        pt, ph, pw = self.patch
        per_sample = _rates(fps, shape.batch)
        first = torch.arange(t, dtype=torch.float64) * pt
        # video frames that latent frames [i, i + pt) stand for: [(i − 1)·s + 1, (i + pt − 1)·s + 1), and frame 0 alone
        begin = ((first - 1) * self.compression.time + 1).clamp(min=0)
        end = (first + pt - 1) * self.compression.time + 1
        seconds = start_s + ((begin + end) / 2)[None, :] / per_sample[:, None]
        y = (torch.arange(h, dtype=torch.float64) + 0.5) * (ph * self.compression.height)
        x = (torch.arange(w, dtype=torch.float64) + 0.5) * (pw * self.compression.width)
        out = torch.empty(shape.batch, t, h, w, 3, dtype=torch.float64)
        out[..., 0] = seconds[:, :, None, None]
        out[..., 1] = y[None, None, :, None]
        out[..., 2] = x[None, None, None, :]
        return out.reshape(shape.batch, t * h * w, 3).float()

    def ends_s(self, shape: VideoLatentShape, fps: float) -> list[float]:
        """When what each token frame stands for is over, in seconds."""
        frames = self.grid(shape)[0]
        return [((i + 1) * self.patch[0] - 1) * self.compression.time / fps + 1 / fps for i in range(frames)]

    def free(self, kept: Bool[Tensor, "frames height width"]) -> Float[Tensor, "1 tokens"]:
        """The denoise mask of pixels of which some are given: 0 for a token all of whose pixels are, 1 for all others.

        Raises:
            CoreError: the pixels do not divide into tokens.
        """
        c, (pt, ph, pw) = self.compression, self.patch
        frames, height, width = kept.shape
        t, h, w = self.grid(VideoPixelShape(1, frames, height, width, 1.0).to_latent(c))
        wide = torch.cat([kept[:1].expand(c.time - 1, -1, -1), kept])  # the first latent frame stands for one alone
        blocks = wide.reshape(t, pt * c.time, h, ph * c.height, w, pw * c.width)
        return 1 - blocks.permute(0, 2, 4, 1, 3, 5).reshape(1, t * h * w, -1).all(dim=-1).float()


class AudioLatentPatchifier:
    """One token an audio latent frame.

    Args:
        compression: of the VAE that made the latent; fixes how many seconds a frame lasts.
    """

    def __init__(self, compression: AudioCompression) -> None:
        self.compression = compression

    @property
    def token_channels(self) -> int:
        """Values in a token."""
        return self.compression.channels

    def tokens(self, shape: AudioLatentShape) -> int:
        """Number of tokens in a sample."""
        return shape.frames

    def patchify(
        self, latent: Float[Tensor, "batch channels frames"], start_s: float = 0.0
    ) -> tuple[Float[Tensor, "batch tokens channels"], Float[Tensor, "batch tokens 1"]]:
        """Tokens and their positions in seconds.

        Raises:
            CoreError: other channels than the compression has.
        """
        shape = AudioLatentShape.of(latent)
        if shape.channels != self.compression.channels:
            raise CoreError(f"the latent has {shape.channels} channels", f"give {self.compression.channels}")
        return latent.transpose(1, 2).contiguous(), self.positions(shape, start_s).to(latent.device)

    def unpatchify(
        self, tokens: Float[Tensor, "batch tokens channels"], shape: AudioLatentShape
    ) -> Float[Tensor, "batch channels frames"]:
        """The latent that :meth:`patchify` took apart.

        Raises:
            CoreError: the tokens are not those of a latent of this shape.
        """
        _check_tokens(tokens, shape.frames, self.token_channels)
        return tokens.transpose(1, 2).contiguous()

    def positions(self, shape: AudioLatentShape, start_s: float = 0.0) -> Float[Tensor, "batch tokens 1"]:
        """Positions alone: the middle of each latent frame in seconds."""
        seconds = start_s + (torch.arange(shape.frames, dtype=torch.float64) + 0.5) / self.compression.latents_per_s
        return seconds.float()[None, :, None].expand(shape.batch, -1, -1).contiguous()

    def ends_s(self, shape: AudioLatentShape) -> list[float]:
        """When what each token stands for is over, in seconds."""
        return [(i + 1) / self.compression.latents_per_s for i in range(shape.frames)]

    def free(self, kept: Bool[Tensor, samples]) -> Float[Tensor, "1 tokens"]:
        """The denoise mask of samples of which some are given: 0 for a token all of whose samples are, 1 for others.

        What is missing of the last token counts as given.
        """
        hop = self.compression.hop
        whole = torch.nn.functional.pad(kept, (0, -len(kept) % hop), value=True)
        return 1 - whole.reshape(1, -1, hop).all(dim=-1).float()


def _rates(fps: float | Sequence[float] | Tensor, batch: int) -> Tensor:
    rates = torch.as_tensor(fps, dtype=torch.float64).detach().cpu().reshape(-1)
    if rates.numel() not in (1, batch) or not bool((rates > 0).all()):
        raise CoreError(f"fps is {rates.tolist()}", f"give one positive number, or {batch}, one per sample")
    return rates.expand(batch)


def _check_tokens(tokens: Tensor, count: int, channels: int) -> None:
    if tokens.ndim != 3 or tuple(tokens.shape[1:]) != (count, channels):
        raise CoreError(f"tokens have size {tuple(tokens.shape)}", f"this latent needs [batch, {count}, {channels}]")
