"""Trains the audio-video transformer on cached latents: builds the parts, runs the loop, writes what came out."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field

from aiprod.base.errors import AiprodError
from aiprod.base.files import digest_of, write_json, write_text
from aiprod.base.params import Params
from aiprod.base.progress import say
from aiprod.core.components.patchifier import AudioLatentPatchifier, VideoLatentPatchifier
from aiprod.core.errors import CoreError
from aiprod.core.loader.build import load_checkpoint
from aiprod.core.loader.files import open_checkpoint, save_checkpoint
from aiprod.core.transformer.config import AVTransformerConfig
from aiprod.core.transformer.model import AVTransformer
from aiprod.core.vae.config import AudioVAEConfig, VideoVAEConfig
from aiprod.data.buckets import BucketSampler
from aiprod.data.latent_dataset import LatentDataset
from aiprod.trainer.checkpoints import CheckpointStore
from aiprod.trainer.curriculum import CurriculumConfig, CurriculumScheduler
from aiprod.trainer.ema import Ema
from aiprod.trainer.engine import Engine, Precision, make_engine
from aiprod.trainer.loop import Log, LoopParams, Run
from aiprod.trainer.lora import LoraParams, add_lora, fused_weights, save_lora
from aiprod.trainer.model_folders import CLASS_NAME, EXPOSURE, TRAINING, TRANSFORMER, TrainingRecord
from aiprod.trainer.optimizers import OptimizerParams, make_optimizer
from aiprod.trainer.strategy import BaseStrategy
from aiprod.trainer.text_to_video import TextToVideoParams, TextToVideoTrainer
from aiprod.trainer.threads import choose_threads
from aiprod.trainer.vae_stage import given_folder
from aiprod.trainer.video_to_video import ReferenceParams, VideoToVideoTrainer


class TransformerParams(Params):
    """Size of the transformer."""

    preset: str = Field(default="demo", description="a name of core.transformer.config.AVTransformerConfig.presets()")
    changes: dict[str, int | float | list[float]] = Field(default={}, description="fields that differ from the preset")
    video_patch: tuple[int, int, int] = Field(default=(1, 1, 1), description="latent cells a token: (t, y, x)")


class TrainDiffusionParams(Params):
    """Section ``train_diffusion``."""

    init: str | None = Field(default=None, description="transformer checkpoint to fine-tune; none: from scratch")
    lora: LoraParams | None = Field(default=None, description="train adapters of `init`; none: all weights")
    transformer: TransformerParams = TransformerParams()
    task: TextToVideoParams = TextToVideoParams()
    optimizer: OptimizerParams = OptimizerParams()
    loop: LoopParams = LoopParams()
    repeats: dict[str, int] = Field(default={}, description="source → times its clips stand in a round (default 1)")
    precision: Precision = "no"
    compile: bool = False
    gradient_checkpointing: bool = False
    threads: int = Field(default=0, ge=0, description="for torch on CPU; 0: the quicker number, measured")
    strategy: Literal["text_to_video", "video_to_video"] = "text_to_video"
    reference: ReferenceParams = ReferenceParams()


@dataclass(frozen=True)
class Trained:
    """What training leaves."""

    run: Run
    ema: Ema
    config: AVTransformerConfig
    metrics: dict[str, Any]
    settings: dict[str, Any]


def train_diffusion(
    dataset: LatentDataset,
    models: Path,
    curriculum: CurriculumConfig,
    params: TrainDiffusionParams,
    *,
    lr: float,
    seed: int,
    code: str,
    checkpoints: Callable[[str], Path],
    log: Log,
    engine: Engine | None = None,
) -> Trained:
    """Train through all phases, continuing where an earlier run with the same settings stopped.

    Args:
        models: folder that holds ``video_vae`` and ``audio_vae``.
        code: digest of the code that trains.
        checkpoints: fingerprint → folder for resume state.
        log: phase, step, figures.

    Raises:
        AiprodError: no usable clip, a size that does not fit, or a full disk.
    """
    engine = engine or make_engine(params.precision)
    torch.manual_seed(seed)
    video, audio = patchifiers(models, params.transformer.video_patch)
    model = _model(params, transformer_config(params.transformer, video, audio, dataset), seed)
    config = model.config
    model.enable_gradient_checkpointing(params.gradient_checkpointing)
    strategy: BaseStrategy = TextToVideoTrainer(dataset, video, audio, params.task, seed)
    if params.strategy == "video_to_video":
        strategy = VideoToVideoTrainer(dataset, video, audio, params.task, seed=seed, reference=params.reference)
    samplers = _samplers(dataset, curriculum, params, seed)
    settings = {
        "params": params.model_dump(mode="json"),
        "curriculum": curriculum.model_dump(mode="json"),
        "lr": lr,
        "seed": seed,
        "latents": dataset.head.merkle_root,
        "code": code,
    }
    run = Run(
        strategy=strategy,
        model=model,
        optimizer=make_optimizer(model, params.optimizer),
        curriculum=CurriculumScheduler(curriculum, lr, {n: s.clips_per_epoch for n, s in samplers.items()}),
        samplers=samplers,
        engine=engine,
        params=params.loop,
        log=log,
        store=CheckpointStore(checkpoints(digest_of(settings)[:20]), settings, params.loop.keep_last),
    )
    _set_threads(run, params.threads, engine)
    if params.compile:
        model.compile(dynamic=True)
    ema = run.train()
    metrics = _metrics(run, config, seed)
    return Trained(run, ema, config, metrics, settings)


def write_model(trained: Trained, dataset: LatentDataset, folder: Path) -> str:
    """Write averaged weights, training record and exposure ledger into ``folder`` (``models/diffusion``).

    Returns:
        the digest of the weights.
    """
    config = trained.config.model_dump(mode="json")
    lora = TrainDiffusionParams.model_validate(trained.settings["params"]).lora
    with trained.ema.applied(trained.run.model):
        weights = trained.run.model.state_dict()
        if lora is not None:
            save_lora(weights, lora, folder / "lora")
            weights = fused_weights(weights, lora)
        digest = save_checkpoint(folder / Path(TRANSFORMER).name, config, weights, CLASS_NAME)
    last = trained.run.curriculum.phase
    phases = trained.run.curriculum.config.geometry()
    write_json(
        folder / Path(TRAINING).name,
        TrainingRecord(
            model_digest=digest,
            made_with={n: dataset.head.inputs[n] for n in ("video_vae", "audio_vae", "text_encoder")},
            dataset_root=dataset.head.merkle_root,
            phases={name: phase.model_dump(mode="json") for name, phase in phases.items()},
            phase_order=list(phases),
            text_quantize=dataset.head.facts.get("text_quantize"),
            steps=trained.run.curriculum.step,
            strategy=trained.settings["params"]["strategy"],
            video_patch=tuple(trained.settings["params"]["transformer"]["video_patch"]),
            heldout=[{"clip_id": r.clip_id, "caption": r.caption or ""} for r in dataset.usable(last, "heldout")],
            settings=trained.settings,
        ).model_dump(mode="json"),
    )
    films = {row.clip_id: row.film_id for row in dataset.rows.values()}
    write_json(folder / Path(EXPOSURE).name, trained.run.ledger.document(digest, films))
    return digest


def write_reports(trained: Trained, folder: Path) -> None:
    """Write ``metrics.json`` and ``curve.csv``."""
    write_json(folder / "metrics.json", trained.metrics)
    rows = trained.run.curve
    first = ["step", "phase", "loss", "loss_video", "loss_audio", "lr", "grad_norm"]
    names = [*first, *sorted({name for row in rows for name in row} - set(first))]
    held = {(r["step"], r["phase"]): r for r in trained.run.heldout if r["when"] != "start"}
    extra = sorted({name for row in held.values() for name in row if name.startswith("heldout/")})
    text = io.StringIO()
    writer = csv.DictWriter(text, [*names, *extra, "phase_starts"], restval="", lineterminator="\n")
    writer.writeheader()
    before = None
    for row in rows:
        measured = {n: v for n, v in held.get((row["step"], row["phase"]), {}).items() if n.startswith("heldout/")}
        whole = {**row, **measured, "phase_starts": int(row["phase"] != before)}
        writer.writerow({n: f"{v:.6g}" if isinstance(v, float) else v for n, v in whole.items()})
        before = row["phase"]
    write_text(folder / "curve.csv", text.getvalue())


def patchifiers(models: Path, patch: tuple[int, int, int]) -> tuple[VideoLatentPatchifier, AudioLatentPatchifier]:
    """Patchifiers that fit the autoencoders in ``models``; only their configuration is read."""
    try:
        video = VideoVAEConfig.model_validate(open_checkpoint(models / "video_vae").config)
        audio = AudioVAEConfig.model_validate(open_checkpoint(models / "audio_vae").config)
        return VideoLatentPatchifier(video.compression, patch), AudioLatentPatchifier(audio.compression)
    except CoreError as error:
        raise AiprodError(error.what, error.mend) from None


def transformer_config(
    params: TransformerParams, video: VideoLatentPatchifier, audio: AudioLatentPatchifier, dataset: LatentDataset
) -> AVTransformerConfig:
    """The preset with the changes, and with the widths that latents and text ask for."""
    widths = {
        "video_channels": video.token_channels,
        "audio_channels": audio.token_channels,
        "text_dim": dataset.null_text()[0].shape[1],
    }
    try:
        return AVTransformerConfig.preset(params.preset, **{**params.changes, **widths})
    except CoreError as error:
        raise AiprodError(f"params.yaml: train_diffusion.transformer: {error.what}", error.mend) from None


def _model(params: TrainDiffusionParams, config: AVTransformerConfig, seed: int) -> AVTransformer:
    """A new model, or the one in ``init``, with adapters where they are asked for.

    Raises:
        AiprodError: ``init`` is no transformer, takes other latents or text, or is missing while ``lora`` is given.
    """
    model = AVTransformer(config)
    if params.init is not None:
        try:
            model = load_checkpoint(given_folder(params.init), _build, CLASS_NAME).train().requires_grad_(True)
        except CoreError as error:
            raise AiprodError(error.what, error.mend) from None
        for name in ("video_channels", "audio_channels", "text_dim"):
            if getattr(model.config, name) != getattr(config, name):
                raise AiprodError(
                    f"{params.init} has {name} {getattr(model.config, name)}, the latents need {getattr(config, name)}",
                    "give a transformer that was trained on latents of these models",
                )
    elif params.lora is not None:
        raise AiprodError("train_diffusion.lora adapts a given model and init names none", "set init, or lora to null")
    if params.lora is not None:
        add_lora(model, params.lora, seed)
    return model


def _build(config: dict[str, Any]) -> AVTransformer:
    return AVTransformer(AVTransformerConfig.model_validate(config))


def _samplers(
    dataset: LatentDataset, curriculum: CurriculumConfig, params: TrainDiffusionParams, seed: int
) -> dict[str, BucketSampler]:
    samplers = {}
    for name, phase in curriculum.phases.items():
        buckets = dataset.buckets(name)
        source = {clip_id: dataset.rows[name, clip_id].source_id or "" for clip_id in buckets}
        repeats = {clip_id: params.repeats.get(source[clip_id], 1) for clip_id in buckets}
        samplers[name] = BucketSampler(buckets, batch=phase.batch, seed=seed, repeats=repeats)
        say(f"phase {name}: {len(buckets)} clips to train on, {len(dataset.usable(name, 'heldout'))} held out")
        say(samplers[name].table())
        why = dataset.why_not(name)
        say(f"  not used:\n{why}") if "none" not in why else None
    return samplers


def _set_threads(run: Run, threads: int, engine: Engine) -> None:
    """On CPU: the given number, or the quicker one for a step of the last (costliest) phase."""
    if engine.device.type != "cpu":
        return
    if threads or engine.world > 1:
        torch.set_num_threads(threads or 1)
        return
    phase = list(run.samplers)[-1]
    sampler = run.samplers[phase]
    position = sampler.state_dict()
    ids = sampler.next()[1][:4]
    sampler.load_state_dict(position)
    batch = run.strategy.load(phase, ids)

    def work() -> None:
        run.strategy.loss(run.model, batch, step=0, slots=range(len(ids)), device=engine.device).loss.backward()
        run.model.zero_grad(set_to_none=True)

    choose_threads(work)


def _metrics(run: Run, config: AVTransformerConfig, seed: int) -> dict[str, Any]:
    """Figures without times, so that equal training gives equal metrics."""
    phases: dict[str, Any] = {}
    for name in run.curriculum.config.phases:
        steps = [row for row in run.curve if row["phase"] == name]
        ends = {
            r["when"]: {k: round(v, 5) for k, v in r.items() if k.startswith("heldout/")}
            for r in run.heldout
            if r["phase"] == name and r["when"] in ("start", "end")
        }
        tail = steps[-max(1, len(steps) // 10) :]
        phases[name] = {
            "steps": len(steps),
            "train_loss_last_tenth": round(sum(r["loss"] for r in tail) / len(tail), 5) if tail else None,
            "heldout_start": _short(ends.get("start", {})),
            "heldout_end": _short(ends.get("end", {})),
        }
    last = run.curriculum.phase
    torch.manual_seed(seed)
    untrained = AVTransformer(config).eval().to(run.engine.device)  # new weights, also where training began with others
    with torch.no_grad():
        baseline = run.strategy.heldout(untrained, last, device=run.engine.device)
    trained: Mapping[str, float] = phases[last]["heldout_end"]
    heldout: dict[str, Any] = {"phase": last, "untrained": _short(baseline), "trained": dict(trained)}
    if baseline and trained:
        heldout["loss_ratio"] = round(trained["loss"] / baseline["heldout/loss"], 5)
    return {
        "steps": run.curriculum.step,
        "parameters": sum(p.numel() for p in run.model.parameters()),
        "clips_seen": len(run.ledger.state_dict()),
        "phases": phases,
        "heldout": heldout,
    }


def _short(figures: Mapping[str, float]) -> dict[str, float]:
    return {name.removeprefix("heldout/"): round(value, 5) for name, value in figures.items()}
