"""Exponential moving average of the weights, with a warm-up so that the random start is forgotten."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from aiprod.trainer.loop.sharding import full_tensor, like, local


class Ema:
    """Averages the trainable parameters of ``model``.

    The decay at step n is ``min(decay, (1 + n) / (10 + n))`` (the schedule of TensorFlow's ExponentialMovingAverage).
    Averages are kept in float32 whatever the model's type, and sharded where the model is. With a decay of 0 they would
    equal the weights, so none are kept.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay, self.updates = decay, 0
        averaged = [(n, p) for n, p in model.named_parameters() if p.requires_grad] if decay else []
        self._average = {n: p.detach().float().clone() for n, p in averaged}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take one step towards the present weights."""
        self.updates += 1
        if not self._average:
            return
        weight = 1.0 - min(self.decay, (1 + self.updates) / (10 + self.updates))
        present = dict(model.named_parameters())
        averages = [local(average) for average in self._average.values()]
        torch._foreach_lerp_(averages, [local(present[name].detach()).float() for name in self._average], weight)

    @contextlib.contextmanager
    def applied(self, model: nn.Module) -> Iterator[None]:
        """The model with averaged weights inside the block, with its own again after it."""
        present = {n: p for n, p in model.named_parameters() if n in self._average}
        kept = {name: parameter.detach().clone() for name, parameter in present.items()}
        try:
            self.copy_to(model)
            yield
        finally:
            with torch.no_grad():
                for name, parameter in present.items():
                    parameter.copy_(kept[name])

    @torch.no_grad()
    def copy_to(self, model: nn.Module) -> None:
        """Give the model the averaged weights."""
        for name, parameter in model.named_parameters():
            if name in self._average:
                parameter.copy_(self._average[name])

    def state_dict(self) -> dict[str, Tensor]:
        """Whole averages by parameter name, and the update count; every rank has to call it."""
        return {**{n: full_tensor(a) for n, a in self._average.items()}, "__updates__": torch.tensor(self.updates)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore; names and shapes must match."""
        names = set(state) - {"__updates__"}
        if names != set(self._average):
            raise ValueError(f"EMA names differ: {sorted(names ^ set(self._average))[:3]}")
        self.updates = int(state["__updates__"])
        for name, average in self._average.items():
            average.copy_(like(state[name], average))
