"""Stage train_audio_vae: train the waveform autoencoder, or copy a given one."""

from __future__ import annotations

from aiprod.trainer.vae.audio import AudioVaeStageParams, train_audio_vae
from pipeline.running import run
from pipeline.training import train_stage

HEADLINE = {"snr": "snr_db"}


def main() -> None:
    """Train, or continue, or copy."""
    train_stage("train_audio_vae", AudioVaeStageParams, train_audio_vae, captions=False, headline=HEADLINE)


if __name__ == "__main__":
    run(main)
