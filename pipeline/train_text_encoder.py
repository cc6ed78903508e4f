"""Stage train_text_encoder: train a small Gemma on the captions, or copy a given one."""

from __future__ import annotations

from aiprod.trainer.text_encoder.train import TrainTextEncoderParams, train_text_encoder
from pipeline.running import run
from pipeline.training import train_stage

HEADLINE = {"ppl": "perplexity"}


def main() -> None:
    """Train, or continue, or copy."""
    train_stage("train_text_encoder", TrainTextEncoderParams, train_text_encoder, captions=True, headline=HEADLINE)


if __name__ == "__main__":
    run(main)
