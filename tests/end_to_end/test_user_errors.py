"""What a person does wrong gives one clear line with the fix, never a traceback."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.end_to_end.workspace import Workspace, make_workspace


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A copy of the project in which nothing has run."""
    return make_workspace(tmp_path_factory.mktemp("errors") / "project")


def _one_line(done: object) -> str:
    error = done.stderr.strip()  # type: ignore[attr-defined]
    assert done.returncode == 2, error  # type: ignore[attr-defined]
    assert "Traceback" not in error
    lines = [line for line in error.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, error
    assert "→" in lines[0], "says the fix"
    return lines[0]


def test_a_typo_in_params_names_the_nearest_key(project: Workspace) -> None:
    path = project.root / "params.yaml"
    text = path.read_text()
    try:
        path.write_text(text.replace("min_shot_s:", "min_shots_s:"))
        assert "did you mean 'min_shot_s'" in _one_line(project.stage("scan", check=False))
        path.write_text(text.replace("heldout_fraction: 0.12", "heldout_fraction: many"))
        assert "heldout_fraction" in _one_line(project.stage("scan", check=False))
    finally:
        path.write_text(text)


def test_an_unknown_source_or_folder(project: Workspace) -> None:
    project.set_params(ingest__sources=["inbx"])
    try:
        assert "inbox" in _one_line(project.stage("scan", check=False))
        project.set_params(ingest__sources=["open-film"])
        _one_line(project.stage("scan", check=False))
    finally:
        project.run("git", "checkout", "-q", "--", "params.yaml")


def test_an_empty_inbox_alone_says_so(project: Workspace) -> None:
    project.set_params(ingest__sources=["inbox"])
    try:
        scanned = project.stage("scan", check=False)
        if scanned.returncode == 0:  # an empty list is a valid list; the stage that needs films says what is missing
            ingested = project.stage("ingest", check=False)
            assert "inbox" in _one_line(ingested)
        else:
            assert "inbox" in _one_line(scanned)
    finally:
        project.run("git", "checkout", "-q", "--", "params.yaml")


STAGES = ("qc_decide", "caption", "train_diffusion", "sample", "dossier")
COMMANDS = (
    ("qc", "missing.mp4"),
    ("caption", "missing.mp4"),
    ("lineage", "reports/samples/000.mp4"),
    ("lineage", "../../etc/passwd"),
    ("generate", "--prompt", "a red circle", "--out", "x.mp4"),
    ("model", "enormous"),
)
HELP = ("doctor", "qc", "caption", "generate", "lineage", "model", "where", "ui")


@pytest.fixture(scope="module")
def said(project: Workspace) -> dict[tuple[str, ...], object]:
    """What stages and commands say where nothing has run: module and arguments → what became of them."""
    asked = [(f"pipeline.{stage}",) for stage in STAGES]
    asked += [("aiprod.cli", *command) for command in COMMANDS] + [("aiprod.cli", name, "--help") for name in HELP]
    project.set_params(train_diffusion__launch__cpu_processes=0)  # one process, whose words are caught here
    try:
        return dict(zip(asked, project.many(*asked), strict=True))
    finally:
        project.run("git", "checkout", "-q", "--", "params.yaml")


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_before_its_inputs_exist(said: dict[tuple[str, ...], object], stage: str) -> None:
    assert "dvc repro" in _one_line(said[f"pipeline.{stage}",])


@pytest.mark.parametrize("arguments", COMMANDS)
def test_commands_on_what_is_not_there(said: dict[tuple[str, ...], object], arguments: tuple[str, ...]) -> None:
    done = said["aiprod.cli", *arguments]
    assert done.returncode in (1, 2), done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert (done.stdout + done.stderr).strip()


def test_a_repository_without_commits_is_named_before_a_long_run(tmp_path: Path) -> None:
    project = make_workspace(tmp_path / "project")
    shutil.rmtree(project.root / ".git")
    project.run("git", "init", "-q")
    done = project.aiprod("doctor", "--before-run", check=False)
    assert done.returncode in (1, 2)
    assert "commit" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize("name", HELP)
def test_every_command_has_help_with_an_example(said: dict[tuple[str, ...], object], name: str) -> None:
    done = said["aiprod.cli", name, "--help"]
    assert done.returncode == 0 and "Example" in done.stdout, name
