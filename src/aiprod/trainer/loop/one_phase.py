"""Parameters of training without a curriculum."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from aiprod.base.params import Params
from aiprod.trainer.loop.loop import LoopParams
from aiprod.trainer.loop.lr_schedule import LRSchedule
from aiprod.trainer.loop.phases import Phase, PhaseScheduler


class OnePhaseParams(Params):
    """How a model is trained: one phase, whose learning rate warms up and then falls along half a cosine."""

    steps: int = Field(ge=0, description="0 with `init`: the given checkpoint is copied")
    batch: int = Field(ge=1, le=65_536, description="samples a step, over all processes")
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
