"""Stage train_text_encoder: train a small Gemma on the captions, or copy a given one."""

from __future__ import annotations

from aiprod.base.stage import run
from aiprod.trainer.text_encoder import TrainTextEncoderParams, train_text_encoder
from pipeline.training import train_stage


def main() -> None:
    """Train, or continue, or copy."""
    train_stage("train_text_encoder", TrainTextEncoderParams, train_text_encoder, captions=True)


if __name__ == "__main__":
    run(main)
