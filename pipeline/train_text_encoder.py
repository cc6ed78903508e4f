"""Stage train_text_encoder: train a small Gemma on the captions, or copy a given one."""

from __future__ import annotations

from pathlib import Path

from aiprod.base.params import load_params, load_value
from aiprod.base.stage import Counters, code_digest, record_counters, run
from aiprod.base.state import state
from aiprod.tracking.runs import stage_run
from aiprod.trainer.text_encoder import TrainTextEncoderParams, train_text_encoder
from aiprod.trainer.vae_stage import Surroundings, read_selection

STAGE = "train_text_encoder"
DATA, MODEL, REPORTS = Path("datasets/v1"), Path("models/text_encoder"), Path("reports/text_encoder")


def main() -> None:
    """Read the manifests, train (or continue, or copy), write the checkpoint, ledger and reports."""
    params = load_params(TrainTextEncoderParams, STAGE)
    lr, seed = float(load_value("lr")), int(load_value("seed"))
    selection, inputs = read_selection(DATA)
    logged = {"lr": lr, "seed": seed, **params.model_dump(mode="json")}
    with stage_run(STAGE, logged, dataset_root=inputs["captions"]) as tracking:
        around = Surroundings(
            lr=lr, seed=seed, inputs=inputs, code=code_digest(STAGE), log=tracking.log,
            checkpoints=lambda fingerprint: state().training(STAGE, fingerprint),
        )
        metrics = train_text_encoder(params, selection, around, models=MODEL, reports=REPORTS)
        tracking.log(params.trainer.steps, {k: v for k, v in metrics.items() if isinstance(v, int | float)})
        for file in sorted(REPORTS.iterdir()):
            tracking.artifact(file)
    record_counters(STAGE, Counters(processed=int(metrics["train_clips"])))


if __name__ == "__main__":
    run(main)
