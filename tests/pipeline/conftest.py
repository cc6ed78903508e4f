"""A workspace in which single stages run."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.warm import client as warm

REPOSITORY = Path(__file__).resolve().parents[2]
DEMO = "{{films: 1, faults: false, height: 144, width: 256, duration_s: 2.2}}"
PARAMS = f"seed: 0\nshards:\ningest:\n  sources: [{{sources}}]\n  workers: 1\n  demo: {DEMO}\n{{more}}"
Stage = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A workspace with the graph, the declarations and an inbox."""
    root = tmp_path / "work"
    (root / "datasets" / "inbox").mkdir(parents=True)
    shutil.copy(REPOSITORY / "dvc.yaml", root)
    shutil.copy(REPOSITORY / "datasets/sources.yaml", root / "datasets")
    (root / "params.yaml").write_text(PARAMS.format(sources="demo, inbox", more=""))
    return root


@pytest.fixture
def stage(workspace: Path) -> Stage:
    """Runs a stage in the workspace."""
    kept = {k: v for k, v in os.environ.items() if k not in ("DVC_ROOT", "AIPROD_HOME")}
    environment = {**kept, "PYTHONPATH": f"{REPOSITORY / 'src'}{os.pathsep}{REPOSITORY}", "CI": "true"}

    def run(name: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = warm.run((f"pipeline.{name}",), workspace, environment, timeout_s=200)
        assert done.returncode == code, done.stderr
        return done

    return run
