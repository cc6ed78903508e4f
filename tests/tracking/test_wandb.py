"""Weights & Biases, offline, beside MLflow by one setting: what a stage logs is in the run's file."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aiprod.errors import AiprodError
from aiprod.tracking.base import TRACKERS, trackers
from aiprod.tracking.runs import stage_run, track
from aiprod.tracking.state import TrackParams
from tests.projects import enter_project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    enter_project(tmp_path, monkeypatch, state=tmp_path / "state")
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "params.yaml").write_text("lr: 0.5\ntrack:\n  trackers:\n  - wandb\n")
    return tmp_path


def chunks(data: bytes) -> Iterator[bytes]:
    """The messages of a ``.wandb`` file: 7 bytes, then a LevelDB log (blocks of 32 KiB; CRC, length, type)."""
    at, message = 7, b""
    while at + 7 <= len(data):
        if 32768 - at % 32768 < 7:  # a block's tail that is too short for a header is padding
            at += 32768 - at % 32768
            continue
        size, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        message = (message if kind in (3, 4) else b"") + data[at + 7 : at + 7 + size]
        if kind in (1, 4):  # whole, or the last part
            yield message
        at += 7 + size


def records(home: Path) -> list[dict[str, Any]]:
    """Every record of every offline run, once the process that writes them has written its last."""
    until = time.monotonic() + 20
    found = _records(home)
    while not any("exit" in record for record in found) and time.monotonic() < until:
        time.sleep(0.1)
        found = _records(home)
    return found


def _records(home: Path) -> list[dict[str, Any]]:
    from google.protobuf.json_format import MessageToDict
    from wandb.proto import wandb_internal_pb2

    found = []
    for path in sorted(home.rglob("*.wandb")):
        for data in chunks(path.read_bytes()):
            message = wandb_internal_pb2.Record()
            message.ParseFromString(data)
            found.append(MessageToDict(message))
    return found


def history(home: Path) -> list[dict[str, str]]:
    rows = [r["history"]["item"] for r in records(home) if "history" in r]
    return [{i.get("key") or i["nestedKey"][0]: i["valueJson"] for i in row} for row in rows]


def test_an_unknown_tracker_is_named(project: Path) -> None:
    (project / "params.yaml").write_text("track:\n  trackers:\n  - mlflo\n")
    with pytest.raises(AiprodError, match="did you mean 'mlflow'"), stage_run("train_x"):
        pass
    assert trackers([]) == [] and set(TRACKERS) == {"mlflow", "wandb"}


def test_a_missing_library_is_named_with_its_remedy(project: Path) -> None:
    try:
        import wandb  # noqa: F401
    except ImportError:
        with pytest.raises(AiprodError, match=r"aiprod\[wandb\]"), stage_run("train_x"):
            pass
    else:
        pytest.skip("wandb is installed")


def test_a_stage_and_its_phases_are_in_an_offline_run(project: Path) -> None:
    pytest.importorskip("wandb", reason="wandb is not installed (pip install 'aiprod[wandb]')")
    with stage_run("train_x", {"lr": 0.25, "model": {"width": 8}}) as logger:
        logger.log(0, {"loss": 1.5})
        with logger.phase("low") as phase:
            phase.log(1, {"loss": 0.5})
    rows = history(project / "state")
    assert any(row.get("loss") == "1.5" for row in rows), rows
    assert any(row.get("low/loss") == "0.5" and row.get("step") == "1" for row in rows)
    text = str(records(project / "state"))
    assert "model.width" in text and "train_x" in text
    exits = [r["exit"] for r in records(project / "state") if "exit" in r]
    assert exits in ([{}], [{"exitCode": 0}]) or all(not e.get("exitCode") for e in exits)


def test_a_failing_stage_leaves_a_failed_run(project: Path) -> None:
    pytest.importorskip("wandb", reason="wandb is not installed (pip install 'aiprod[wandb]')")
    with pytest.raises(ZeroDivisionError), stage_run("train_x"):
        raise ZeroDivisionError
    assert [r["exit"].get("exitCode") for r in records(project / "state") if "exit" in r] == [1]


def test_a_state_is_recorded_once_with_its_metrics(project: Path) -> None:
    pytest.importorskip("wandb", reason="wandb is not installed (pip install 'aiprod[wandb]')")
    (project / "dvc.lock").write_text("stages: {}\n")
    (project / "reports/diffusion").mkdir(parents=True)
    (project / "reports/diffusion/metrics.json").write_text('{"loss": {"final": 0.125}}')
    params = TrackParams(trackers=["wandb"])
    first = track(params)["wandb"]
    assert first is not None and track(params)["wandb"] == first
    assert "diffusion/loss.final" in str(records(project / "state"))
    assert len(list((project / "state").rglob("*.wandb"))) == 1
