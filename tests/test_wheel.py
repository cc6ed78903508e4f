"""The wheel is complete: installed alone, away from any checkout, it judges a film and writes the report page."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import pytest

from aiprod.data.params import IngestParams
from aiprod.data.sources.demo.make import make_film
from aiprod.data.sources.demo.plan import plan_corpus
from tests.end_to_end.workspace import ROOT

pytestmark = pytest.mark.slow


def _run(*command: str, cwd: Path, **environment: str) -> str:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("COV", "AIPROD", "PYTHON"))}
    done = subprocess.run(command, cwd=cwd, env={**kept, **environment}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that nothing is left in the checkout."""
    root = tmp_path_factory.mktemp("wheel")
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in filter(None, _run(*listed, "src", "pyproject.toml", "README.md", "LICENSE", cwd=ROOT).split("\0")):
        if (ROOT / name).is_file():
            (root / "copy" / name).parent.mkdir(parents=True, exist_ok=True)
            (root / "copy" / name).write_bytes((ROOT / name).read_bytes())
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    _run(*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", str(root), str(root / "copy"), cwd=root)
    [built] = root.glob("*.whl")
    _run(*pip, "install", "--no-deps", "--no-index", "--target", str(root / "site"), str(built), cwd=root)
    return built


def test_every_file_of_the_package_is_in_the_wheel(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    tracked = _run("git", "ls-files", "src/aiprod", cwd=ROOT).split()
    assert {name.removeprefix("src/") for name in tracked if (ROOT / name).is_file()} <= names


def test_the_wheel_says_its_licence(wheel: Path) -> None:
    package = zipfile.ZipFile(wheel)
    [metadata] = [name for name in package.namelist() if name.endswith(".dist-info/METADATA")]
    assert "License-Expression: Apache-2.0" in package.read(metadata).decode()
    assert any(name.endswith("licenses/LICENSE") for name in package.namelist())


# Stands for an environment in which these packages are not installed.
WITHOUT = """
import importlib.abc, sys
class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
"""


def _modules_of_extras(*extras: str) -> set[str]:
    """The import names of what the extras install beyond the dependencies of the package."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    wanted = {re.split(r"[^A-Za-z0-9._-]", line)[0].lower() for extra in extras for line in declared[extra]} - {
        "aiprod"
    }
    found = {name: {d.lower() for d in owners} for name, owners in metadata.packages_distributions().items()}
    return {name for name, owners in found.items() if owners & wanted}


def test_the_wheel_without_extras_judges_a_film_and_says_what_else_needs(wheel: Path, tmp_path: Path) -> None:
    """Outside of any checkout, and without PyTorch, DVC and MLflow, also in the worker processes."""
    absent = _modules_of_extras("governance", "train")
    assert {"torch", "mlflow", "dvc", "transformers", "pandas"} <= absent
    make_film(replace(plan_corpus(IngestParams().demo)[0], fault=None), tmp_path / "film.mp4")
    (tmp_path / "startup").mkdir()
    (tmp_path / "startup" / "sitecustomize.py").write_text(WITHOUT.format(names=absent))
    path = os.pathsep.join([str(tmp_path / "startup"), str(wheel.parent / "site")])
    command = [sys.executable, "-c", "import aiprod.cli; print(aiprod.__file__); aiprod.cli.main()"]
    told = _run(*command, "qc", "film.mp4", "--json", "--html", "page", cwd=tmp_path, PYTHONPATH=path)
    where, line = told.splitlines()
    assert Path(where).is_relative_to(wheel.parent / "site")
    assert json.loads(line)["status"] == "APPROVED"
    assert "film.mp4" in (tmp_path / "page" / "index.html").read_text(encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": path, "AIPROD_HOME": str(tmp_path / "state")}
    asked = [*command, "generate", "--prompt", "a red circle", "--out", "red.mp4"]
    done = subprocess.run(asked, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: this needs the package torch, which is not installed → ")
    assert done.stderr.count("\n") == 1 and "aiprod[train]" in done.stderr
