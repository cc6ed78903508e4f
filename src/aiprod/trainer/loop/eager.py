"""Optimizers that leave torch's compiler unloaded, which torch loads (900 modules, about a second) to keep it off."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable

import torch

_ASK_FIRST = ("add_param_group", "zero_grad", "state_dict", "load_state_dict")
_adam_step = inspect.unwrap(torch.optim.AdamW.step)


def keep_compiler_out() -> None:
    """Let optimizers be made and saved without the compiler, which changes nothing where it does not run.

    Where it is loaded already, or torch has changed, everything stays as it is.
    """
    if "torch._dynamo" in sys.modules:
        return
    for name in _ASK_FIRST:
        method = getattr(getattr(torch.optim.Optimizer, name, None), "__wrapped__", None)
        if method is not None and not hasattr(method, "__dynamo_disable"):
            method.__dynamo_disable = method


class AdamW(torch.optim.AdamW):
    """torch's AdamW with the same steps to the bit; it cannot be differentiated through."""

    def __init__(self, *args: object, **options: object) -> None:
        keep_compiler_out()
        super().__init__(*args, **options)  # type: ignore[arg-type]

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        done: float | None = _adam_step(self, closure)
        return done
