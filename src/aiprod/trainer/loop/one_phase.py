"""Training without a curriculum: its parameters, and its run."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Literal

from pydantic import Field
from torch import nn

from aiprod.base.params import Params
from aiprod.trainer.loop.accelerator import Engine, Precision
from aiprod.trainer.loop.checkpoints import CheckpointStore
from aiprod.trainer.loop.context import TrainContext
from aiprod.trainer.loop.loop import LoopParams, TrainingRun
from aiprod.trainer.loop.lr_schedule import LRSchedule
from aiprod.trainer.loop.optimizers import OptimizerParams, make_optimizer
from aiprod.trainer.loop.phases import Phase, PhaseScheduler
from aiprod.trainer.loop.samplers import StepSampler
from aiprod.trainer.loop.strategy import BaseStrategy


class OnePhaseParams(Params):
    """How a model is trained: one phase, whose learning rate warms up and then falls along half a cosine."""

    steps: int = Field(ge=0, description="0 with `init`: the given checkpoint is copied")
    batch: int = Field(ge=1, le=65_536, description="samples per step, over all processes")
    lr_scale: float = Field(default=3.0, gt=0, description="times the top-level lr")
    warmup_steps: int = Field(default=10, ge=0)
    weight_decay: float = Field(default=0.01, ge=0)
    max_grad_norm: float = Field(default=1.0, gt=0)
    checkpoint_every_s: float = Field(default=20.0, ge=0, description="0: after every step")

    def scheduler(self, name: str, section: str, lr: float, **schedule: Any) -> PhaseScheduler:
        """The phase as the training loop walks through it.

        Args:
            name: of the phase, in the curve and the exposure ledger.
            section: of params.yaml that holds these parameters.
            lr: base learning rate.
            schedule: further arguments of :class:`LRSchedule`.
        """
        rates = LRSchedule(lr * self.lr_scale, self.steps, self.warmup_steps, "cosine", **schedule)
        return PhaseScheduler({name: Phase(f"{section}.trainer", self.steps, rates, self.weight_decay)})

    def loop(self, *, ema_decay: float) -> LoopParams:
        """As the training loop takes them."""
        return LoopParams(
            max_grad_norm=self.max_grad_norm, checkpoint_every_s=self.checkpoint_every_s, ema_decay=ema_decay
        )


class WholeStrategy(BaseStrategy):
    """A strategy that holds its model and says which samples a step takes."""

    model: nn.Module

    @abstractmethod
    def sampler(self, batch: int, seed: int) -> StepSampler:
        """Which samples each step takes."""


class AveragedTrainer(OnePhaseParams):
    """How a small network is trained: averaged weights, and a rate that ends low."""

    optimizer: Literal["adamw", "muon"] = "adamw"
    final_lr: float = Field(default=0.02, ge=0, le=1, description="share of the rate that the cosine ends at")
    ema_decay: float = Field(default=0.95, ge=0, lt=1)
    precision: Precision = "no"

    def run(
        self, strategy: WholeStrategy, name: str, *, context: TrainContext, store: CheckpointStore, engine: Engine
    ) -> TrainingRun:
        """The training run of stage ``train_NAME``."""
        return TrainingRun(
            strategy=strategy,
            model=strategy.model,
            optimizer=make_optimizer(strategy.model, OptimizerParams(name=self.optimizer)),
            phases=self.scheduler(name, f"train_{name}", context.lr, final_fraction=self.final_lr),
            samplers={name: strategy.sampler(self.batch, context.seed)},
            store=store,
            engine=engine,
            params=self.loop(ema_decay=self.ema_decay),
            log=context.log,
        )
