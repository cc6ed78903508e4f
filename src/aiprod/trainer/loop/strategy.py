"""What a strategy is: everything about one kind of model and task that the training loop must not know."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from aiprod.trainer.loop.accelerator import Engine
from aiprod.trainer.loop.samplers import Draw


@dataclass(frozen=True)
class StepLoss:
    """The loss to descend and figures for the log."""

    loss: Tensor
    figures: dict[str, float] = field(default_factory=dict)


class BaseStrategy(ABC):
    """Loads what a batch needs, computes its loss, and measures held-out loss.

    ``load`` may run ahead in a thread and must not touch the model or any random state; ``loss`` draws everything
    random from generators made of (seed, step, slot), so that a step is the same on resume and on any number of ranks.
    """

    in_memory: ClassVar[bool] = False  # True where loading is too quick to be worth a thread

    @abstractmethod
    def load(self, phase: str, draw: Draw, places: Sequence[int]) -> Any:
        """Read the samples at some places of a global batch: a rank's share, or a part of it."""

    @abstractmethod
    def loss(self, model: nn.Module, batch: Any, *, step: int, slots: Sequence[int], device: torch.device) -> StepLoss:
        """Loss of what ``load`` returned.

        Args:
            step: number of the step, from 0.
            slots: place of each sample in the global batch.
        """

    def heldout(self, model: nn.Module, phase: str, *, device: torch.device) -> dict[str, float]:
        """Held-out losses with fixed noise, ``heldout/…``; empty where nothing is held out."""
        return {}

    def start(self, model: nn.Module) -> None:  # noqa: B027 (a hook)
        """Give a new model its start from the data; called before the first step, and not on resume."""

    def prepare(self, engine: Engine) -> None:  # noqa: B027 (a hook)
        """Place modules that are not part of the model on the engine's device; called before each training."""

    def after_update(self, step: int) -> dict[str, float]:
        """What follows the model's update in each step, such as that of a discriminator; figures for the log."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values of the strategy's own that a resumed run needs."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:  # noqa: B027 (a hook)
        """Restore."""
