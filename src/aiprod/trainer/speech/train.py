"""Trains the speech model, measures it on sentences it has not heard, and writes weights, ledger and reports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from pydantic import Field

from aiprod.base.denials import log_refusals
from aiprod.base.files import write_json
from aiprod.base.params import Params
from aiprod.base.progress import log
from aiprod.errors import AiprodError
from aiprod.models.checkpoint.lora_file import LoraLayer, write_lora
from aiprod.speech.acoustic import SpeechModelConfig
from aiprod.speech.model import SpeechModel, load_speech_model
from aiprod.speech.phones import LANGUAGES
from aiprod.speech.rows import SpeechRow
from aiprod.speech.scores import score
from aiprod.speech.voice_consent import permitted
from aiprod.storage.ledger import write_ledger
from aiprod.trainer.loop.accelerator import is_main_process, make_engine
from aiprod.trainer.loop.context import TrainContext
from aiprod.trainer.loop.exposure import ExposureLedger
from aiprod.trainer.loop.one_phase import AveragedTrainer
from aiprod.trainer.speech.adaptation import SpeechLoraParams, add_adapters, fused, with_speakers
from aiprod.trainer.speech.data import (
    LoadedUtterance,
    load_utterances,
    measure_lengths,
    measure_statistics,
    meters_of,
    truth_of,
)
from aiprod.trainer.speech.report import write_page
from aiprod.trainer.speech.strategy import SpeechLossParams, SpeechStrategy
from aiprod.trainer.stage import EXPOSURE, init_folder, need_steps, rounded, use_threads, write_curve

SECTION, NAME = "train_speech", "speech"


class SpeechTrainer(AveragedTrainer):
    """How the speech model is trained."""

    steps: int = Field(default=100, ge=0, description="0 with `init`: the given checkpoint is copied")
    batch: int = Field(default=12, ge=1, le=65_536, description="utterances per step, over all processes")


class TrainSpeechParams(Params):
    """Train the speech model, or copy one."""

    init: str | None = Field(
        default=None, min_length=1, description="checkpoint folder to start from; with steps: 0 it is copied"
    )
    lora: SpeechLoraParams | None = Field(
        default=None, description="adapts `init` to speakers it does not know, from a few minutes of them; null: off"
    )
    model: SpeechModelConfig = SpeechModelConfig()
    loss: SpeechLossParams = SpeechLossParams()
    trainer: SpeechTrainer = SpeechTrainer()
    heldout_utterances: int = Field(
        default=64, ge=1, le=100_000, description="maximum number of held-out utterances to evaluate"
    )
    threads: int = Field(default=0, ge=0, le=1024, description="torch threads on CPU; 0: one per core")


def train_speech(
    params: TrainSpeechParams, rows: list[SpeechRow], context: TrainContext, *, data: Path, models: Path, reports: Path
) -> dict[str, Any]:
    """Train (or copy) a model and write ``models`` and ``reports``; the metrics.

    What a person spoke who has not agreed to it is left out, and its refusal logged and said.

    Args:
        data: folder of the sounds.

    Raises:
        AiprodError: nothing to train on, or ``init`` is no speech model.
    """
    need_steps(params.trainer.steps, params.init, SECTION)
    rows, refusals = permitted(rows)
    if is_main_process():
        log_refusals(refusals, once=True)
    for refusal in refusals:
        log(f"left out: {refusal}")
    use_threads(params.threads)
    torch.manual_seed(context.seed)
    everything = load_utterances(rows, data)
    train, heldout, unseen = (
        [each for each in everything if each.row.split == split] for split in ("train", "heldout", "unseen_pair")
    )
    if not train:
        raise AiprodError("no utterance is left to train on", "run `dvc repro make_speech`, or look at its reasons")
    everyone = train
    base, train = _given(params, train)
    model = _start(params, base, train, context.seed)
    if params.lora is not None:
        own = {each.row.speaker for each in train}
        heldout, unseen = ([each for each in apart if each.row.speaker in own] for apart in (heldout, unseen))
    heldout, unseen = _of_known(heldout, model), _of_known(unseen, model)
    engine = make_engine(params.trainer.precision)
    store = context.store(context.settings(params.model_dump(mode="json")))
    ledger, curve = ExposureLedger(), []
    if params.trainer.steps:
        strategy = SpeechStrategy(model, train, heldout, params.loss, context.seed)
        run = params.trainer.run(strategy, NAME, context=context, store=store, engine=engine)
        run.train().copy_to(model)
        ledger, curve = run.ledger, run.curve
    model.eval().cpu()
    adapters: dict[str, LoraLayer] = {}
    if params.lora is not None and base is not None:
        model, adapters = fused(model, base, params.lora.alpha)
        model.eval()
    if params.trainer.steps:
        measure_lengths(model, train)
    apart = (heldout or train)[: params.heldout_utterances]
    log(f"  measuring {len(apart)} utterances")
    scores = score(model, meters_of(everyone), [truth_of(each) for each in apart], [truth_of(each) for each in unseen])
    metrics = rounded(
        {
            "split": "heldout" if heldout else "train",
            **scores,
            "train_clips": len(train),
            "train_seconds": float(sum(each.row.seconds or 0 for each in train)),
            "steps": params.trainer.steps,
            "parameters": sum(p.numel() for p in model.parameters()),
        }
    )
    if engine.rank == 0:
        _write(model, ledger, rows, models)
        if adapters:
            write_lora(adapters, models / "lora", "peft")
        write_json(reports / "metrics.json", metrics)
        write_curve(reports / "curve.csv", curve, ("step", "loss", "duration", "prior", "flow", "vocoder"))
        write_page(reports / "page", model, apart, unseen, metrics)
        store.finish()
        log(
            f"speech: {metrics['phone_accuracy']:.3f} of phones right (the voice {metrics['phone_accuracy_bound']:.3f},"
            f" chance {metrics['phone_accuracy_chance']:.3f}), speakers {metrics['speaker_accuracy']:.2f},"
            f" languages {metrics['language_accuracy']:.2f}"
        )
    return metrics


def _of_known(apart: list[LoadedUtterance], model: SpeechModel) -> list[LoadedUtterance]:
    """Those of voices that the model can be asked for: of a few sentences of a voice, all may be held out."""
    strangers = sorted({each.row.speaker for each in apart} - set(model.speakers))
    if strangers:
        log(f"  not measured: {', '.join(strangers)}, of whom nothing is trained on")
    return [each for each in apart if each.row.speaker in model.speakers]


def _given(params: TrainSpeechParams, train: list[LoadedUtterance]) -> tuple[SpeechModel | None, list[LoadedUtterance]]:
    """The model to start from, and what it is trained on: to adapt it, the speakers that it does not know.

    Raises:
        AiprodError: it does not know a speaker, and is not to be adapted; or nothing is there to adapt.
    """
    if params.init is None:
        if params.lora is not None:
            raise AiprodError(f"{SECTION}.lora adapts a given model and init names none", "set init, or lora to null")
        return None, train
    model = load_speech_model(init_folder(params.init))
    strangers = sorted({each.row.speaker for each in train} - set(model.speakers))
    if strangers and params.lora is None:
        raise AiprodError(
            f"{params.init} does not know the speaker {strangers[0]!r}",
            f"it knows {', '.join(model.speakers)}; set {SECTION}.lora to adapt it, or init to null for a new model",
        )
    if params.lora is None:
        return model, train
    if not strangers:
        raise AiprodError(f"{params.init} knows every speaker of the data", f"set {SECTION}.lora to null")
    return with_speakers(model, []), [each for each in train if each.row.speaker in strangers]


def _start(params: TrainSpeechParams, base: SpeechModel | None, train: list[LoadedUtterance], seed: int) -> SpeechModel:
    """The given model, with adapters where it is adapted, or a new one that knows the speakers of the data."""
    heard = {each.row.language for each in train}
    taught = {each.row.speaker: each.row.provenance for each in train if each.row.taught}
    speakers = sorted({each.row.speaker for each in train})
    if base is None:
        model = SpeechModel(params.model, speakers)
        measure_statistics(model, train)
        model.unheard = LANGUAGES
    elif params.lora is not None:
        model = with_speakers(base, speakers)
        add_adapters(model, params.lora, seed)
    else:
        model = base
    model.taught_by |= taught
    model.unheard = tuple(language for language in model.unheard if language not in heard)
    return model.train()


def _write(model: SpeechModel, ledger: ExposureLedger, rows: list[SpeechRow], folder: Path) -> None:
    """Weights, and beside them how often each utterance was heard, by whom it was spoken, and what was left out."""
    digest = model.save(folder)
    used = set(ledger.state_dict())
    document = ledger.document(digest, {})
    speaker_of = {row.utterance_id: row.speaker for row in rows}
    clips = [{**clip, "speaker": speaker_of.get(str(clip["clip_id"]))} for clip in document["clips"]]
    left_out = {row.utterance_id: _why_not(row) for row in rows if row.utterance_id not in used}
    write_ledger(folder / EXPOSURE, {**document, "clips": clips, "left_out": dict(sorted(left_out.items()))})


def _why_not(row: SpeechRow) -> str:
    if row.reasons:
        return row.reasons[0]
    return f"split {row.split}" if row.split != "train" else "not drawn"
