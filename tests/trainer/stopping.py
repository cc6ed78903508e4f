"""Ends a training run at a step, as a kill would, where a test needs no process of its own."""

from __future__ import annotations

from aiprod.trainer.loop.context import Log, no_log


class Stop(Exception):
    """Stands for the moment a process is killed."""


def stop_at(step: int) -> Log:
    """A log that ends the run once the loss of this step is logged; below 0: one that never does."""

    def log(phase: str, number: int, figures: dict[str, float]) -> None:
        if number == step and "loss" in figures:
            raise Stop

    return log if step >= 0 else no_log
