"""What the stages that train one model from clips and captions share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from aiprod.base.code_identity import code_digest
from aiprod.base.metrics import write_headline
from aiprod.base.params import Params, load_params, load_value
from aiprod.base.progress import quiet
from aiprod.base.stage import Counters, record_counters
from aiprod.base.state import state
from aiprod.tracking.runs import stage_run
from aiprod.trainer.loop.accelerator import is_main_process
from aiprod.trainer.loop.context import Log, TrainContext, no_log
from aiprod.trainer.stage import read_selection

DATA = Path("datasets/v1")


def training_context(
    stage: str, log: Log, inputs: Mapping[str, str] | None = None, *, place: str | None = None
) -> TrainContext:
    """What the training of a stage gets besides its own parameters.

    Args:
        place: folder of the checkpoints, where a stage trains more than one model; else named as the stage.
        inputs: name → digest of everything that was read.
    """
    return TrainContext(
        lr=float(load_value("lr")),
        seed=int(load_value("seed")),
        code=code_digest(stage),
        checkpoints=lambda fingerprint: state().training(place or stage, fingerprint),
        inputs=inputs or {},
        log=log,
    )


def train_stage(
    stage: str,
    params_model: type[Params],
    train: Callable[..., dict[str, Any]],
    *,
    captions: bool,
    headline: Mapping[str, str],
) -> None:
    """Read the manifests, train (or continue, or copy), write weights, ledger and reports, and log them.

    Args:
        stage: the DVC stage, which is also the section of params.yaml and, without ``train_``, the folder of the model.
        train: takes (params, selection, context, models=, reports=) and returns metrics.
        captions: whether it learns from captions.
        headline: name of a headline metric → which of the metrics it is.
    """
    params: Any = load_params(params_model, stage)
    selection, inputs = read_selection(DATA, captions=captions, revocable=False)

    def run(log: Log, models: Path, reports: Path) -> dict[str, Any]:
        context = training_context(stage, log, inputs)
        return train(params, selection, context, models=models, reports=reports)

    tracked(stage, params, run, dataset_root=inputs["captions" if captions else "verdicts"], headline=headline)


def tracked(
    stage: str,
    params: Any,
    train: Callable[[Log, Path, Path], dict[str, Any]],
    *,
    dataset_root: str,
    headline: Mapping[str, str],
) -> None:
    """Train, and put what comes out where the stage's metrics and the experiment tracker are.

    Args:
        params: of the stage, with a ``trainer``.
        train: takes (log, folder of the model, folder of the reports) and returns metrics.
        headline: as of :func:`train_stage`.
    """
    name = stage.removeprefix("train_")
    models, reports = Path("models") / name, Path("reports") / name
    if not is_main_process():  # other ranks of `accelerate launch` compute, and write and say nothing
        quiet()
        train(no_log, models, reports)
        return
    logged = {"lr": float(load_value("lr")), "seed": int(load_value("seed")), **params.model_dump(mode="json")}
    with stage_run(stage, logged, dataset_root=dataset_root) as tracking:
        metrics = train(lambda phase, step, figures: tracking.log(step, figures), models, reports)
        tracking.log(params.trainer.steps, {k: v for k, v in metrics.items() if isinstance(v, int | float)})
        write_headline(name, {short: metrics.get(key) for short, key in headline.items()})
        for file in sorted(path for path in reports.iterdir() if path.is_file()):
            tracking.artifact(file)
    record_counters(stage, Counters(processed=int(metrics["train_clips"])))
