"""Short trainings load no MLflow; what they say is there all the same once somebody connects, and once only."""

from __future__ import annotations

import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from aiprod.tracking import journal, mlflow_runs
from aiprod.tracking.identity import PARENT_TAG, STAGE_TAG
from aiprod.tracking.runs import stage_run
from aiprod.tracking.store import connect, experiment_name, tracking_uri

SHORT = """
import sys
from pathlib import Path
from aiprod.tracking.runs import stage_run
with stage_run("train_x", {"lr": 0.1, "model": {"width": 8}}, dataset_root="ab") as logger:
    with logger.phase("low") as nested:
        for step in range(2000):
            nested.log(step, {"loss": 1.0 / (step + 1)})
    Path("curve.png").write_text("first")
    logger.artifact("curve.png", "pictures")
    Path("curve.png").write_text("second")
print(sorted({"mlflow", "pandas", "sqlalchemy"} & set(sys.modules)))
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One state folder for all tests here; each has its own experiment."""
    return tmp_path_factory.mktemp("journal")


@pytest.fixture(autouse=True)
def project(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AIPROD_HOME", str(home))
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", f"test-{uuid.uuid4().hex}")
    for name in ("DVC_EXP_BASELINE_REV", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DVC_EXP_NAME", "bold-newt")
    monkeypatch.chdir(tmp_path)
    Path("dvc.yaml").write_text("stages: {}\n")
    Path("params.yaml").write_text("lr: 0.1\n")
    return tmp_path


def runs() -> dict[str, Any]:
    client, experiment = connect()
    found = list(client.search_runs([experiment]))
    assert len({run.info.run_name for run in found}) == len(found)
    return {run.info.run_name: run for run in found}


def waiting() -> list[str]:
    folder = journal.place(tracking_uri(), experiment_name())
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def test_a_short_training_loads_no_mlflow_and_is_recorded_whole(project: Path) -> None:
    begin = time.time() * 1000
    done = subprocess.run([sys.executable, "-c", SHORT], capture_output=True, text=True, check=True)
    end = time.time() * 1000
    assert done.stdout.strip() == "[]"
    assert len(waiting()) == 1
    made = runs()
    assert waiting() == [] and set(made) == {"bold-newt", "train_x", "low"}
    stage, low = made["train_x"], made["low"]
    assert stage.data.tags[PARENT_TAG] == made["bold-newt"].info.run_id and stage.data.tags[STAGE_TAG] == "train_x"
    assert stage.data.tags["aiprod.dataset_root"] == "ab" and low.data.tags[PARENT_TAG] == stage.info.run_id
    assert stage.data.params == {"lr": "0.1", "model.width": "8"}
    for run in (stage, low):
        assert begin - 1 <= run.info.start_time <= run.info.end_time <= end and run.info.status == "FINISHED"
    client, _ = connect()
    history = client.get_metric_history(low.info.run_id, "loss")
    steps = [point.step for point in history]
    assert steps[:200] == list(range(200)) and steps[-1] == 1999 and len(steps) < 600, "of a long curve, some points"
    assert [point.value for point in history] == [1.0 / (step + 1) for step in steps]
    assert all(begin - 1 <= point.timestamp <= end for point in history)
    kept = client.download_artifacts(stage.info.run_id, "pictures/curve.png", str(project))
    assert Path(kept).read_text() == "first", "as it was when it was logged"


def test_a_short_training_tells_what_the_machine_did(project: Path) -> None:
    with stage_run("train_x") as logger, logger.phase("low") as nested:
        nested.log(0, {"loss": 1.0})
        end = time.monotonic() + 0.7
        while time.monotonic() < end:  # one core is busy
            pass
    for name, run in runs().items():
        if name in ("train_x", "low"):
            figures = run.data.metrics
            assert 0 < figures["system/cpu_utilization_percentage"] <= 100
            assert figures["system/system_memory_usage_megabytes"] > 50
            assert 0 < figures["system/system_memory_usage_percentage"] < 100


def test_a_training_that_goes_on_is_followed_live_from_then_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlflow_runs, "_FLUSH_SECONDS", 0.0)
    with stage_run("train_x", {"a": 1}) as logger, logger.phase("low") as phase:
        phase.log(0, {"loss": 1.0})
        assert "train_x" not in runs()
        monkeypatch.setattr(mlflow_runs, "LIVE_AFTER_S", 0.0)
        phase.log(1, {"loss": 0.5})
        seen = runs()
        assert seen["low"].data.metrics["loss"] == 0.5 and seen["low"].info.status == "RUNNING"
        Path("a.txt").write_text("a")
        logger.artifact("a.txt")
    client, _ = connect()
    made = runs()
    assert [p.value for p in client.get_metric_history(made["low"].info.run_id, "loss")] == [1.0, 0.5]
    assert [a.path for a in client.list_artifacts(made["train_x"].info.run_id)] == ["a.txt"]
    assert {made[name].info.status for name in ("train_x", "low")} == {"FINISHED"} and waiting() == []


def test_what_was_said_in_part_is_said_anew(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    with stage_run("train_x") as logger:
        logger.log(0, {"loss": 1.0})
    client, _ = connect()  # the first contact passes it on
    first = runs()["train_x"].info.run_id
    with stage_run("train_y") as logger:
        logger.log(0, {"loss": 1.0})
    with monkeypatch.context() as broken:
        broken.setattr(type(client), "log_batch", lambda *_, **__: 1 / 0)
        connect()
    assert "not in MLflow yet" in capfd.readouterr().err and len(waiting()) == 1
    made = runs()
    assert made["train_y"].data.metrics["loss"] == 1.0 and made["train_y"].info.status == "FINISHED"
    assert made["train_x"].info.run_id == first and waiting() == []


def test_what_waits_for_one_experiment_is_not_said_to_another(monkeypatch: pytest.MonkeyPatch) -> None:
    with stage_run("train_x") as logger:
        logger.log(0, {"loss": 1.0})
    own = experiment_name()
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", f"test-{uuid.uuid4().hex}")
    assert runs() == {}
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", own)
    assert "train_x" in runs()


def test_the_experiment_is_described_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    with stage_run("train_x"):
        pass
    monkeypatch.setenv("DVC_EXP_NAME", "another")
    assert set(runs()) == {"bold-newt", "train_x"}
