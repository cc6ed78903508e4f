"""How much each latent channel does to the picture, for gains that let noise hide detail before layout and colour.

A VAE's latents are normalised to variance 1 in every channel, but a few channels carry most of the picture and the
rest its detail. Noise of one level then hides all of them at once, and a loss over all spends itself on detail that
cannot be foreseen. Pictures themselves have no such flat spectrum (Dieleman, "Diffusion is spectral autoregression",
2024).
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from aiprod.base.files import read_json
from aiprod.core.components.patchifier import AudioLatentPatchifier, VideoLatentPatchifier
from aiprod.core.transformer.model import AVTransformer
from aiprod.data.latents.dataset import LatentDataset
from aiprod.errors import AiprodError
from aiprod.models.adapters.autoencoders import load_video_vae
from aiprod.models.artifacts import TRAINING

_GAIN_CLIPS = 8
_TOKEN_CLIPS = 64
_FLOOR = 1e-3  # of the largest share, so that no channel vanishes


@torch.no_grad()
def channel_energies(vae: Any, latents: Tensor) -> Tensor:
    """Mean squared change of the picture when a channel is exchanged between clips and moved in space, ``[channels]``.

    Args:
        latents: normalised, ``[B, C, F, H, W]`` with at least two clips.
    """
    plain = vae.decode(vae.denormalize(latents))
    energies = []
    for channel in range(latents.shape[1]):
        changed = latents.clone()
        changed[:, channel] = latents[:, channel].roll(1, 0).roll(1, -1)
        energies.append((vae.decode(vae.denormalize(changed)) - plain).square().mean() / 2)
    return torch.stack(energies)


def gains_from(energies: Tensor, power: float) -> list[float]:
    """Factors ∝ energy^(power / 2), of mean square 1, rounded so that they stand in a record as they are used."""
    raised = (energies / energies.max()).clamp_min(_FLOOR).pow(power / 2)
    return [round(float(gain), 6) for gain in raised / raised.square().mean().sqrt()]


def video_gains(dataset: LatentDataset, models: Path, power: float) -> list[float]:
    """Gains of the video latent's channels, measured on a few small training clips; none where ``power`` is 0.

    Raises:
        AiprodError: there are no two clips of one size.
    """
    if not power:
        return []
    phase = _by_size(dataset)[0]
    sizes = dataset.buckets(phase)
    common = Counter((b.height, b.width, b.frames) for b in sizes.values()).most_common(1)[0][0]
    ids = [clip for clip, b in sorted(sizes.items()) if (b.height, b.width, b.frames) == common][:_GAIN_CLIPS]
    latents = [latent for latent in (dataset.load(phase, clip).video for clip in ids) if latent is not None]
    if len(latents) < 2:
        raise AiprodError("picture_gains needs two clips of one size with picture", "set picture_gains to 0")
    vae = load_video_vae(models / "video_vae")
    return gains_from(channel_energies(vae, torch.stack(latents).float()), power)


def recorded_gains(transformer: Path) -> list[float]:
    """The gains that a given transformer was trained with, from the record beside its folder; none without one."""
    record = transformer.parent / Path(TRAINING).name
    gains = read_json(record).get("video_gains", []) if record.is_file() else []
    return [float(gain) for gain in gains]


def measure_tokens(
    model: AVTransformer, patchifiers: tuple[VideoLatentPatchifier, AudioLatentPatchifier], dataset: LatentDataset
) -> None:
    """Give a new model the variances of clean tokens, from its largest training clips; without effect where its
    configuration has no ``input_skip``."""
    if not model.config.input_skip:
        return
    phase = _by_size(dataset)[-1]
    items = [dataset.load(phase, row.clip_id) for row in dataset.usable(phase, "train")[:_TOKEN_CLIPS]]
    video = [patchifiers[0].patchify(i.video[None].float(), fps=i.fps)[0][0] for i in items if i.video is not None]
    audio = [patchifiers[1].patchify(i.audio[None].float())[0][0] for i in items if i.audio is not None]
    for ends, tokens in ((model.video_ends, video), (model.audio_ends, audio)):
        if tokens:
            ends.measure(torch.cat(tokens))


def _by_size(dataset: LatentDataset) -> list[str]:
    """Phases that have clips to train on, those of small pictures first."""
    sizes = {
        phase: max((r.height or 0) * (r.width or 0) * (r.frames or 0) for r in rows)
        for phase in {phase for phase, _ in dataset.rows}
        if (rows := dataset.usable(phase, "train"))
    }
    if not sizes:
        raise AiprodError("there is no clip to train on", "add clips, or admit more verdicts in train_clips")
    return sorted(sizes, key=lambda phase: (sizes[phase], phase))
