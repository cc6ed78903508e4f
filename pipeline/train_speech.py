"""Stage train_speech: train the speech model and its vocoder on the speech dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aiprod.base.metrics import write_headline
from aiprod.base.params import load_params, load_value
from aiprod.base.progress import quiet
from aiprod.base.stage import Counters, record_counters
from aiprod.speech.rows import SpeechRow
from aiprod.storage.crypto.film_encryption import Vault
from aiprod.storage.manifest.manifest import read_head, read_rows
from aiprod.tracking.runs import stage_run
from aiprod.trainer.loop.accelerator import is_main_process
from aiprod.trainer.loop.context import Log, no_log
from aiprod.trainer.speech.train import TrainSpeechParams, train_speech
from pipeline.running import run
from pipeline.training import training_context

DATA, MODELS, REPORTS, STAGE = Path("datasets/v1/speech"), Path("models/speech"), Path("reports/speech"), "train_speech"
HEADLINE = {"phones": "phone_accuracy"}


def main() -> None:
    """Train, or continue."""
    params = load_params(TrainSpeechParams, STAGE)
    rows = read_rows(DATA, SpeechRow, Vault())
    root = read_head(DATA).merkle_root

    def train(log: Log) -> dict[str, Any]:
        context = training_context(STAGE, log, {"speech": root})
        return train_speech(params, rows, context, data=DATA, models=MODELS, reports=REPORTS)

    if not is_main_process():  # other ranks of `accelerate launch` compute, and write and say nothing
        quiet()
        train(no_log)
        return
    logged = {"lr": float(load_value("lr")), "seed": int(load_value("seed")), **params.model_dump(mode="json")}
    with stage_run(STAGE, logged, dataset_root=root) as tracking:
        metrics = train(lambda phase, step, figures: tracking.log(step, figures))
        tracking.log(params.trainer.steps, {k: v for k, v in metrics.items() if isinstance(v, int | float)})
        write_headline("speech", {short: metrics.get(key) for short, key in HEADLINE.items()})
        for file in (REPORTS / "metrics.json", REPORTS / "curve.csv"):
            tracking.artifact(file)
    record_counters(STAGE, Counters(processed=int(metrics["train_clips"])))


if __name__ == "__main__":
    run(main)
