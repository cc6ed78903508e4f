"""What a stage hands to training besides its own parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiprod.base.files import digest_of
from aiprod.trainer.loop.checkpoints import CheckpointStore
from aiprod.trainer.loop.levels import Levels, clip_levels

Log = Callable[[str, int, dict[str, float]], None]  # phase, step, figures


def no_log(phase: str, step: int, figures: dict[str, float]) -> None:
    """Record nothing."""


def under(name: str, write: Callable[[int, dict[str, float]], None]) -> Log:
    """A log of figures of a training beside the main one, each under ``name/``."""
    return lambda _, step, figures: write(step, {f"{name}/{key}": value for key, value in figures.items()})


@dataclass(frozen=True)
class TrainContext:
    """Surroundings of a training run.

    Attributes:
        lr: the top-level base learning rate.
        code: digest of the code that trains.
        checkpoints: fingerprint → folder for resume state.
        inputs: name → digest of everything that was read.
        log: called with (phase, step, figures).
    """

    lr: float
    seed: int
    code: str
    checkpoints: Callable[[str], Path]
    inputs: Mapping[str, str] = field(default_factory=dict)
    log: Log = no_log

    def settings(self, params: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        """Everything that the result depends on, as JSON: a checkpoint made with other settings is not continued."""
        inputs = {"inputs": dict(self.inputs)} if self.inputs else {}
        return {"params": dict(params), "lr": self.lr, "seed": self.seed, "code": self.code, **inputs, **more}

    def level(self, settings: Mapping[str, Any], clips: Iterable[Sequence[Any]]) -> Levels:
        """The one level of a run that reads the same clips from its first step to its last.

        Args:
            settings: what :meth:`settings` returned; the roots of manifests in it name more than the clips.
            clips: the id of each, and all else that training reads of it.
        """
        return clip_levels({k: v for k, v in settings.items() if k != "inputs"}, [clips], [])

    def store(self, settings: Mapping[str, Any], keep_last: int = 2) -> CheckpointStore:
        """Where a run with these settings keeps its resume state."""
        return CheckpointStore(self.checkpoints(digest_of(settings)[:20]), settings, keep_last)
