"""`aiprod ui` starts one light server, and what it is told stands in no list of processes."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from aiprod.commands import where
from aiprod.errors import AiprodError


def test_the_tracking_address_is_no_argument_and_one_worker_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    started: dict[str, Any] = {}

    def run(command: list[str], *, env: dict[str, str], **_: Any) -> subprocess.CompletedProcess[bytes]:
        started.update(command=command, env=env)
        return subprocess.CompletedProcess(command, 0)

    address = "postgresql://user:hush@db.example/runs"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    monkeypatch.setattr(where, "_pages", dict)
    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(where.typer.Exit):
        where.ui(5001)
    assert not [word for word in started["command"] if "hush" in word or "db.example" in word]
    told = started["env"]
    assert told["MLFLOW_BACKEND_STORE_URI"] == address and told["MLFLOW_WORKERS"] == "1"
    assert told["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"


@pytest.mark.filterwarnings("ignore")  # of its own modules, as they are loaded
def test_mlflow_reads_these_variables() -> None:
    """By its own definitions, so that a release that renames one is noticed."""
    from mlflow.cli import server
    from mlflow.environment_variables import MLFLOW_SERVER_ENABLE_JOB_EXECUTION

    read = {variable for parameter in server.params if (variable := getattr(parameter, "envvar", None))}
    assert {"MLFLOW_BACKEND_STORE_URI", "MLFLOW_WORKERS"} <= read
    assert MLFLOW_SERVER_ENABLE_JOB_EXECUTION.name == "MLFLOW_SERVER_ENABLE_JOB_EXECUTION"


def test_without_a_recorded_run_it_says_so(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_TRACKING_URI", "AIPROD_HOME", "DVC_ROOT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(AiprodError, match="no experiment is recorded yet"):
        where.ui(5001)
