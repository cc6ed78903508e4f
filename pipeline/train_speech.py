"""Stage train_speech: train the speech model and its vocoder on the speech dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aiprod.base.params import load_params
from aiprod.speech.rows import SpeechRow
from aiprod.storage.crypto.film_encryption import Vault
from aiprod.storage.manifest.manifest import read_head, read_rows
from aiprod.trainer.loop.context import Log
from aiprod.trainer.speech.train import TrainSpeechParams, train_speech
from pipeline.running import run
from pipeline.training import tracked, training_context

DATA, STAGE = Path("datasets/v1/speech"), "train_speech"
HEADLINE = {"phones": "phone_accuracy"}


def main() -> None:
    """Train, or continue."""
    params = load_params(TrainSpeechParams, STAGE)
    rows, root = read_rows(DATA, SpeechRow, Vault()), read_head(DATA).merkle_root

    def train(log: Log, models: Path, reports: Path) -> dict[str, Any]:
        context = training_context(STAGE, log, {"speech": root})
        return train_speech(params, rows, context, data=DATA, models=models, reports=reports)

    tracked(STAGE, params, train, dataset_root=root, headline=HEADLINE)


if __name__ == "__main__":
    run(main)
