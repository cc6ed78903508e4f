"""Under real DVC: what a bad day of a server cost is made good by the next `dvc repro`, and then nothing runs again."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiprod.data.retries import try_again
from tests.data.web_server import Server
from tests.end_to_end.workspace import Workspace, make_workspace, small

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def project_of(folder: Path, web: str) -> Workspace:
    """A project with one source, a web server, whose film shows nobody: encrypted bytes differ between projects."""
    project = make_workspace(folder)
    project.set_params(ingest__sources=["open-film"], ingest__folders={"open-film": web}, ingest__workers=1)
    declared = project.root / "datasets/sources.yaml"
    declared.write_text(declared.read_text().replace("basis: legitimate_interests", "basis: none"))
    return project


def ran(project: Workspace) -> bool:
    """Whether `dvc repro ingest` runs ingest, and not scan alone."""
    return "Running stage 'ingest'" in project.dvc("repro", "ingest").stdout


def test_a_transfer_that_broke_off_is_tried_again_until_it_is_whole(web: str, tmp_path: Path) -> None:
    project = project_of(tmp_path / "project", web)
    Server.break_after = 5000  # the fixture puts it back
    for _ in range(2):
        assert ran(project)
        assert project.counters("ingest")["failed"] == 2
    Server.break_after = None
    assert ran(project), "DVC sees no reason, or takes the rows with the fault from its run cache"
    assert (project.counters("ingest")["processed"], project.counters("ingest")["failed"]) == (2, 0)
    assert not ran(project)

    never_broken = project_of(tmp_path / "other", web)
    assert ran(never_broken)
    assert never_broken.hashes("ingest") == project.hashes("ingest")


def test_what_could_not_be_measured_runs_measuring_again_and_nothing_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ran_until_decided() -> list[str]:
        lines = project.dvc("repro", "qc_decide").stdout.splitlines()
        return [line.split("'")[1] for line in lines if line.startswith("Running stage")]

    project = small(make_workspace(tmp_path / "project"))
    project.set_params(ingest__sources=["demo"], ingest__demo__films=1)
    assert ran_until_decided() == ["scan", "ingest", "qc_measure", "qc_decide"]
    monkeypatch.setenv("AIPROD_HOME", str(project.root / ".aiprod"))
    assert try_again("qc_measure", {"a clip whose worker died": False}) == 1
    assert ran_until_decided() == ["scan", "ingest", "qc_measure"], "the same rows: what depends on them need not run"
    assert project.counters("qc_measure")["processed"] == 0
    assert ran_until_decided() == ["scan"]
