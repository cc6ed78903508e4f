"""What the training of both autoencoders has in common: the model that is trained, and what is written at the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from aiprod.base.files import write_json
from aiprod.base.progress import say
from aiprod.errors import AiprodError
from aiprod.trainer.stage import (
    given_folder,
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
from aiprod.trainer.vae.data import Decoded
from aiprod.trainer.vae.trainer import VAETrainer, VAETrainerConfig

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


@dataclass(frozen=True)
class Outcome:
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
    vae = loaded(load, part_of(given_folder(params.init), "vae"))
    if params.trainer.steps and not isinstance(vae, own):
        raise AiprodError(
            f"{params.init} is an autoencoder of diffusers, which is used unchanged",
            f"set {section}.trainer.steps to 0",
        )
    return vae


def train_vae(trainer: VAETrainer, latents: Callable[[int, Tensor], Tensor], train: Decoded, *, given: bool) -> Any:
    """Train, and measure the statistics of the latents; the model on the CPU.

    Args:
        latents: number and tensor of a clip → its latents.
        given: the model was given, so it gets no start from the data.
    """
    if given:
        trainer.start = lambda: None  # type: ignore[method-assign]
    trainer.train()
    vae: Any = trainer.vae.cpu()
    if trainer.config.steps:
        with torch.no_grad():
            vae.statistics.measure([latents(number, t) for number, t in enumerate(train.tensors[:_MEASURED])])
    return vae


def finish_vae(
    trainer: Any,
    selection: Selection,
    decoded: tuple[Decoded, Decoded],
    outcome: Outcome,
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
        trainer: a :class:`VAETrainer` with ``ledger()``.
        decoded: clips that were trained on, clips that were held out.
        left_out: why clips were not used, beyond what selection and decoding say.
    """
    train, heldout = decoded
    vae = trainer.vae
    metrics = rounded(
        {
            "split": "heldout" if len(heldout) else "train",
            **outcome.metrics,
            "train_clips": len(train),
            "steps": trainer.config.steps,
            **outcome.extra,
            "parameters": sum(p.numel() for p in vae.parameters()),
        }
    )
    if trainer.engine.rank:
        return metrics
    why = {**reasons(selection, train.left_out, heldout.left_out), **left_out}
    write_model(vae, models, trainer.ledger(), train.clips, why)
    write_json(reports / "metrics.json", metrics)
    write_curve(reports / "curve.csv", trainer.curve, ("step", "loss", "reconstruction", "kl"))
    draw(reports / "reconstructions.png", title(metrics), outcome.rows[:SHOWN])
    trainer.store.finish()
    say(f"{name}: {title(metrics)}")
    return metrics
