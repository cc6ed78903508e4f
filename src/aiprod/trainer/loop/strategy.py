"""What a strategy is: everything about one kind of model and task that the training loop must not know."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class StepLoss:
    """The loss to descend and figures for the log."""

    loss: Tensor
    figures: dict[str, float] = field(default_factory=dict)


class BaseStrategy(ABC):
    """Loads what a batch needs, computes its loss, and measures held-out loss.

    ``load`` runs ahead in a thread and must not touch the model or any random state; ``loss`` draws everything random
    from generators made of (seed, step, slot), so that a step is the same on resume and on any number of ranks.
    """

    @abstractmethod
    def load(self, phase: str, clip_ids: Sequence[str]) -> Any:
        """Read the samples of one (part of a) batch."""

    @abstractmethod
    def loss(self, model: nn.Module, batch: Any, *, step: int, slots: Sequence[int], device: torch.device) -> StepLoss:
        """Loss of one batch.

        Args:
            step: number of the step, from 0.
            slots: place of each sample in the global batch.
        """

    @abstractmethod
    def heldout(self, model: nn.Module, phase: str, *, device: torch.device) -> dict[str, float]:
        """Held-out losses with fixed noise, ``heldout/…``; empty where no clip is held out."""
