"""Gives the linear path of an autoencoder its start: the principal components of the training data.

A network beside it then has only the rest to learn, which matters when there are minutes to train in and not weeks.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from aiprod.core.vae.audio import AudioVAE, LappedTransform
from aiprod.core.vae.causal import fold
from aiprod.core.vae.video import VideoVAE

_MOST = 20_000
_EXACT = 4_096  # values of a patch up to which a covariance is solved whole; at 24 576 it would take hours
_START_LOGVAR = -6.0
_SILENCE = 1e-4  # −80 dB of full scale: what is about silent is not raised


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

    Each sound counts alike, however loud it is, for what is measured is the error next to the sound; of frames the
    loudest count, which spares the others' cost. The components of single frames do not know that frames overlap, so
    the way back is then solved for the sum of both frames that reach a sample.
    """
    if vae.lapped is None:
        return
    levels = torch.cat([sound.square().mean().sqrt().expand(sound.shape[2] // vae.lapped.hop) for sound in sounds])
    frames = torch.cat([vae.lapped.frames(sound).flatten(0, 1) for sound in sounds])
    norms = torch.linalg.vector_norm(frames, dim=1)
    loudest, loudest_alike = (
        value.argsort(descending=True, stable=True)[: _MOST // 5] for value in (norms, norms / (levels + _SILENCE))
    )
    alike = frames[loudest_alike] / (levels[loudest_alike, None] + _SILENCE)
    basis, _ = _principal(alike, vae.config.latent_channels, seed)
    scale = (frames[loudest] @ basis).square().mean(0).sqrt()
    scale = scale.clamp_min(1e-3 * float(scale.max().clamp_min(1e-3)))
    _set_linear(vae.lapped.analyse, (basis / scale).T, torch.zeros(basis.shape[1]))
    way_back = _way_back(vae.lapped, sounds)
    _set_linear(vae.lapped.synthesise, basis * scale if way_back is None else way_back, torch.zeros(basis.shape[0]))
    last = vae.encoder[-1]
    assert isinstance(last, nn.Conv1d)
    _quiet(last, vae.config.latent_channels)
    up = vae.decoder[-1].conv
    assert isinstance(up, nn.Conv1d) and up.bias is not None
    nn.init.zeros_(up.weight)
    nn.init.zeros_(up.bias)


def _way_back(lapped: LappedTransform, sounds: Sequence[Tensor]) -> Tensor | None:
    """The weight of the way back that is nearest to the sounds in least squares; None where no sound has two frames.

    Between two centres of frames a sample is the later half of the frame before and the earlier half of the one after.
    """
    hop, half = lapped.hop, lapped.hop // 2
    latents = lapped.analyse.out_features
    gram = torch.zeros(2 * latents, 2 * latents, dtype=torch.float64)
    moment = torch.zeros(2 * latents, lapped.channels * hop, dtype=torch.float64)
    for sound in sounds:
        weight = 1 / (float(sound.square().mean()) + _SILENCE**2)
        z = lapped.encode(sound).flatten(0, 1)
        both = torch.cat([z[1:], z[:-1]], dim=1)
        between = sound[0, :, half : half + (len(z) - 1) * hop].unflatten(1, (-1, hop)).transpose(0, 1).flatten(1)
        gram += weight * (both.T @ both).double()
        moment += weight * (both.T @ between).double()
    if not float(gram.diagonal().sum()):
        return None
    gram.diagonal().add_(1e-3 * gram.diagonal().mean())
    halves = torch.linalg.solve(gram, moment).float().unflatten(1, (lapped.channels, hop)).unflatten(0, (2, latents))
    # the window is applied once more in decoding; where it is about nothing, what is divided by it stays bounded
    halves = halves / lapped.window.view(2, 1, 1, hop).clamp_min(0.05)
    return halves.permute(2, 0, 3, 1).flatten(0, 2)


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
