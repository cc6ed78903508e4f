"""`aiprod promote`: an alias is set only for the workspace's own model, and only where its gate is open."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from typer import Typer
from typer.testing import CliRunner

from aiprod.base.files import read_json, write_json
from aiprod.commands import promote as command
from aiprod.commands.promotion_gate import DEMANDS, lacking
from aiprod.data.rows import FilmRow
from aiprod.errors import AiprodError
from aiprod.governance.audit.log import AuditLog
from aiprod.governance.dataset.records import FILMS, Records
from aiprod.governance.policy.roles import ROLES
from aiprod.governance.review import report as reports
from aiprod.governance.review.confidence_intervals import bounds
from aiprod.governance.review.report import ReviewReport, SampleReport, Stratum
from aiprod.qc.decide.reviews import HEADER, REVIEWS
from aiprod.storage.manifest.manifest import read_rows, write_manifest
from aiprod.tracking import runs as tracking_runs
from aiprod.tracking.state import TrackParams
from tests.governance.conftest import build_workspace, write_lock

ROLES_TEXT = "roles: {ml_engineer: [promote], legal: [release]}\npeople: {Ada: [ml_engineer], Eve: [legal]}\n"


@pytest.fixture(scope="session")
def registry_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One state folder for all tests here: making MLflow's tables costs seconds."""
    return tmp_path_factory.mktemp("registry")


@pytest.fixture
def trained(tmp_path: Path, registry_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace whose model is ready to be a candidate."""
    for name in ("DVC_ROOT", "DVC_EXP_NAME", "DVC_EXP_BASELINE_REV", "MLFLOW_TRACKING_URI", "AIPROD_ACTOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AIPROD_HOME", str(registry_home))
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", f"test-{uuid.uuid4().hex}")
    root = build_workspace(tmp_path / "work")
    monkeypatch.chdir(root)
    (root / ROLES).write_text(ROLES_TEXT)
    write_json(
        root / "reports/diffusion/metrics.json",
        {"heldout": {"trained": {"loss": 1.2}, "untrained": {"loss": 2.7}}},
    )
    (root / REVIEWS).parent.mkdir(parents=True)
    (root / REVIEWS).write_bytes(HEADER)
    adherence = {"colour": {"n": 30, "rate": 0.8, "chance": 0.2, "beats_chance": True}}
    write_json(root / "reports/sample/metrics.json", {"adherence": adherence})
    for path in (root / "reports/samples").glob("*.json"):
        write_json(path, {**read_json(path), "nearest": {"copy": False, "said": "no copy"}})
    write_lock(root)
    return root


def run(*words: str) -> tuple[int, str]:
    app = Typer(pretty_exceptions_enable=False)
    command.register(app)
    app.command()(lambda: None)
    done = CliRunner().invoke(app, ["promote", *words])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


def reviewed(monkeypatch: pytest.MonkeyPatch, *, looked_at: int = 7, defects: int = 0, redrawn: bool = True) -> None:
    """A sample of 7 clips of 7, as the report tells it."""
    stratum = Stratum("demo CC0-1.0", 7, 7, looked_at, defects, bounds(defects, looked_at, 7))
    sample = SampleReport("2026-q1", "x", True, redrawn, [stratum])
    found = ReviewReport([sample], looked_at, 0, [], [])
    monkeypatch.setattr("aiprod.commands.promotion_gate.report", lambda *_, **__: found)
    assert reports.report is not None


def model_no_better(root: Path) -> None:
    path = root / "reports/diffusion/metrics.json"
    write_json(path, {"heldout": {"trained": {"loss": 2.8}, "untrained": {"loss": 2.7}}})


def model_unmeasured(root: Path) -> None:
    write_json(root / "reports/diffusion/metrics.json", {})


def a_copy(root: Path) -> None:
    path = root / "reports/samples/001.json"
    write_json(path, {**read_json(path), "nearest": {"copy": True, "said": "a copy of training clip c1"}})


def not_compared(root: Path) -> None:
    path = root / "reports/samples/001.json"
    write_json(path, {k: v for k, v in read_json(path).items() if k != "nearest"})


def no_samples(root: Path) -> None:
    for path in (root / "reports/samples").glob("*.mp4"):
        path.unlink()


def right_ended(root: Path) -> None:
    facts = Records(root)
    film = facts.clips[min(facts.exposure)].film_id
    rows = [
        row.model_copy(update={"effective_right": "deny"}) if row.film_id == film else row
        for row in read_rows(root / FILMS, FilmRow)
    ]
    write_manifest(
        root / FILMS, rows, row_model=FilmRow, stage="ingest", key=lambda r: r.film_id, params_digest="p", inputs={}
    )
    write_lock(root)


def weights_changed(root: Path) -> None:
    (root / "models/diffusion/transformer/model.safetensors").write_bytes(b"other weights")


AGAINST: dict[str, tuple[Callable[[Path], None], str]] = {
    "metrics": (model_no_better, "loss on held-out clips is 2.80, no better than chance"),
    "not measured": (model_unmeasured, "is not measured"),
    "copies": (a_copy, "001.mp4 is a copy of training clip c1"),
    "not compared": (not_compared, "001.mp4 was not compared"),
    "no samples": (no_samples, "there are no samples"),
    "rights": (right_ended, "may not be trained on now"),
    "lineage": (weights_changed, "its lineage does not hold"),
}


@pytest.mark.parametrize("what", AGAINST)
def test_each_demand_alone_keeps_the_gate_shut(trained: Path, what: str) -> None:
    assert lacking(trained, "candidate") == []
    breaks, says = AGAINST[what]
    breaks(trained)
    found = lacking(trained, "candidate")
    assert any(says in reason for reason in found), found
    assert all("→" in reason for reason in found), "each with its remedy"


def test_a_broken_log_keeps_the_gate_shut(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: AuditLog
) -> None:
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(log.database)) as connection, connection:
        connection.execute("update entries set data = ? where idx = 0", (b"{}",))
    assert any("audit log does not verify" in reason for reason in lacking(trained, "candidate"))


@pytest.fixture
def log(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AuditLog:
    """A log of its own, with an entry."""
    from aiprod.governance.audit.log import Event

    monkeypatch.setenv("AIPROD_HOME", str(tmp_path / "own"))
    found = AuditLog()
    found.append([Event("stage", "stage/x")])
    return found


def test_a_champion_needs_samples_that_follow_and_a_review_that_excludes_defects(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [r for r in lacking(trained, "champion") if "no random sample of clips was reviewed" in r]
    reviewed(monkeypatch)
    assert lacking(trained, "champion") == []
    reviewed(monkeypatch, looked_at=6)
    assert [r for r in lacking(trained, "champion") if "no random sample" in r]
    reviewed(monkeypatch, defects=1)
    assert [r for r in lacking(trained, "champion") if "1 defect" in r]
    reviewed(monkeypatch, redrawn=False)
    assert [r for r in lacking(trained, "champion") if "not what its seed draws" in r]
    reviewed(monkeypatch)
    weak = {
        "colour": {"n": 10, "rate": 0.3, "chance": 0.2, "beats_chance": True},
        "shape": {"n": 30, "rate": 0.1, "chance": 0.2, "beats_chance": False},
    }
    write_json(trained / "reports/sample/metrics.json", {"adherence": weak})
    assert [r for r in lacking(trained, "champion") if "follow their prompts in 15% of attributes, chance in 20%" in r]
    assert lacking(trained, "candidate") == [], "which is asked less"
    write_json(trained / "reports/sample/metrics.json", {})
    assert [r for r in lacking(trained, "champion") if "no sample was compared with its prompt" in r]
    assert set(DEMANDS["candidate"]) < set(DEMANDS["champion"])


def test_aliases_follow_the_gate_the_role_and_the_model_that_is_here(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from aiprod.tracking.store import connect

    with pytest.raises(AiprodError, match=r"not registered.*dvc repro"):
        run("candidate", "--as", "Ada")
    first = tracking_runs.track(TrackParams())["mlflow"]
    client, _ = connect()
    with pytest.raises(AiprodError, match="may not promote"):
        run("candidate", "--as", "Eve")
    code, said = run("champion", "--as", "Ada")
    assert code == 1 and "it is not the candidate" in said and "no random sample" in said
    assert run("candidate", "--as", "Ada", "--dry-run") == (0, said_may("candidate", said))
    code, said = run("candidate", "--as", "Ada")
    assert code == 0 and "models:/aiprod-diffusion@candidate" in said
    version = client.get_model_version_by_alias("aiprod-diffusion", "candidate")
    assert version.run_id == first
    reviewed(monkeypatch)
    assert run("champion", str(version.version), "--as", "Ada")[0] == 0
    assert client.get_model_version_by_alias("aiprod-diffusion", "champion").version == version.version

    with pytest.raises(AiprodError, match=r"has no version 'nonsense'.*there are"):
        run("champion", "nonsense", "--as", "Ada")
    (trained / "models/diffusion/more.json").write_text("{}")
    write_lock(trained)
    assert tracking_runs.track(TrackParams())["mlflow"] != first
    with pytest.raises(AiprodError, match=r"another model than this workspace holds.*dvc checkout"):
        run("champion", "champion", "--as", "Ada")
    code, said = run("candidate", "--as", "Ada")
    assert code == 0 and f"in place of {version.version}" in said
    assert client.get_model_version_by_alias("aiprod-diffusion", "champion").version == version.version
    entries = [entry.value for entry in AuditLog().entries()]
    promoted = [e["facts"] for e in entries if e["kind"] == "model"]
    assert [f["granted"] for f in promoted] == [False, True, True, True]

    model = client.get_logged_model(client.get_run(first).outputs.model_outputs[0].model_id)
    assert model.source_run_id == first
    below = client.search_runs([model.experiment_id], f"tags.`mlflow.parentRunId` = '{first}'")
    stage = next(found for found in below if found.info.run_name == "train_diffusion")
    assert stage.outputs.model_outputs[0].model_id == model.model_id
    assert stage.inputs.dataset_inputs[0].dataset.name == "datasets/v1/latents"
    assert {metric.key: metric.value for metric in model.metrics}["diffusion/heldout.trained.loss"] == 1.2


def said_may(alias: str, said: str) -> str:
    return f"{said.split(' stays as it is', maxsplit=1)[0]} may become {alias}\n"


def test_a_store_that_cannot_be_reached_is_one_line(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(AiprodError, match="MLflow cannot be asked"):
        run("candidate", "--as", "Ada")
    assert json.loads((trained / "dvc.lock").read_text())["stages"]
