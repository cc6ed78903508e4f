"""MLflow: an experiment is a run, its training stages are nested runs, and their phases are nested in those."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from aiprod.tracking import mlflow_runs
from aiprod.tracking.base import RunLogger
from aiprod.tracking.state import LockedState, TrackParams


class MlflowTracker:
    """The tracking store that ``MLFLOW_TRACKING_URI`` names, else SQLite in the state folder."""

    def stage_run(
        self, stage: str, params: Mapping[str, Any] | BaseModel | None, tags: Mapping[str, str]
    ) -> contextlib.AbstractContextManager[RunLogger]:
        """A nested run under the run of the present experiment."""
        return mlflow_runs.stage_run(stage, params, tags)

    def record(self, params: TrackParams, locked: LockedState) -> str | None:
        """Complete the experiment's run from the files of the workspace."""
        from aiprod.tracking.mlflow_record import record

        return record(params, locked)
