"""Trains the network that draws mouths, measures it as films are dubbed, and writes what came out."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field

from aiprod.base.files import write_json
from aiprod.base.params import Params
from aiprod.base.progress import log
from aiprod.errors import AiprodError
from aiprod.lips.mouth_model import MouthModel, MouthModelConfig, load_mouth_model
from aiprod.lips.rows import FaceRow
from aiprod.lips.viseme_model import load_viseme_model
from aiprod.trainer.lips.data import load_squares
from aiprod.trainer.lips.opening import measured_opening
from aiprod.trainer.lips.report import write_page
from aiprod.trainer.lips.scores import score
from aiprod.trainer.lips.strategy import MouthLossParams, MouthStrategy
from aiprod.trainer.loop.accelerator import make_engine
from aiprod.trainer.loop.context import TrainContext
from aiprod.trainer.loop.exposure import ExposureLedger
from aiprod.trainer.loop.one_phase import AveragedTrainer
from aiprod.trainer.stage import init_folder, need_steps, rounded, use_threads, write_curve, write_model

SECTION, NAME = "train_lips", "lips"


class MouthTrainer(AveragedTrainer):
    """How the network that draws mouths is trained."""

    steps: int = Field(default=150, ge=0, description="0 with `init`: the given checkpoint is copied")
    batch: int = Field(default=8, ge=1, le=65_536, description="pictures per step, over all processes")
    optimizer: Literal["adamw", "muon"] = "muon"


class TrainLipsParams(Params):
    """Train the network that draws mouths, or copy one."""

    init: str | None = Field(
        default=None, min_length=1, description="checkpoint folder to start from; with steps: 0 it is copied"
    )
    model: MouthModelConfig = MouthModelConfig()
    loss: MouthLossParams = MouthLossParams()
    trainer: MouthTrainer = MouthTrainer()
    heldout_clips: int = Field(default=4, ge=1, le=10_000, description="maximum number of held-out clips to evaluate")
    threads: int = Field(default=1, ge=0, le=1024, description="torch threads on CPU; 0: one per core")


def train_lips(  # noqa: PLR0917 (a stage's inputs)
    params: TrainLipsParams,
    rows: list[FaceRow],
    context: TrainContext,
    data: Path,
    visemes: Path,
    models: Path,
    reports: Path,
) -> dict[str, Any]:
    """Train (or copy) a model and write ``models`` and ``reports``; the metrics.

    It sees drawn faces alone.

    Args:
        data: folder of the clips.
        visemes: folder of the network from sound to visemes, through which it is measured.

    Raises:
        AiprodError: nothing to train on, or ``init`` is no such model.
    """
    need_steps(params.trainer.steps, params.init, SECTION)
    use_threads(params.threads)
    torch.manual_seed(context.seed)
    usable = [row for row in rows if row.synthetic and row.fault == "none"]
    train, apart = ([row for row in usable if (row.split == "train") == wanted] for wanted in (True, False))
    if not train:
        raise AiprodError("no face is left to train on", "run `dvc repro make_faces`")
    others = apart or train
    apart = others[: params.heldout_clips]
    model = load_mouth_model(init_folder(params.init)).train() if params.init else MouthModel(params.model)
    engine = make_engine(params.trainer.precision)
    store = context.store(context.settings(params.model_dump(mode="json")))
    ledger, curve = ExposureLedger(), []
    if params.trainer.steps:
        size = model.config.size
        squares, heldout = (load_squares(part, data, size, context.seed) for part in (train, apart))
        strategy = MouthStrategy(model, squares, heldout, params.loss)
        run = params.trainer.run(strategy, NAME, context=context, store=store, engine=engine)
        run.train().copy_to(model)
        ledger, curve = run.ledger, run.curve
    model.eval().cpu()
    if params.trainer.steps:
        model.opening = measured_opening(model, train, data)
    log(f"  measuring {len(apart)} clips")
    scores, done = score(model, load_viseme_model(visemes), apart, data, others)
    metrics = rounded(
        {
            "split": apart[0].split,
            **scores,
            "train_clips": len(train),
            "steps": params.trainer.steps,
            "parameters": sum(p.numel() for p in model.parameters()),
            "opening": model.opening,
        }
    )
    if engine.rank == 0:
        used = ledger.state_dict()
        left_out = {row.clip_id: _why_not(row) for row in rows if row.clip_id not in used}
        write_model(model.save, models, ledger, (), left_out)
        write_json(reports / "metrics.json", metrics)
        write_curve(reports / "curve.csv", curve, ("step", "loss", "pixels", "edges"))
        write_page(reports / "page", done, data, metrics)
        store.finish()
        strange = metrics["aperture_correlation_mismatched"]
        log(
            f"lips: aperture of what is drawn from the sound correlates by {metrics['aperture_correlation']:.3f} with"
            f" the truth (another sentence's {'–' if strange is None else format(strange, '.3f')}, the film itself"
            f" {metrics['aperture_correlation_bound']:.3f}), {metrics['psnr_db']:.1f} dB"
            f" (the reference {metrics['psnr_db_reference']:.1f})"
        )
    return metrics


def _why_not(row: FaceRow) -> str:
    if not row.synthetic:
        return "a person is seen"
    if row.fault != "none":
        return f"the mouth is not seen: {row.fault}"
    return f"split {row.split}" if row.split != "train" else "not drawn"
