"""What the training of both autoencoders has in common: the model that is trained, and what is written at the end."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from aiprod.base.files import write_json
from aiprod.base.progress import log
from aiprod.errors import AiprodError
from aiprod.models.adapters.autoencoders import save_vae
from aiprod.trainer.loop.accelerator import Engine, make_engine
from aiprod.trainer.loop.checkpoints import CheckpointStore
from aiprod.trainer.loop.context import Log, TrainContext, no_log
from aiprod.trainer.loop.exposure import ExposureLedger
from aiprod.trainer.loop.levels import Levels
from aiprod.trainer.loop.loop import TrainingRun
from aiprod.trainer.stage import (
    init_folder,
    loaded,
    need_steps,
    part_of,
    reasons,
    rounded,
    use_threads,
    write_curve,
    write_model,
)
from aiprod.trainer.training_set import Selection
from aiprod.trainer.vae.data import DecodedClips
from aiprod.trainer.vae.strategy import Autoencode, VAEStrategy, VAETrainerConfig, make_vae_optimizer

_MEASURED = 256  # clips whose latents give the statistics
SHOWN = 4  # reconstructions on the picture


class StageParams(Protocol):
    """What the sections of both stages hold."""

    @property
    def init(self) -> str | None:
        """Folder of a given model."""

    @property
    def trainer(self) -> VAETrainerConfig:
        """How it is trained."""

    @property
    def threads(self) -> int:
        """For torch on CPU."""

    def model_dump(self, *, mode: str) -> dict[str, Any]:
        """As plain values."""


@dataclass(frozen=True)
class VAEEvaluation:
    """What is measured and shown at the end.

    Attributes:
        metrics: figures, without those that every stage has.
        rows: for the picture.
        extra: figures that stand behind the common ones.
    """

    metrics: dict[str, Any]
    rows: list[Any]
    extra: dict[str, Any]


def start_vae(
    params: StageParams, section: str, seed: int, *, own: type, load: Callable[[Path], Any], build: Callable[[], Any]
) -> Any:
    """The autoencoder that ``init`` names, or a new one.

    Raises:
        AiprodError: nothing to train and nothing given, or a public autoencoder that is to be trained on.
    """
    need_steps(params.trainer.steps, params.init, section)
    use_threads(params.threads)
    torch.manual_seed(seed)
    if not params.init:
        return build()
    source = init_folder(params.init)
    sound = source / "audio_vae" if section == "train_audio_vae" else source
    vae = loaded(load, sound if (sound / "config.json").is_file() else part_of(source, "vae"))
    if params.trainer.steps and not isinstance(vae, own):
        raise AiprodError(
            f"{params.init} is an autoencoder of diffusers, which is used unchanged",
            f"set {section}.trainer.steps to 0",
        )
    return vae


@dataclass(frozen=True)
class TrainedVAE:
    """What training leaves, on the CPU; of several processes only the first writes it."""

    vae: Any
    steps: int
    ledger: ExposureLedger
    curve: list[dict[str, Any]]
    store: CheckpointStore
    writes: bool


def vae_run(
    strategy: VAEStrategy,
    *,
    name: str,
    store: CheckpointStore,
    engine: Engine,
    log: Log = no_log,
    levels: Levels | None = None,
) -> TrainingRun:
    """The training run of an autoencoder."""
    config = strategy.config
    return TrainingRun(
        strategy=strategy,
        model=Autoencode(strategy.vae),
        optimizer=make_vae_optimizer(strategy.vae, config),
        phases=config.scheduler(name, f"train_{name}", strategy.lr, final_fraction=config.final_lr),
        samplers={name: strategy.sampler()},
        store=store,
        engine=engine,
        params=config.loop(ema_decay=config.ema_decay),
        log=log,
        levels=levels,
    )


def train_vae(
    strategy: VAEStrategy,
    params: StageParams,
    context: TrainContext,
    *,
    name: str,
    latents: Callable[[int, Tensor], Tensor],
) -> TrainedVAE:
    """Train with averaged weights at the end, and measure the statistics of the latents; or leave the model as it is.

    Args:
        name: of the stage without ``train_``.
        latents: number and tensor of a clip → its latents.
    """
    vae, config = strategy.vae, params.trainer
    engine = make_engine(config.precision)
    settings = context.settings(params.model_dump(mode="json"))
    levels = context.level(settings, [(clip.clip_id, clip.sha256) for clip in strategy.decoded.clips])
    store = context.store({**settings, "clips": levels.levels[0].digest})
    ledger, curve = ExposureLedger(), []
    if config.steps:
        run = vae_run(strategy, name=name, store=store, engine=engine, log=context.log, levels=levels)
        run.train().copy_to(run.model)
        ledger, curve = run.ledger, run.curve
    vae.eval().cpu()
    if config.steps:
        with torch.no_grad():
            vae.statistics.measure([latents(n, t) for n, t in enumerate(strategy.decoded.tensors[:_MEASURED])])
    return TrainedVAE(vae, config.steps, ledger, curve, store, writes=engine.rank == 0)


def finish_vae(
    trained: TrainedVAE,
    selection: Selection,
    decoded: tuple[DecodedClips, DecodedClips],
    outcome: VAEEvaluation,
    *,
    name: str,
    left_out: Mapping[str, str],
    title: Callable[[dict[str, Any]], str],
    draw: Callable[[Path, str, list[Any]], None],
    models: Path,
    reports: Path,
) -> dict[str, Any]:
    """Write weights, ledger, metrics, curve and picture; the metrics. Of several processes only the first writes.

    Args:
        decoded: clips that were trained on, clips that were held out.
        left_out: why clips were not used, beyond what selection and decoding say.
    """
    train, heldout = decoded
    vae = trained.vae
    metrics = rounded(
        {
            "split": "heldout" if len(heldout) else "train",
            **outcome.metrics,
            "train_clips": len(train),
            "steps": trained.steps,
            **outcome.extra,
            "parameters": sum(p.numel() for p in vae.parameters()),
        }
    )
    if not trained.writes:
        return metrics
    why = {**reasons(selection, train.left_out, heldout.left_out), **left_out}
    write_model(functools.partial(save_vae, vae), models, trained.ledger, train.clips, why)
    write_json(reports / "metrics.json", metrics)
    write_curve(reports / "curve.csv", trained.curve, ("step", "loss", "reconstruction", "kl"))
    draw(reports / "reconstructions.png", title(metrics), outcome.rows[:SHOWN])
    trained.store.finish()
    log(f"{name}: {title(metrics)}")
    return metrics
