"""Stage ``track``: records the state of the pipeline in the trackers and the audit log. It has no outputs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from aiprod.base.progress import log
from aiprod.base.state import state
from aiprod.base.state_cache import InputState, recall_unchanged, remember_unchanged
from aiprod.repo.git import head_commit
from pipeline.running import run

_NOTE = "track"


def main() -> None:
    """Record once; meeting the same state again costs a fraction of a second."""
    if recall_unchanged(_NOTE, _stated()) is not None:
        log("track: this state is recorded (nothing changed)")
        return
    from aiprod.base.params import load_params
    from aiprod.governance.audit.head import places
    from aiprod.governance.dataset.audit_sync import log_new_state
    from aiprod.governance.organisation import load_organisation
    from aiprod.printable import counted
    from aiprod.repo.dvc_lock import Lock
    from aiprod.tracking.runs import track
    from aiprod.tracking.state import TrackParams

    watched = InputState(
        read=[Path("dvc.lock"), Path("params.yaml"), Path("datasets/organisation.yaml")],
        outputs=places(),
        databases=[state().mlflow_database, state().audit_database],
    )
    begun = watched.before(_stated())
    params = load_params(TrackParams, "track")
    here = params.trackers == ["mlflow"] and "MLFLOW_TRACKING_URI" not in os.environ  # MLflow sets it
    runs = track(params)
    if added := log_new_state(Path()):
        log(f"audit log: {counted(added, 'new entry', 'new entries')}; `aiprod audit checkpoint` signs them for git")
    if here and runs["mlflow"] and load_organisation(Path()).audit_witness is None and not Lock(Path()).lost:
        remember_unchanged(_NOTE, watched, begun, True)  # what is elsewhere can change where nobody here would see it


def _stated() -> list[Any]:
    """What a run's name and place come from that is in no file."""
    names = ("DVC_EXP_NAME", "DVC_EXP_BASELINE_REV", "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME")
    return [os.getcwd(), head_commit(), {name: os.environ.get(name) for name in names}]


if __name__ == "__main__":
    run(main)
