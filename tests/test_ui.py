"""`aiprod ui` starts one light server, and what it is told stands in no list of processes."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest

from aiprod.commands import where
from aiprod.errors import AiprodError


class Replaced(Exception):
    """The process has become another program."""


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What `aiprod ui` becomes."""
    program: dict[str, Any] = {}

    def execve(path: str, command: list[str], environment: dict[str, str]) -> None:
        program.update(command=command, env=environment)
        raise Replaced

    monkeypatch.setattr(where, "_pages", lambda: {"curves": "#/curves"})
    monkeypatch.setattr(os, "execve", execve)
    return program


def test_where_names_every_place_and_what_is_not_made_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    (tmp_path / "reports/dossier").mkdir(parents=True)
    (tmp_path / "reports/dossier/index.html").touch()
    monkeypatch.chdir(tmp_path)
    where.where()
    lines = capsys.readouterr().out.splitlines()
    (dossier,) = [line for line in lines if "reports/dossier/index.html" in line]
    (film,) = [line for line in lines if "reports/film/film.mp4 " in line and "finished" in line]
    assert "not made yet" not in dossier and "(not made yet)" in film


def _free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_the_tracking_address_is_no_argument_and_one_process_serves(
    started: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    address = "postgresql://user:hush@db.example/runs"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    port = _free()
    with pytest.raises(Replaced):
        where.ui(port)
    assert started["command"][1:] == ["-m", "aiprod.tracking.mlflow_server", str(port)]
    told = started["env"]
    assert told["MLFLOW_BACKEND_STORE_URI"] == address
    assert told["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == told["MLFLOW_ENABLE_AI_GATEWAY"] == "false"


def test_a_port_in_use_is_one_line_and_a_server_elsewhere_is_named(
    started: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///x.db")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(AiprodError, match=f"another program uses port {other.getsockname()[1]}"):
            where.ui(other.getsockname()[1])
    assert not started and "http" not in capsys.readouterr().out, "no address is printed that shows something else"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://mlflow.example/")
    where.ui(_free())
    assert not started and "https://mlflow.example/#/curves" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore")  # of MLflow's modules, as they are loaded
def test_nothing_that_runs_programs_is_served_and_the_pages_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow's own application, so that a release which moves these things is noticed."""
    from mlflow import MlflowClient
    from mlflow.environment_variables import MLFLOW_ENABLE_AI_GATEWAY, MLFLOW_SERVER_ENABLE_JOB_EXECUTION
    from mlflow.server import fastapi_app
    from starlette.testclient import TestClient

    from aiprod.tracking.mlflow_server import application

    uri = f"sqlite:///{tmp_path}/mlflow.db"
    for variable in (MLFLOW_ENABLE_AI_GATEWAY, MLFLOW_SERVER_ENABLE_JOB_EXECUTION):
        monkeypatch.setenv(variable.name, "false")
    monkeypatch.setenv("MLFLOW_BACKEND_STORE_URI", uri)
    monkeypatch.setattr(os, "environ", os.environ.copy())
    MlflowClient(uri).create_experiment("ours")
    api = "/ajax-api/3.0/mlflow"
    theirs = TestClient(fastapi_app.create_fastapi_app(), base_url="http://127.0.0.1")
    assert theirs.get(f"{api}/assistant/config").status_code == 200, "as MLflow serves it"
    pages = TestClient(application(), base_url="http://127.0.0.1")
    for path in ("assistant/config", "assistant/message", "Assistant/config", "gateway/endpoints/list", "jobs/1"):
        for method in ("GET", "POST", "PUT"):
            assert pages.request(method, f"{api}/{path}").status_code == 404, (method, path)
    assert pages.get(f"{api}/server-info").status_code == 200
    found = pages.get("/ajax-api/2.0/mlflow/experiments/search", params={"max_results": 9}).json()["experiments"]
    assert "ours" in [experiment["name"] for experiment in found]
    start = pages.get("/")
    assert start.status_code == 200 and "[data-assistant-ui]" in start.text and "</html>" in start.text
    assert pages.get("/", headers={"Host": "evil.example"}).status_code == 403


def test_without_a_recorded_run_it_says_so(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_TRACKING_URI", "AIPROD_HOME", "DVC_ROOT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(AiprodError, match="no experiment is recorded yet"):
        where.ui(5001)
