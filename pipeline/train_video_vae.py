"""Stage train_video_vae: train the causal video autoencoder, or copy a given one."""

from __future__ import annotations

from aiprod.trainer.vae.video import VideoVaeStageParams, train_video_vae
from pipeline.running import run
from pipeline.training import train_stage

HEADLINE = {"psnr": "psnr_db"}


def main() -> None:
    """Train, or continue, or copy."""
    train_stage("train_video_vae", VideoVaeStageParams, train_video_vae, captions=False, headline=HEADLINE)


if __name__ == "__main__":
    run(main)
