"""First contact with the tracking store: where it is, the lock round its making, the experiment's id."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from aiprod.base.progress import log
from aiprod.base.state import state
from aiprod.tracking.journal import pass_on, place

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "aiprod"

# A server that is gone must cost seconds, not the minutes that MLflow's own retries would take.
_PATIENCE = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "1",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
}


def tracking_uri() -> str:
    """``MLFLOW_TRACKING_URI``, else SQLite in the state folder (a writer waits up to a minute for another one)."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{state().mlflow_database}?timeout=60"


def experiment_name() -> str:
    """``MLFLOW_EXPERIMENT_NAME``, else ours."""
    return os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT


def connect() -> tuple[MlflowClient, str]:
    """A client and the id of our experiment.

    Two processes that touch a missing database at once both try to create its tables and one fails, so the first
    contact happens under a file lock. What stages left to be passed on is passed on first.
    """
    for name, value in _PATIENCE.items():
        os.environ.setdefault(name, value)
    uri = tracking_uri()
    with FileLock(state().lock("mlflow"), timeout=120):
        import mlflow
        from mlflow import MlflowClient

        for noisy in ("mlflow", "alembic"):
            logging.getLogger(noisy).setLevel(logging.WARNING)
        mlflow.set_tracking_uri(uri)  # the registry looks logged models up through the global address
        mlflow.set_registry_uri(uri)
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        name = experiment_name()
        experiment = client.get_experiment_by_name(name)
        if experiment is not None:
            number = str(experiment.experiment_id)
        else:
            local = uri.startswith("sqlite:")
            artifacts = state().mlflow_artifacts.as_uri() if local else None
            number = str(client.create_experiment(name, artifact_location=artifacts))
        _pass_on(client, number, place(uri, name))
        return client, number


def _pass_on(client: MlflowClient, experiment: str, waiting: Path) -> None:
    try:
        pass_on(client, experiment, waiting)
    except Exception as error:  # what waits is not what the caller came for
        log(f"warning: what a stage said is not in MLflow yet ({first_line(error)}) → see `aiprod doctor`")


def first_line(error: Exception) -> str:
    """The first line of an error's message, cut to a length that fits a warning."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:200]
