"""Stage train_video_vae: train the causal video autoencoder, or copy a given one."""

from __future__ import annotations

from aiprod.base.stage import run
from aiprod.trainer.vae_video import VideoVaeStageParams, train_video_vae
from pipeline.training import train_stage


def main() -> None:
    """Train, or continue, or copy."""
    train_stage("train_video_vae", VideoVaeStageParams, train_video_vae, captions=False)


if __name__ == "__main__":
    run(main)
