"""dvc.yaml lists exactly the code each stage runs, so that no edit is missed and none re-runs too much."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline.closure import ROOT, Closure, differences, is_code

STAGES = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]


def test_dvc_yaml_lists_what_each_stage_imports() -> None:
    assert differences(STAGES, Closure()) == {}


@pytest.mark.parametrize("name", STAGES)
def test_every_listed_file_exists_and_the_stage_is_a_small_module(name: str) -> None:
    for dependency in STAGES[name]["deps"]:
        if is_code(dependency):
            assert (ROOT / dependency).is_file(), dependency
    lines = (ROOT / "pipeline" / f"{name}.py").read_text().splitlines()
    assert len(lines) <= 110, "a stage is a recipe; its logic belongs in src/aiprod"


def test_a_quality_threshold_does_not_decode_and_training_does_not_touch_data_stages() -> None:
    closure = Closure()
    decide = closure.files("qc_decide")
    assert not any(f.startswith("src/aiprod/media/") for f in decide), "deciding must not depend on decoding"
    for stage in ("scan", "ingest", "qc_measure", "qc_decide", "caption"):
        files = closure.files(stage)
        assert not any(f.startswith(("src/aiprod/trainer/", "src/aiprod/core/transformer/")) for f in files), stage


def test_a_template_counts_only_where_it_is_filled_in() -> None:
    closure = Closure()
    page = "src/aiprod/qc/report.html.j2"
    assert page in closure.files("qc_decide")
    assert page not in closure.files("train_diffusion") + closure.files("caption")
    assert "src/aiprod/governance/pages/style.html.j2" in closure.files("dossier")


def _defined(package: Path) -> set[str]:
    """Functions and classes that a package's own ``__init__`` holds."""
    tree = ast.parse((package / "__init__.py").read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)} - {"__getattr__"}


def test_our_own_code_imports_from_the_module_that_defines_a_name() -> None:
    """`from aiprod.core import X` would hide what a stage depends on behind a package's lazy table."""
    source = ROOT / "src"
    for path in [*source.rglob("*.py"), *(ROOT / "pipeline").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("aiprod") and not node.level:
                package = source / Path(*str(node.module).split("."))
                for alias in node.names:
                    inside = package / alias.name
                    is_module = inside.with_suffix(".py").is_file() or (inside / "__init__.py").is_file()
                    fine = not package.is_dir() or is_module or alias.name in _defined(package)
                    assert fine, f"{path}: from {node.module} import {alias.name}"
