"""What the loop takes its batches from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import torch


class Draw(NamedTuple):
    """A global batch before its samples are read.

    Attributes:
        content: what the sampler drew besides the clips, for the strategy.
        clip_ids: the clip of each place in the batch; the exposure ledger counts them.
    """

    content: Any
    clip_ids: list[str]


class BatchSampler(Protocol):
    """Draws global batches, the same ones on every rank, and can go on from a saved position."""

    batch: int

    def next(self) -> tuple[Any, list[str]]:
        """The next batch, as :class:`Draw` describes it."""

    def state_dict(self) -> dict[str, Any]:
        """The position, as JSON."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to a saved position."""


class StepSampler:
    """Draws each batch with a generator of its own, seeded by (seed, step): the position is a number.

    Args:
        draw: called with the generator; returns content and clip ids. What it leaves in the generator is there for the
            strategy, if it passes it on as content.
        batch: clips in a global batch.
    """

    def __init__(self, draw: Callable[[torch.Generator], tuple[Any, list[str]]], *, batch: int, seed: int) -> None:
        self.batch, self.seed, self.step = batch, seed, 0
        self._draw = draw

    def next(self) -> tuple[Any, list[str]]:
        """Draw for the next step."""
        generator = torch.Generator().manual_seed(step_seed(self.seed, self.step))
        self.step += 1
        return self._draw(generator)

    def state_dict(self) -> dict[str, Any]:
        """The number of the next step."""
        return {"step": self.step}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to a step."""
        self.step = int(state["step"])


def step_seed(seed: int, step: int) -> int:
    """A seed for one step of a run."""
    return seed * 1_000_003 + step
