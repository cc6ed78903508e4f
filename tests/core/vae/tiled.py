"""Whole videos through the streams, tile by tile."""

from __future__ import annotations

import torch
from torch import Tensor

from aiprod.core.vae.posterior import Posterior
from aiprod.core.vae.tiling import Tile, _join, decode_stream, encode_stream
from aiprod.core.vae.video import VideoVAE


def encode_tiled(vae: VideoVAE, x: Tensor, tile: Tile, frames: int | None = None) -> Posterior:
    """The latents of a whole video ``[B, 3, F, H, W]``, computed tile by tile and ``frames`` at a time."""
    parts = list(encode_stream(vae, x.split(frames or x.shape[2], dim=2), tile))
    return _join(parts, -3)


def decode_tiled(vae: VideoVAE, z: Tensor, tile: Tile, frames: int | None = None) -> Tensor:
    """The pixels of a latent ``[B, C, F', H', W']``, tile by tile and ``frames`` latent frames at a time."""
    return torch.cat(list(decode_stream(vae, z.split(frames or z.shape[2], dim=2), tile)), dim=2)
