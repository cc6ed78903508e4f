"""Lineage of past states and as PROV and OpenLineage: the same facts in other people's words."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from prov.model import ProvDocument
from typer import Typer
from typer.testing import CliRunner

from aiprod.commands import lineage as command
from aiprod.errors import AiprodError
from aiprod.governance.dataset.lazy_rows import RowView
from aiprod.governance.dataset.records import Records
from aiprod.governance.exports.openlineage import job_events
from aiprod.governance.exports.prov import prov_document, write_prov
from aiprod.governance.lineage.lineage import lineage
from aiprod.qc.rows import VerdictRow
from aiprod.repo.dvc_lock import Lock, hashes
from aiprod.repo.revisions import commit_of, workspace_at
from aiprod.storage.manifest.manifest import read_rows, write_manifest
from tests.governance.conftest import write_lock
from tests.projects import git


@pytest.fixture
def committed(finished: Path) -> Path:
    """The finished workspace in git, its outputs in DVC's cache."""
    git("init", "-q", cwd=finished)
    git("add", "dvc.yaml", "dvc.lock", "params.yaml", "datasets/sources.yaml", cwd=finished)
    git("commit", "-qm", "first", cwd=finished)
    for folder in ("datasets/v1", "models", "reports"):
        for path in (p for p in (finished / folder).rglob("*") if p.is_file()):
            digest = hashes(path)[0]
            place = finished / ".dvc/cache/files/md5" / digest[:2] / digest[2:]
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)
    return finished


def test_a_past_commit_and_an_experiment_answer_as_the_workspace_did(committed: Path) -> None:
    before = lineage(committed, "reports/samples/000.mp4").document()
    git("update-ref", "refs/exps/ab/cdef/blue-fox", "HEAD", cwd=committed)
    for folder in ("models", "reports", "datasets/v1"):
        shutil.rmtree(committed / folder)
    for name in ("HEAD", "blue-fox"):
        with workspace_at(committed, name) as there:
            assert lineage(there, "reports/samples/000.mp4").document() == before
    assert commit_of(committed, "blue-fox") == git("rev-parse", "HEAD", cwd=committed)


def test_a_past_state_names_what_the_cache_lost_or_changed(committed: Path) -> None:
    clip_id = sorted(Records(committed).exposure)[0]
    path = f"datasets/v1/processed/{clip_id}.mp4"
    digest = hashes(committed / path)[0]
    place = committed / ".dvc/cache/files/md5" / digest[:2] / digest[2:]
    original = place.read_bytes()
    place.write_bytes(original[:-1] + b"?")
    with workspace_at(committed, "HEAD") as there:
        assert any(path in line for line in lineage(there, "diffusion").mismatches)
    place.unlink()
    with workspace_at(committed, "HEAD") as there:
        assert f"{path}: the file is missing" in lineage(there, "diffusion").mismatches
    assert (committed / path).is_file(), "the present workspace is not touched"


def test_a_revision_that_does_not_exist_or_never_ran_is_one_line(committed: Path) -> None:
    git("rm", "-q", "--cached", "dvc.lock", cwd=committed)
    git("commit", "-qm", "without", cwd=committed)
    for name, what in (
        ("nowhere", "is not a revision"),
        ("--help", "is not a revision"),
        ("HEAD", "holds no dvc.lock"),
    ):
        with pytest.raises(AiprodError, match=what), workspace_at(committed, name):
            pass


def test_recorded_manifests_are_read_by_column_and_say_the_same(finished: Path) -> None:
    light = Records(finished, strict=False, lock=Lock(finished))
    full = Records(finished)
    for name in ("films", "clips", "verdicts", "measures", "captions"):
        rows, checked = getattr(light, name), getattr(full, name)
        assert list(rows) == list(checked)
        for key, row in checked.items():
            assert isinstance(rows[key], RowView)
            dumped = row.model_dump(mode="json")
            for field in set(type(row).model_fields) - {"checks"}:
                assert getattr(rows[key], field) == dumped[field], (name, field)


def test_obligations_that_near_duplicates_bring_reach_rows_read_by_column(finished: Path) -> None:
    folder = finished / "datasets/v1/qc/decide"
    rows = read_rows(folder, VerdictRow)
    seen = next(iter(Records(finished).exposure))
    owed = ["attribution: (c) Somebody (CC-BY-4.0)"]
    rows = [r.model_copy(update={"obligations": owed}) if r.clip_id == seen else r for r in rows]
    write_manifest(
        folder, rows, row_model=VerdictRow, stage="qc_decide", key=lambda r: r.clip_id, params_digest="p", inputs={}
    )
    write_lock(finished)
    assert owed[0] in lineage(finished, "diffusion", rehash=False).obligations


def test_prov_can_be_read_back_and_reaches_every_film(finished: Path, tmp_path: Path) -> None:
    found = lineage(finished, "reports/samples/000.mp4", rehash=False)
    document = prov_document(found, Lock(finished))
    for name in ("p.json", "p.provn"):
        write_prov(document, tmp_path / name)
    assert (tmp_path / "p.provn").read_text().startswith("document")
    read = ProvDocument.deserialize(tmp_path / "p.json")
    assert read == document
    content = json.loads((tmp_path / "p.json").read_text())
    edges = {(e["prov:generatedEntity"], e["prov:usedEntity"]) for e in content["wasDerivedFrom"].values()}
    reached, waiting = set(), ["aiprod:sample/reports/samples/000.mp4"]
    while waiting:
        here = waiting.pop()
        reached.add(here)
        waiting += [b for a, b in edges if a == here and b not in reached]
    facts = Records(finished)
    films = {facts.clips[c].film_id for c in facts.exposure}
    assert {f"aiprod:film/{f}" for f in films} <= reached
    assert {e["prov:entity"] for e in content["wasAttributedTo"].values()} == {f"aiprod:film/{f}" for f in films}
    assert set(content["activity"]) == {f"aiprod:stage/{s}" for s in found.stages}
    with pytest.raises(AiprodError, match="no PROV format"):
        write_prov(document, tmp_path / "p.docx")


def test_job_events_join_stages_by_what_they_hand_on(finished: Path) -> None:
    lock = Lock(finished)
    events = list(job_events(finished, lock))
    assert [e["job"]["name"] for e in events] == list(lock.stages)
    assert all({"eventTime", "producer", "schemaURL"} <= set(e) for e in events)
    made = {d["name"] for e in events for d in e["outputs"]}
    assert made == set(lock.outs)
    roots = [
        tag["value"]
        for e in events
        for d in e["outputs"]
        for tag in d["facets"].get("tags", {}).get("tags", [])
        if tag["key"] == "merkle_root"
    ]
    assert Records(finished).heads["datasets/v1/latents"].merkle_root in roots


def test_the_command(committed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = Typer(pretty_exceptions_enable=False)
    command.register(app)
    app.command()(lambda: None)
    monkeypatch.chdir(committed / "reports" / "samples")
    words = [
        "lineage",
        "000.mp4",
        "--rev",
        "HEAD",
        "--prov",
        str(tmp_path / "p.json"),
        "--html",
        str(tmp_path / "l.html"),
    ]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0 and "0 mismatches" in done.output and os.path.getsize(tmp_path / "l.html") > 1000
    (committed / "reports/samples/000.mp4").write_bytes(b"changed since")
    assert CliRunner().invoke(app, ["lineage", "000.mp4"]).exit_code == 1
    assert CliRunner().invoke(app, words).exit_code == 0, "the past is not changed by the present"


def test_a_past_state_whose_bytes_are_not_here_says_so_and_how_to_get_them(
    committed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a clone with history: the commit is here, the outputs of that time were never built or pulled."""
    shutil.rmtree(committed / ".dvc/cache")
    app = Typer()
    command.register(app)
    told = CliRunner().invoke(app, ["reports/samples/000.mp4", "--rev", "HEAD"])
    assert isinstance(told.exception, AiprodError)
    line = str(told.exception)
    assert "DVC's cache here does not hold reports/samples" in line and "git worktree add" in line
    assert "`dvc fetch --all-commits`" in line
