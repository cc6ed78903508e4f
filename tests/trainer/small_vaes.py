"""Both autoencoder trainers on random pictures and tones, small enough to train a step in milliseconds."""

from __future__ import annotations

import math
from pathlib import Path

import torch

from aiprod.core.vae.audio import AudioVAE
from aiprod.core.vae.config import AudioVAEConfig, VideoVAEConfig
from aiprod.core.vae.discriminator import PatchDiscriminator
from aiprod.core.vae.video import VideoVAE
from aiprod.trainer.loop.accelerator import Engine, SingleEngine
from aiprod.trainer.loop.checkpoints import CheckpointStore
from aiprod.trainer.loop.loop import TrainingRun
from aiprod.trainer.training_set import TrainingClip
from aiprod.trainer.vae.audio import AudioVAEStrategy
from aiprod.trainer.vae.data import AudioDataParams, DecodedClips, VideoDataParams
from aiprod.trainer.vae.losses import AudioLossParams, AudioVAELoss, VideoLossParams, VideoVAELoss
from aiprod.trainer.vae.run import vae_run
from aiprod.trainer.vae.strategy import VAEStrategy, VAETrainerConfig
from aiprod.trainer.vae.video import VideoVAEStrategy

KINDS = ("video_vae", "audio_vae", "video_vae_vq")
CPU = torch.device("cpu")


def make_vae_run(
    kind: str, folder: Path, engine: Engine | None = None, *, lr: float = 1e-3, **changes: float
) -> TrainingRun:
    """A run of ``kind`` that saves after every step; the video one has a discriminator that joins half-way.

    ``changes`` are to its configuration.
    """
    torch.set_num_threads(1)
    torch.manual_seed(3)
    store, engine = CheckpointStore(folder, {"kind": kind}), engine or SingleEngine(device=CPU)
    strategy = _audio(lr, changes) if kind == "audio_vae" else _video(kind, lr, changes)
    return vae_run(strategy, name=kind, store=store, engine=engine)


def _audio(lr: float, changes: dict[str, float]) -> VAEStrategy:
    audio = AudioVAEConfig(block=96, strides=(4, 5), widths=(8, 8, 8), depths=(1, 0, 0), latent_channels=4)
    time = torch.arange(9600) / 48_000
    sounds = [torch.sin(2 * math.pi * 200 * (n + 1) * time).repeat(2, 1).half() / 2 for n in range(3)]
    return AudioVAEStrategy(
        AudioVAE(audio),
        DecodedClips(_clips(3), sounds),
        AudioDataParams(window_s=0.1),
        objective=AudioVAELoss(AudioLossParams(stft_windows=(256,))),
        config=_config({"steps": 80, **changes}),
        lr=lr,
        seed=5,
    )


def _video(kind: str, lr: float, changes: dict[str, float]) -> VAEStrategy:
    video = VideoVAEConfig(
        widths=(16,),
        encoder_depths=(1,),
        decoder_depths=(1,),
        latent_channels=4,
        bottleneck="vq" if kind.endswith("vq") else "kl",
        codebook_size=16,
    )
    pictures = [torch.randint(0, 255, (9, 16, 24, 3), dtype=torch.uint8) for _ in range(3)]
    return VideoVAEStrategy(
        VideoVAE(video),
        DecodedClips(_clips(3), pictures),
        VideoDataParams(height=16, width=24, smaller=[(8, 16)], frames=5),
        objective=VideoVAELoss(VideoLossParams(gamma=0)),
        config=_config({"steps": 60, "adversarial": 0.1, "adversarial_from": 0.5, **changes}),
        lr=lr,
        seed=5,
        discriminator=PatchDiscriminator(width=8),
    )


def _config(settings: dict[str, float]) -> VAETrainerConfig:
    return VAETrainerConfig.model_validate({"batch": 2, "checkpoint_every_s": 0.0, **settings})


def _clips(count: int) -> list[TrainingClip]:
    return [
        TrainingClip(f"c{n}", f"f{n}", "s", "train", Path("none"), "", True, 12.0, 9, 16, 24, "", None)
        for n in range(count)
    ]
