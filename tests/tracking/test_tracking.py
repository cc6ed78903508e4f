"""Tracking: every state is in MLflow once, nested, with DVC's figures, and a broken store never stops training."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import sqlite3
import subprocess
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from aiprod.base.state import state
from aiprod.tracking import runs as tracking_runs
from aiprod.tracking.identity import PARENT_TAG, STAGE_TAG
from aiprod.tracking.runs import stage_run
from aiprod.tracking.state import LockedState, TrackParams, metrics_of
from aiprod.tracking.store import connect
from tests.projects import git
from tests.warm import client as warm

LIVE = """
from aiprod.tracking import mlflow_runs
mlflow_runs.LIVE_AFTER_S = 0.0
from aiprod.tracking.runs import stage_run
with stage_run("train_diffusion", {"lr": 0.1}) as logger:
    for phase in ("low", "high"):
        with logger.phase(phase) as nested:
            for step in range(5):
                nested.log(step, {"loss": 1.0 / (step + 1)})
"""


def run_elsewhere(folder: Path, program: str, name: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a program, which is kept in the folder under this name, in another process."""
    (folder / f"{name}.py").write_text(program)
    return warm.run((name,), folder, {**os.environ, **variables}, timeout_s=120)


def track(params: TrackParams) -> str | None:
    return tracking_runs.track(params)["mlflow"]


@pytest.fixture(scope="session")
def tracking_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One state folder for all tests here: making MLflow's tables costs seconds. Each test has its own experiment."""
    return tmp_path_factory.mktemp("tracking")


@pytest.fixture
def project(tmp_path: Path, tracking_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace after `dvc repro`, with dvc.lock, figures, a curve with phases and a sample."""
    monkeypatch.setenv("AIPROD_HOME", str(tracking_home))
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", f"test-{uuid.uuid4().hex}")
    for name in ("DVC_EXP_NAME", "DVC_EXP_BASELINE_REV", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    put = lambda name, text: (Path(name).parent.mkdir(parents=True, exist_ok=True), Path(name).write_text(text))  # noqa: E731
    put("dvc.yaml", "stages: {}\n")
    put("params.yaml", "lr: 1e-05\ntrain_diffusion:\n  width: 64\n")
    put("reports/diffusion/metrics.json", json.dumps({"loss": {"final": 0.25, "start": 1.5}, "note": "words"}))
    put("reports/diffusion/curve.csv", "step,phase,loss,grad\n0,low,1.5,\n1,low,1.0,0.5\n2,high,0.25,0.4\n")
    put("reports/samples/000.mp4", "not a real film, bytes are bytes here")
    put("datasets/v1/latents/manifest.json", json.dumps({"merkle_root": "ab" * 32, "rows": 3, "counts": {"ok": 3}}))
    lock({"models/diffusion": "11" * 16})
    return tmp_path


def lock(outs: dict[str, str], **more: int) -> None:
    latents = {"path": "datasets/v1/latents", "md5": "0" * 32 + ".dir"}
    stages = {
        "cache_latents": {"cmd": "x", "outs": [latents]},
        "train_diffusion": {
            "cmd": "x",
            "params": {"params.yaml": {"lr": 1e-05, **more}},
            "outs": [{"path": k, "md5": v} for k, v in outs.items()],
        },
        "track": {"cmd": "x", "deps": [{"path": "reports/dossier", "md5": uuid.uuid4().hex}]},
    }
    Path("dvc.lock").write_text(json.dumps({"schema": "2.0", "stages": stages}))


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stages are followed live from their first moment, as long trainings are."""
    monkeypatch.setattr("aiprod.tracking.mlflow_runs.LIVE_AFTER_S", 0.0)


def runs() -> list[Any]:
    client, experiment = connect()
    return list(client.search_runs([experiment]))


def named(name: str) -> Any:
    found = [r for r in runs() if r.info.run_name == name]
    assert len(found) == 1, [r.info.run_name for r in runs()]
    return found[0]


def test_a_restored_state_is_recorded_whole_and_once(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_EXP_NAME", "bold-newt")
    run = track(TrackParams())
    client, _ = connect()
    parent = named("bold-newt")
    assert parent.info.run_id == run and parent.info.status == "FINISHED"
    assert parent.data.params["train_diffusion.width"] == "64"
    final = {"diffusion/loss.final": 0.25, "diffusion/loss.start": 1.5}
    assert parent.data.metrics == final | {"all_models/diffusion_loss": 0.25}
    stage = named("train_diffusion")
    assert stage.data.tags[PARENT_TAG] == run and stage.data.tags[STAGE_TAG] == "train_diffusion"
    history = lambda run, name: [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, name)]  # noqa: E731
    assert history(stage, "loss") == [(0, 1.5), (1, 1.0), (2, 0.25)]
    assert history(parent, "all_models/diffusion_loss") == history(stage, "loss"), "experiments compare as curves"
    assert history(stage, "phase") == [(0, 1), (1, 1), (2, 2)], "a step up where a phase begins"
    low, high = named("low"), named("high")
    assert low.data.tags[PARENT_TAG] == stage.info.run_id
    assert history(low, "loss") == [(0, 1.5), (1, 1.0)]
    assert high.data.metrics == {"loss": 0.25, "grad": 0.4}
    dataset = parent.inputs.dataset_inputs[0].dataset
    assert dataset.digest == "0" * 32 + ".dir"
    assert json.loads(dataset.source)["merkle_root"] == "ab" * 32
    assert {a.path for a in client.list_artifacts(run)} >= {"dvc.lock", "params.yaml", "samples"}
    version = client.get_model_version_by_alias("aiprod-diffusion", "newest")
    assert version.run_id == run and version.tags["dvc.md5"] == "11" * 16
    assert track(TrackParams()) == run, "again: found without a new run"
    assert len(runs()) == 4


def test_another_experiment_with_the_same_outcome_is_linked(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = track(TrackParams())
    monkeypatch.setenv("DVC_EXP_NAME", "same-again")
    assert track(TrackParams()) == first
    parent = next(r for r in runs() if r.info.run_id == first)
    assert parent.data.tags["aiprod.also_known_as"] == "same-again"


def test_new_results_under_the_same_name_do_not_overwrite(project: Path) -> None:
    first = track(TrackParams())
    lock({"models/diffusion": "22" * 16})
    Path("reports/diffusion/metrics.json").write_text('{"loss": {"final": 0.125}}')
    second = track(TrackParams())
    by_id = {r.info.run_id: r for r in runs()}
    assert by_id[first].data.metrics["diffusion/loss.final"] == 0.25
    assert by_id[second].data.metrics["diffusion/loss.final"] == 0.125
    assert by_id[second].info.run_name == f"{by_id[first].info.run_name}-2: new diffusion"
    Path("params.yaml").write_text("lr: 1e-05\ntrain_diffusion:\n  width: 64\n  steps: 9\n")
    lock({"models/diffusion": "22" * 16}, steps=9)
    third = track(TrackParams())
    by_id = {r.info.run_id: r for r in runs()}
    assert third not in (first, second) and by_id[third].info.run_name.endswith(": same data and models")
    assert by_id[second].info.run_name in by_id[third].data.tags["mlflow.note.content"]
    made = [output.model_id for run in (second, third) for output in connect()[0].get_run(run).outputs.model_outputs]
    assert len(made) == 2 and len(set(made)) == 1, "the same bytes are one model, and an output of both runs"


def test_a_live_stage_is_completed_not_doubled(project: Path, live: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_EXP_NAME", "live-one")
    exec(LIVE)
    track(TrackParams())
    stage = named("train_diffusion")
    assert stage.data.params["lr"] == "0.1" and stage.data.metrics["final/loss.final"] == 0.25
    assert named("low").data.metrics["loss"] == pytest.approx(0.2), "from the live run, not from the curve"
    assert "aiprod.restored" not in stage.data.tags
    assert named("live-one").data.metrics["diffusion/loss.final"] == 0.25


def test_a_stage_that_ran_keeps_its_own_times(project: Path) -> None:
    with stage_run("train_diffusion", {"lr": 0.1}) as logger:
        logger.log(0, {"loss": 1.0})
    time.sleep(0.3)
    track(TrackParams())
    stage = named("train_diffusion")
    (parent,) = [run for run in runs() if PARENT_TAG not in run.data.tags]
    assert stage.info.end_time - stage.info.start_time < 300
    assert parent.info.start_time == stage.info.start_time and parent.info.end_time >= stage.info.end_time + 300


def test_a_live_stage_that_had_nothing_left_to_train_shows_the_curves_of_its_steps(project: Path, live: None) -> None:
    with stage_run("train_diffusion", {"lr": 0.1}) as logger:
        logger.log(2, {"data_wait_share": 0.0})
    track(TrackParams())
    stage = named("train_diffusion")
    assert stage.data.tags["aiprod.restored"] == "true"
    assert stage.data.metrics["loss"] == 0.25 and stage.data.metrics["phase"] == 2
    assert named("low").data.metrics["loss"] == 1.0


@pytest.mark.parametrize("after_s", [0.0, 120.0])
def test_a_failing_trainer_leaves_a_failed_run(project: Path, monkeypatch: pytest.MonkeyPatch, after_s: float) -> None:
    monkeypatch.setattr("aiprod.tracking.mlflow_runs.LIVE_AFTER_S", after_s)
    with pytest.raises(ZeroDivisionError), stage_run("train_x") as logger:
        logger.log(0, {"loss": 1.0})
        raise ZeroDivisionError
    run = named("train_x")
    assert run.info.status == "FAILED" and run.data.metrics["loss"] == 1.0


def test_runs_of_a_killed_process_are_closed_by_the_next(project: Path, live: None) -> None:
    until = "for step in range(9):\n                step == 3 and (nested.flush(), os._exit(9))"
    killed = "import os\n" + LIVE.replace("for step in range(5):", until)
    assert run_elsewhere(project, killed, "killed").returncode == 9
    assert {r.info.status for r in runs()} == {"RUNNING"}
    exec(LIVE)
    track(TrackParams())
    assert sorted(r.info.status for r in runs() if r.info.run_name == "train_diffusion") == ["FINISHED", "KILLED"]
    assert all(r.info.status != "RUNNING" for r in runs())


def test_a_run_whose_pipeline_never_went_on_is_ended(
    project: Path, live: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_EXP_NAME", "left-alone")
    with pytest.raises(ZeroDivisionError), stage_run("train_diffusion"):
        raise ZeroDivisionError
    monkeypatch.setenv("DVC_EXP_NAME", "at-work")
    with stage_run("train_diffusion"):
        monkeypatch.setenv("DVC_EXP_NAME", "bold-newt")
        track(TrackParams())
        assert named("left-alone").info.status == "RUNNING", "it may go on"
        monkeypatch.setattr("aiprod.tracking.mlflow_record._ABANDONED_AFTER_S", -1.0)
        lock({"models/diffusion": "22" * 16})
        track(TrackParams())
        assert named("left-alone").info.status == "KILLED" and named("at-work").info.status == "RUNNING"


def test_a_deleted_record_is_made_again(project: Path) -> None:
    first = track(TrackParams())
    connect()[0].delete_run(first)
    assert track(TrackParams()) not in (None, first)


def test_a_dead_server_costs_one_line_and_seconds(
    project: Path, live: None, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    done: list[int] = []
    with stage_run("train_x", {"a": 1}) as logger, logger.phase("low") as phase:
        for step in range(3):
            phase.log(step, {"loss": 1.0})
            done.append(step)
    assert done == [0, 1, 2]
    assert track(TrackParams()) is None
    printed = [line for line in capfd.readouterr().err.splitlines() if line.startswith("warning")]
    assert len(printed) == 2, "one for the stage, one for track"


def test_a_held_database_costs_one_line_and_the_record_is_made_when_it_is_free(
    project: Path, live: None, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    connect()
    place = state().mlflow_database
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{place}?timeout=0.2")
    done: list[int] = []
    with contextlib.closing(sqlite3.connect(place, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with stage_run("train_x", {"a": 1}) as logger, logger.phase("low") as phase:
            for step in range(3):
                phase.log(step, {"loss": 1.0})
                done.append(step)
        other.execute("ROLLBACK")
    assert done == [0, 1, 2]
    (line,) = (line for line in capfd.readouterr().err.splitlines() if line.startswith("warning"))
    assert "training continues" in line and "Traceback" not in line
    with stage_run("train_x", {"a": 1}) as logger:
        logger.log(0, {"loss": 1.0})
    assert named("train_x").info.status == "FINISHED"
    assert track(TrackParams()) is not None
    assert all(r.info.status != "RUNNING" for r in runs())


def test_the_state_is_what_was_used_and_made_and_not_code(project: Path) -> None:
    before = LockedState.read().digest
    text = Path("dvc.lock").read_text()
    Path("dvc.lock").write_text(text.replace('"cmd": "x"', '"cmd": "y"'))
    assert LockedState.read().digest == before
    Path("dvc.lock").write_text(text.replace("11" * 16, "33" * 16))
    assert LockedState.read().digest != before


def test_figures_are_those_that_dvc_shows(project: Path) -> None:
    assert metrics_of(Path()) == {"diffusion": {"loss.final": 0.25, "loss.start": 1.5}}


@pytest.mark.slow
def test_two_experiments_at_once_on_a_missing_database(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIPROD_HOME", str(tmp_path / "fresh"))
    with ThreadPoolExecutor() as at_once:
        both = list(at_once.map(lambda n: run_elsewhere(project, LIVE, n, DVC_EXP_NAME=n), ("left", "right")))
    for done in both:
        assert done.returncode == 0 and "warning" not in done.stderr, done.stderr
    names = sorted(r.info.run_name for r in runs())
    assert names == sorted(["left", "right", *["train_diffusion", "low", "high"] * 2])


def test_a_run_is_named_and_described_by_what_was_changed(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from aiprod.tracking.identity import Origin, changes

    run_name = lambda key: dataclasses.replace(Origin.present(), key=key).run_name()  # noqa: E731
    monkeypatch.setenv("DVC_EXP_NAME", "bold-newt")
    git("init", "-q")
    git("add", "params.yaml")
    git("commit", "-qm", "first")
    assert changes() == {} and run_name("bold-newt") == "bold-newt"
    Path("params.yaml").write_text("# a comment\nlr: 0.001\ntrain_diffusion: {width: 64, steps: 9}\n")
    assert changes() == {"lr": (1e-05, 0.001), "train_diffusion.steps": (None, 9)}
    track(TrackParams())
    run = named("bold-newt: lr 0.001, train_diffusion.steps 9")
    note = run.data.tags["mlflow.note.content"]
    assert "| `lr` | 1e-05 | 0.001 |" in note and "| `train_diffusion.steps` | none | 9 |" in note
    git("add", "params.yaml")
    git("commit", "-qm", "second")
    assert changes() == {}
    monkeypatch.setenv("DVC_EXP_BASELINE_REV", "HEAD~1")
    assert list(changes()) == ["lr", "train_diffusion.steps"], "an experiment is compared with where it began"
    Path("params.yaml").write_text("\n".join(f"k{n}: {'v' * 500}" for n in range(60)))
    assert (len(run_name("x")) <= 120 and ", +" in run_name("x")) or len(run_name("x")) == 120
    Path("params.yaml").write_text("lr: 1e-05\ntrain_diffusion: {width: 64}\nfrom: http://me:secret@example.com/\n")
    assert changes() == {}, "what is secret is not named"


def test_the_stage_looks_again_only_where_something_changed(
    project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from aiprod.base.state import state
    from aiprod.governance.audit.log import AuditLog, Event
    from aiprod.tracking.store import connect
    from pipeline import track as stage

    (project / "params.yaml").write_text("lr: 1e-05\ntrack: {}\n")

    def again(address: str = "") -> bool:
        if address:
            monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        else:  # MLflow sets it, for its own children
            monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
        capfd.readouterr()
        stage.main()
        return "(nothing changed)" not in capfd.readouterr().err

    assert again() and not again()
    changes: list[Callable[[], object]] = [
        lambda: lock({"models/diffusion": "22" * 16}),
        lambda: (project / "params.yaml").write_text("lr: 2e-05\ntrack: {}\n"),
        lambda: connect()[0].delete_run(connect()[0].search_runs([connect()[1]])[0].info.run_id),
        lambda: AuditLog().append([Event("verdict", "c1", {})]),
        lambda: state().audit_database.with_name("audit.head").unlink(missing_ok=True),
        lambda: monkeypatch.setenv("DVC_EXP_NAME", "another"),
    ]
    for number, change in enumerate(changes):
        change()
        assert again(), number
        assert not again(), number
    elsewhere = f"sqlite:///{state().mlflow_database}"
    assert again(elsewhere) and again(elsewhere), "what a server holds is not seen from here"
