"""Gives the linear path of an autoencoder its start: the principal components of the training data.

A network beside it then has only the rest to learn, which matters when there are minutes to train in and not weeks.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from aiprod.core.vae.audio import AudioVAE
from aiprod.core.vae.causal import fold
from aiprod.core.vae.video import VideoVAE

_MOST = 20_000
_EXACT = 4_096  # values of a patch up to which a covariance is solved whole; at 24 576 it would take hours
_START_LOGVAR = -6.0


@torch.no_grad()
def start_video(vae: VideoVAE, videos: Iterable[Tensor], seed: int) -> None:
    """Set the shortcut of a new video autoencoder from videos ``[1, 3, F, H, W]`` in [−1, 1]; nothing without one.

    They are gone through twice.
    """
    encoder, decoder = vae.encoder.shortcut, vae.decoder.shortcut
    if encoder is None or decoder is None:
        return
    patches = _patches(vae, videos, seed)
    mean = patches.mean(0)
    large = patches.shape[1] > _EXACT
    basis, scale = _principal(patches - mean, vae.config.latent_channels, seed if large else None)
    _set_linear(encoder, (basis / scale).T, -(basis / scale).T @ mean)
    _set_linear(decoder, basis * scale, mean)
    _quiet(vae.encoder.leave, vae.config.latent_channels)
    nn.init.zeros_(vae.decoder.leave[-1].weight)  # type: ignore[arg-type]
    nn.init.zeros_(vae.decoder.leave[-1].bias)  # type: ignore[arg-type]


@torch.no_grad()
def start_audio(vae: AudioVAE, sounds: Sequence[Tensor], seed: int) -> None:
    """Set the lapped transform of a new audio autoencoder from waveforms ``[1, C, T]``; nothing without one.

    The loudest frames count, because a mean over mostly silent frames would describe silence.
    """
    if vae.lapped is None:
        return
    frames = torch.cat([vae.lapped.frames(sound).flatten(0, 1) for sound in sounds])
    loudest = frames.square().sum(1).argsort(descending=True, stable=True)[: _MOST // 5]
    basis, scale = _principal(frames[loudest], vae.config.latent_channels, seed)
    _set_linear(vae.lapped.analyse, (basis / scale).T, torch.zeros(basis.shape[1]))
    _set_linear(vae.lapped.synthesise, basis * scale, torch.zeros(basis.shape[0]))
    last = vae.encoder[-1]
    assert isinstance(last, nn.Conv1d)
    _quiet(last, vae.config.latent_channels)
    up = vae.decoder[-1].conv
    assert isinstance(up, nn.Conv1d) and up.bias is not None
    nn.init.zeros_(up.weight)
    nn.init.zeros_(up.bias)


def _patches(vae: VideoVAE, videos: Iterable[Tensor], seed: int) -> Tensor:
    """``[N, D]``: patches drawn by lot from all videos, in the order of the draw; one video is held at a time."""
    total = vae.encoder.total
    count = sum(math.prod(_folded(video.shape, total)) for video in videos)
    chosen = torch.randperm(count, generator=torch.Generator().manual_seed(seed))[:_MOST]
    patches = torch.empty(len(chosen), vae.encoder.shortcut.in_features)  # type: ignore[union-attr]
    first = 0
    for video in videos:
        folded = fold(video.movedim(1, -1), total).flatten(0, 3)
        here = ((chosen >= first) & (chosen < first + len(folded))).nonzero()[:, 0]
        patches[here] = folded[chosen[here] - first]
        first += len(folded)
    return patches


def _folded(shape: Sequence[int], total: tuple[int, int, int]) -> tuple[int, ...]:
    """Batch, times, rows and columns of the patches of a video ``[B, 3, F, H, W]``."""
    return shape[0], (shape[2] - 1) // total[0] + 1, shape[3] // total[1], shape[4] // total[2]


def _principal(rows: Tensor, count: int, seed: int | None = None) -> tuple[Tensor, Tensor]:
    """Orthonormal directions ``[D, count]`` of largest power and the standard deviation along each ``[count]``.

    Exact from the covariance, or, with a seed, by randomised subspace iteration (Halko et al. 2011) where D is large.
    Directions that the data lacks get a small deviation, so that their inverse stays finite.
    """
    if seed is None:
        power, directions = torch.linalg.eigh((rows.T @ rows / len(rows)).double())
        basis, scale = directions.flip(1)[:, :count].float(), power.flip(0)[:count].clamp_min(0).sqrt().float()
    else:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            _, _, directions = torch.svd_lowrank(rows, q=min(count + 16, *rows.shape), niter=3)
        basis = directions[:, :count]
        if basis.shape[1] < count:  # fewer frames than channels
            basis = torch.cat([basis, basis.new_zeros(basis.shape[0], count - basis.shape[1])], dim=1)
        scale = (rows @ basis).square().mean(0).sqrt()
    return basis, scale.clamp_min(1e-3 * float(scale.max().clamp_min(1e-3)))


def _set_linear(layer: nn.Linear, weight: Tensor, bias: Tensor) -> None:
    layer.weight.copy_(weight)
    layer.bias.copy_(bias)


def _quiet(layer: nn.Linear | nn.Conv1d, channels: int) -> None:
    """Let the network add nothing at first; what it gives beyond the mean is the log variance, which starts small."""
    assert layer.bias is not None
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    layer.bias[channels:] = _START_LOGVAR
