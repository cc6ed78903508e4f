"""Trains the audio-video transformer on cached latents: builds the parts and runs the loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from aiprod.base.progress import log
from aiprod.data.latents.buckets import Bucket, BucketSampler
from aiprod.data.latents.dataset import LatentDataset
from aiprod.errors import AiprodError
from aiprod.trainer.diffusion.joining import joined
from aiprod.trainer.diffusion.model_setup import TrainableModel, make_subject
from aiprod.trainer.diffusion.outputs import TrainingResult, baseline_losses, training_metrics
from aiprod.trainer.diffusion.params import TrainDiffusionParams
from aiprod.trainer.diffusion.task_feed import check_feed
from aiprod.trainer.diffusion.tasks import TaskTrainer
from aiprod.trainer.loop.accelerator import Engine, make_engine
from aiprod.trainer.loop.block_swap import swap_blocks
from aiprod.trainer.loop.checkpoints import PHASES
from aiprod.trainer.loop.context import TrainContext
from aiprod.trainer.loop.curriculum import CurriculumConfig
from aiprod.trainer.loop.levels import Levels
from aiprod.trainer.loop.loop import TrainingRun
from aiprod.trainer.loop.optimizers import make_optimizer
from aiprod.trainer.loop.samplers import Draw
from aiprod.trainer.loop.sharding import full_state_dict
from aiprod.trainer.loop.threads import choose_threads
from aiprod.trainer.revocable import RevocableParams

PhaseEnd = Callable[[str, TrainableModel, nn.Module, Path | None], dict[str, float]]


def train_diffusion(
    dataset: LatentDataset,
    models: Path,
    curriculum: CurriculumConfig,
    params: TrainDiffusionParams,
    context: TrainContext,
    *,
    revocable: RevocableParams | None = None,
    engine: Engine | None = None,
    sampler: PhaseEnd = lambda *_: {},
) -> TrainingResult:
    """Train through all phases, continuing where an earlier run with the same settings stopped.

    Args:
        revocable: where clips that can be erased stand; those that the dataset keeps apart join last.
        models: folder that holds ``video_vae`` and ``audio_vae``.
        sampler: called at the end of each phase with its name, what is trained, the model with averaged weights, and
            the folder for what it writes, which lasts as long as the checkpoints (None on all ranks but the first); it
            returns figures for the log.

    Raises:
        AiprodError: no usable clip, a size that does not fit, or a full disk.
    """
    engine = engine or make_engine(params.precision, params.launch.sharding)
    torch.manual_seed(context.seed)
    subject = make_subject(params, models, dataset, context.seed)
    model = subject.model
    model.enable_gradient_checkpointing(params.gradient_checkpointing)
    if params.swap_blocks and engine.world > 1:
        raise AiprodError(
            f"train_diffusion.swap_blocks is {params.swap_blocks}, and {engine.world} processes train",
            "set it to 0 and launch.sharding to fsdp2, which splits weights over the processes",
        )
    revocable = revocable or RevocableParams()
    settings = context.settings(
        # On how many ranks it trains is no setting of what is trained: a checkpoint goes on on any number of them. The
        # upsampler is trained afterwards, by itself.
        params.model_dump(mode="json", exclude={"launch", "upsampler"}),
        curriculum=curriculum.model_dump(mode="json"),
        latents=dataset.head.merkle_root,
        init=subject.start_digest,
        revocable=revocable.model_dump(mode="json"),
    )
    samplers, levels = _samplers(dataset, curriculum, params, revocable, settings, context.seed)
    strategy = _strategy(dataset, subject, params, context.seed)
    check_feed(strategy, list(curriculum.phases))
    run = TrainingRun(
        strategy=strategy,
        model=model,
        optimizer=make_optimizer(model, params.optimizer),
        phases=curriculum.scheduler(context.lr, {n: s.clips_per_epoch for n, s in samplers.items()}),
        samplers=samplers,
        engine=engine,
        params=params.loop,
        levels=levels,
        log=context.log,
        store=context.store(settings, params.loop.keep_last),
    )
    samples = phase_samples(run) if engine.rank == 0 else None
    run.at_phase_end = lambda phase: sampler(phase, subject, run.model, samples)
    _set_threads(run, params.threads, engine)
    swap_blocks(model.blocks, params.swap_blocks, engine.device)
    baseline = baseline_losses(run, subject, context.seed, swapped=params.swap_blocks)
    if params.compile:
        model.compile(dynamic=True)
    ema = run.train()
    with ema.applied(run.model):  # the averages leave the model at the end of the block, hence copies
        weights = {name: weight.detach().cpu().clone() for name, weight in full_state_dict(run.model).items()}
    return TrainingResult(run, subject, curriculum, weights, training_metrics(run, subject, baseline), settings)


def phase_samples(run: TrainingRun) -> Path:
    """Where a run keeps what it generated at the ends of its phases."""
    return run.store.folder / PHASES


def _strategy(dataset: LatentDataset, subject: TrainableModel, params: TrainDiffusionParams, seed: int) -> TaskTrainer:
    tasks = params.declared()
    strategy = TaskTrainer(dataset, subject.video, subject.audio, params.task, seed, tasks=tasks)
    if not subject.sound:
        strategy.sound = False
        log(f"  {subject.class_name} has no audio stream: clips train it without their sound")
    return strategy


def _samplers(  # noqa: PLR0917
    dataset: LatentDataset,
    curriculum: CurriculumConfig,
    params: TrainDiffusionParams,
    revocable: RevocableParams,
    settings: Mapping[str, Any],
    seed: int,
) -> tuple[dict[str, Any], Levels]:
    sources = sorted({row.source_id for row in dataset.rows.values() if row.source_id})
    for name in params.repeats:
        if name not in sources:
            known = f"the clips come from {', '.join(sources)}"
            raise AiprodError(f"train_diffusion.repeats names {name!r}, which has no clips", known)

    def sampler(phase: str, buckets: Mapping[str, Bucket], batch: int) -> BucketSampler:
        source = {clip_id: dataset.rows[phase, clip_id].source_id or "" for clip_id in buckets}
        repeats = {clip_id: params.repeats.get(source[clip_id], 1) for clip_id in buckets}
        return BucketSampler(buckets, batch=batch, seed=seed, repeats=repeats)

    return joined(dataset, curriculum, revocable, settings, sampler)


def _set_threads(run: TrainingRun, threads: int, engine: Engine) -> None:
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
    batch = run.strategy.load(phase, Draw(None, ids), range(len(ids)))

    def work() -> None:
        run.strategy.loss(run.model, batch, step=0, slots=range(len(ids)), device=engine.device).loss.backward()
        run.model.zero_grad(set_to_none=True)

    choose_threads(work)
