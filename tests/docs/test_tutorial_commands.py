"""What tutorials tell a newcomer to type works: marked commands and edits run in order, in a project of their own."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from aiprod.data.params import IngestParams
from aiprod.data.sources.demo.make import make_film
from aiprod.data.sources.demo.plan import plan_corpus
from tests.docs.tutorial_pages import edited, missing, steps
from tests.end_to_end.workspace import ROOT, Workspace, make_workspace

pytestmark = pytest.mark.slow
TUTORIALS = ("your_own_films", "add_a_stage", "add_a_model", "add_a_source", "add_a_check", "laptop_to_cluster")


@dataclass(frozen=True)
class Newcomer:
    """A project, and a home folder with one film in ``~/films``."""

    project: Workspace
    home: Path

    def follow(self, page: Path) -> None:
        """Do what a page says; a command that fails, or prints something else than the page shows, fails."""
        output = ""
        for step in steps(page):
            path = self.project.root / step.path
            if step.kind == "run":
                output = self._run(step.text)
            elif step.kind == "prints":
                assert not missing(step.text, output), output
            elif step.kind == "edit":
                path.write_text(edited(path.read_text(), step.text))
            elif step.kind == "append":
                path.write_text(path.read_text() + "\n" + step.text)
            else:
                assert step.kind == "write", step
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(step.text)

    def _run(self, commands: str) -> str:
        environment = self.project.environment
        path = f"{self.home / 'bin'}:{environment['PATH']}"
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands],
            cwd=self.project.root,
            check=False,
            text=True,
            timeout=250,
            env={**environment, "HOME": str(self.home), "PATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert done.returncode == 0, f"{commands}\n{done.stdout[-4000:]}"
        return done.stdout


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory: pytest.TempPathFactory) -> Newcomer:
    root = tmp_path_factory.mktemp("newcomer")
    project, home = make_workspace(root / "project"), root / "home"
    project.set_params(ingest__sources=["inbox"])  # the demo corpus would take minutes
    project.run("git", "commit", "-qam", "only the inbox")
    for folder in ("films", "bin"):
        (home / folder).mkdir(parents=True)
    python = shutil.which("python", path=project.environment["PATH"])
    for command, module in (("aiprod", "-m aiprod.cli"), ("dvc", "-m dvc"), ("python", "")):
        script = home / "bin" / command
        script.write_text(f'#!/bin/sh\nexec {python} {module} "$@"\n')
        script.chmod(0o755)
    make_film(replace(plan_corpus(IngestParams().demo)[0], fault=None), home / "films" / "garden.mp4")
    return Newcomer(project, home)


@pytest.mark.parametrize("name", TUTORIALS)
def test_a_newcomer_can_follow(newcomer: Newcomer, name: str) -> None:
    newcomer.follow(ROOT / "docs" / "tutorials" / f"{name}.md")


def test_every_tutorial_is_followed() -> None:
    assert {path.stem for path in (ROOT / "docs" / "tutorials").glob("*.md")} == set(TUTORIALS)
