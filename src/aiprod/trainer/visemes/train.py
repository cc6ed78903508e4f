"""Trains the network from sound to visemes, measures it on sentences it has not heard, and writes what came out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field

from aiprod.base.files import write_json
from aiprod.base.params import Params
from aiprod.base.progress import log
from aiprod.errors import AiprodError
from aiprod.lips.viseme_model import VisemeModel, VisemeModelConfig, load_viseme_model
from aiprod.speech.features import BANDS
from aiprod.speech.lip_sync import correlation
from aiprod.speech.rows import SpeechRow
from aiprod.speech.visemes import VISEMES
from aiprod.speech.voice import RATE
from aiprod.trainer.loop.accelerator import make_engine
from aiprod.trainer.loop.context import TrainContext
from aiprod.trainer.loop.exposure import ExposureLedger
from aiprod.trainer.loop.one_phase import AveragedTrainer
from aiprod.trainer.stage import init_folder, need_steps, rounded, use_threads, write_curve, write_model
from aiprod.trainer.visemes.report import write_page
from aiprod.trainer.visemes.strategy import TrainingUtterance, VisemeLossParams, VisemeStrategy, load_heard

SECTION, NAME = "train_visemes", "visemes"
_QUIET_S = 1.0
_OTHERS = 50  # sentences whose mouths one is compared with, at most


class VisemeTrainer(AveragedTrainer):
    """How the network from sound to visemes is trained."""

    steps: int = Field(default=150, ge=0, description="0 with `init`: the given checkpoint is copied")
    batch: int = Field(default=16, ge=1, le=65_536, description="stretches per step, over all processes")


class TrainVisemesParams(Params):
    """Train the network from sound to visemes, or copy one."""

    init: str | None = Field(
        default=None, min_length=1, description="checkpoint folder to start from; with steps: 0 it is copied"
    )
    model: VisemeModelConfig = VisemeModelConfig()
    loss: VisemeLossParams = VisemeLossParams()
    trainer: VisemeTrainer = VisemeTrainer()
    threads: int = Field(default=1, ge=0, le=1024, description="torch threads on CPU; 0: one per core")


def train_visemes(
    params: TrainVisemesParams, rows: list[SpeechRow], context: TrainContext, *, data: Path, models: Path, reports: Path
) -> dict[str, Any]:
    """Train (or copy) a model and write ``models`` and ``reports``; the metrics.

    It hears the drawn voice alone: what a person spoke is left out, whatever that person agreed to.

    Args:
        data: folder of the sounds.

    Raises:
        AiprodError: nothing to train on, or ``init`` is no such model.
    """
    need_steps(params.trainer.steps, params.init, SECTION)
    use_threads(params.threads)
    torch.manual_seed(context.seed)
    everything = load_heard([row for row in rows if row.synthetic], data)
    train, heldout = (
        [each for each in everything if (each.row.split == "train") == wanted] for wanted in (True, False)
    )
    if not train:
        raise AiprodError("no utterance is left to train on", "run `dvc repro make_speech`, or look at its reasons")
    model = _start(params, train)
    engine = make_engine(params.trainer.precision)
    store = context.store(context.settings(params.model_dump(mode="json")))
    ledger, curve = ExposureLedger(), []
    if params.trainer.steps:
        strategy = VisemeStrategy(model, train, heldout, params.loss, context.seed)
        run = params.trainer.run(strategy, NAME, context=context, store=store, engine=engine)
        run.train().copy_to(model)
        ledger, curve = run.ledger, run.curve
    model.eval().cpu()
    apart = heldout or train
    metrics = rounded(
        {
            "split": "heldout" if heldout else "train",
            **score(model, apart, train),
            "train_clips": len(train),
            "steps": params.trainer.steps,
            "parameters": sum(p.numel() for p in model.parameters()),
        }
    )
    if engine.rank == 0:
        used = ledger.state_dict()
        left_out = {row.utterance_id: _why_not(row) for row in rows if row.utterance_id not in used}
        write_model(model.save, models, ledger, (), left_out)
        write_json(reports / "metrics.json", metrics)
        write_curve(reports / "curve.csv", curve, ("step", "loss", "visemes", "mouth"))
        write_page(reports / "page", model, apart, metrics)
        store.finish()
        log(
            f"visemes: {metrics['viseme_accuracy']:.3f} right (chance {metrics['viseme_accuracy_chance']:.3f}),"
            f" aperture correlates by {metrics['aperture_correlation']:.3f} (with another sentence"
            f" {metrics['aperture_correlation_mismatched']:.3f})"
        )
    return metrics


def score(model: VisemeModel, apart: Sequence[TrainingUtterance], train: Sequence[TrainingUtterance]) -> dict[str, Any]:
    """Figures on utterances: visemes where something is said, the mouth, and the mouth in silence.

    The mismatched level is the mouth of one sentence with the sound of each of the next that say something else.
    """
    often = Counter(int(v) for each in train for v in each.visemes[each.visemes > 0]).most_common(1)[0][0]
    right = chance = total = 0
    predicted, true = [], []
    for each in apart:
        seen = model.see(each.sound)
        spoken = each.visemes.numpy() > 0
        guessed = seen.visemes[:, 1:].argmax(1) + 1
        right += int((guessed == each.visemes.numpy())[spoken].sum())
        chance += int((each.visemes.numpy()[spoken] == often).sum())
        total += int(spoken.sum())
        predicted.append(seen.mouth[:, 0])
        true.append(each.mouth[0].numpy())
    others = [
        correlation(predicted[n], true[m % len(apart)])
        for n, each in enumerate(apart)
        for m in range(n + 1, n + min(len(apart), _OTHERS + 1))
        if apart[m % len(apart)].row.text != each.row.text
    ]
    rng = np.random.default_rng(0)
    quiet = [np.zeros(int(_QUIET_S * RATE), np.float32), rng.normal(0, 3e-4, int(_QUIET_S * RATE)).astype(np.float32)]
    return {
        "viseme_accuracy": right / max(1, total),
        "viseme_accuracy_chance": chance / max(1, total),
        "aperture_correlation": float(np.mean([correlation(a, b) for a, b in zip(predicted, true, strict=True)])),
        "aperture_correlation_mismatched": float(np.mean(others)) if others else 0.0,
        "aperture_error": float(np.mean(np.abs(np.concatenate(predicted) - np.concatenate(true)))),
        "aperture_in_silence": float(max(model.see(sound).mouth[:, 0].max() for sound in quiet)),
    }


def _start(params: TrainVisemesParams, train: Sequence[TrainingUtterance]) -> VisemeModel:
    if params.init is not None:
        return load_viseme_model(init_folder(params.init)).train()
    model = VisemeModel(params.model)
    mel = torch.cat([each.mel for each in train], 1).double()
    model.mean.copy_(mel.mean(1).float())  # type: ignore[operator]
    model.deviation.copy_(mel.std(1).clamp_min(1e-2).float())  # type: ignore[operator]
    assert model.mean.shape == (BANDS,) and len(VISEMES) == 15
    return model


def _why_not(row: SpeechRow) -> str:
    if row.reasons:
        return row.reasons[0]
    if not row.synthetic:
        return "a person spoke it"
    return f"split {row.split}" if row.split != "train" else "not drawn"
