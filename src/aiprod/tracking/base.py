"""What an experiment tracker offers, and the ones that there are.

A tracker is one class with two methods: ``stage_run`` for a training stage while it runs, ``record`` for the state of
the pipeline when a run ends. To add one, write the class and name it in :data:`TRACKERS`.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel

from aiprod.base.params import nearest
from aiprod.errors import AiprodError
from aiprod.tracking.state import LockedState, TrackParams

TRACKERS = {
    "mlflow": "aiprod.tracking.mlflow_tracker:MlflowTracker",
    "wandb": "aiprod.tracking.wandb_tracker:WandbTracker",
}
"""Name in ``track.trackers`` → where its class is; a tracker's library is imported when it is used."""


class RunLogger(Protocol):
    """One run of a tracker. No method may raise: whatever a tracker meets, training continues."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Record metrics at a step."""

    def params(self, values: Mapping[str, Any] | BaseModel) -> None:
        """Record parameters; nested ones get dotted names."""

    def tag(self, name: str, value: str) -> None:
        """Set a tag."""

    def artifact(self, path: Path | str, folder: str | None = None) -> None:
        """Keep a file, or the files of a folder, with the run."""

    def phase(self, name: str) -> contextlib.AbstractContextManager[RunLogger]:
        """A logger for one phase of a curriculum."""

    def flush(self) -> None:
        """Write what is waiting."""


class Tracker(Protocol):
    """An experiment tracker."""

    def stage_run(
        self, stage: str, params: Mapping[str, Any] | BaseModel | None, tags: Mapping[str, str]
    ) -> contextlib.AbstractContextManager[RunLogger]:
        """A run for one training stage. Never raises on its own account."""

    def record(self, params: TrackParams, locked: LockedState) -> str | None:
        """Record the state of the pipeline once; the id of its run, None where the tracker cannot be reached."""


def trackers(names: list[str]) -> list[Tracker]:
    """The trackers of these names.

    Raises:
        AiprodError: there is none of that name.
    """
    return [_load(name)() for name in names]


def _load(name: str) -> Any:
    if name not in TRACKERS:
        raise AiprodError(f"track.trackers: there is no tracker {name!r}", nearest(name, list(TRACKERS)))
    module, _, attribute = TRACKERS[name].partition(":")
    return getattr(importlib.import_module(module), attribute)
