"""Stage train_lips: train the network that draws a mouth into a face on the drawn heads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aiprod.base.params import load_params
from aiprod.lips.rows import FaceRow
from aiprod.storage.crypto.film_encryption import Vault
from aiprod.storage.manifest.manifest import read_head, read_rows
from aiprod.trainer.lips.train import TrainLipsParams, train_lips
from aiprod.trainer.loop.context import Log
from pipeline.running import run
from pipeline.training import tracked, training_context

DATA, VISEMES, STAGE = Path("datasets/v1/faces"), Path("models/visemes"), "train_lips"
HEADLINE = {"lips": "aperture_correlation"}


def main() -> None:
    """Train, or continue."""
    params = load_params(TrainLipsParams, STAGE)
    rows, root = read_rows(DATA, FaceRow, Vault()), read_head(DATA).merkle_root

    def train(log: Log, models: Path, reports: Path) -> dict[str, Any]:
        context = training_context(STAGE, log, {"faces": root})
        return train_lips(params, rows, context, DATA, VISEMES, models, reports)

    tracked(STAGE, params, train, dataset_root=root, headline=HEADLINE)


if __name__ == "__main__":
    run(main)
