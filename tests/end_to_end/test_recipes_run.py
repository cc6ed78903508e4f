"""Every parameter file runs through every stage at a small size."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.end_to_end.workspace import ROOT, make_workspace

pytestmark = [pytest.mark.long, pytest.mark.timeout(1500)]


@pytest.mark.parametrize("recipe", [path.stem for path in sorted((ROOT / "params").glob("*.yaml"))])
def test_a_recipe_runs_through_every_stage(tmp_path: Path, recipe: str) -> None:
    project = make_workspace(tmp_path / "project")
    project.aiprod("params", "use", f"params/{recipe}.yaml", "--smoke")
    project.dvc("repro")
    metrics = json.loads((project.root / "reports/diffusion/metrics.json").read_text())
    assert metrics["steps"] == 6 and set(metrics["phases"]) == {"low", "mid", "high"}
    assert next((project.root / "reports/samples").glob("000.mp4")).stat().st_size > 1000
