"""The training of a text encoder small enough to train a step in milliseconds."""

from __future__ import annotations

from pathlib import Path

import torch

from aiprod.trainer.loop.accelerator import Engine, SingleEngine
from aiprod.trainer.loop.checkpoints import CheckpointStore
from aiprod.trainer.loop.loop import TrainingRun
from aiprod.trainer.text_encoder.train import (
    CaptionStrategy,
    GemmaSize,
    TextTrainer,
    caption_run,
    make_gemma,
    make_tokenizer,
)
from aiprod.trainer.training_set import TrainingClip

CAPTIONS = ("A red disc falls.", "A blue star rises over a wide and striped wall.", "Rain.")


def make_text_run(folder: Path, engine: Engine | None = None, *, steps: int = 40, every_s: float = 0.0) -> TrainingRun:
    """A run that saves after every step, on captions of unequal length."""
    torch.set_num_threads(1)
    torch.manual_seed(3)
    size = GemmaSize(width=16, layers=1, heads=2, vocabulary=300, max_tokens=48)
    clips = [
        TrainingClip(f"c{n}", f"f{n}", "s", "train", Path("none"), "", True, 12.0, 9, 16, 24, caption, None)
        for n, caption in enumerate(CAPTIONS)
    ]
    tokenizer = make_tokenizer(CAPTIONS, size)
    return caption_run(
        CaptionStrategy(tokenizer, clips, size.max_tokens),
        make_gemma(size, len(tokenizer)),
        TextTrainer(steps=steps, batch=4, checkpoint_every_s=every_s),
        lr=1e-3,
        seed=5,
        store=CheckpointStore(folder, {"kind": "text_encoder"}),
        engine=engine or SingleEngine(device=torch.device("cpu")),
    )
