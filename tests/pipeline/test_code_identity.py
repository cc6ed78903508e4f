"""A stage runs again when the meaning of its code changed, and not when its words or layout did."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import grimp
import pytest
from ruamel.yaml import YAML

from aiprod.base import code_identity
from aiprod.base.code_identity import OBSERVERS, RECORD, CodeIdentity, code_digest, distribution, record
from aiprod.base.syntax_trees import parse_module
from aiprod.errors import AiprodError

ROOT = Path(__file__).resolve().parents[2]
STAGES = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
CODE = CodeIdentity(ROOT)


def digest(text: str) -> str:
    return parse_module("aiprod.a", Path("aiprod/a.py"), textwrap.dedent(text).encode()).digest


PLAIN = """
    import os

    LIMIT = 3

    def area(width: int, height: int) -> int:
        return width * height
"""


@pytest.mark.parametrize(
    "text",
    [
        '"""What it is."""\n' + textwrap.dedent(PLAIN),
        PLAIN.replace("return", "# why\n        return"),
        PLAIN.replace("return width * height", '"""The area."""\n        return (width\n            * height)'),
        PLAIN.replace("(width: int, height: int)", "(\n        width: int,\n        height: int,\n    )"),
        PLAIN.replace("LIMIT = 3", 'LIMIT = 3\n    """How many."""'),
    ],
)
def test_words_and_layout_do_not_count(text: str) -> None:
    assert digest(text) == digest(PLAIN)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("LIMIT = 3", "LIMIT = 4"),
        ("LIMIT = 3", "LIMIT = 3.0"),
        ("LIMIT = 3", "LIMIT = '3'"),
        ("LIMIT = 3", "LIMIT = None"),
        ("width * height", "width + height"),
        ("width * height", "height * width"),
        ("width: int,", "width: float,"),
        ("width: int,", "width: int = 1, *,"),
        ("def area", "def areas"),
        ("import os", "import sys"),
    ],
)
def test_meaning_counts(old: str, new: str) -> None:
    assert old in PLAIN
    assert digest(PLAIN.replace(old, new)) != digest(PLAIN)


def test_a_string_that_is_used_is_no_docstring() -> None:
    assert digest("def f():\n    return 'a'") != digest("def f():\n    return 'b'")
    assert digest("A = 'a'") != digest("A = 'b'")


def other_pythons() -> list[str]:
    found = [shutil.which(f"python3.{minor}") for minor in (11, 12, 13, 14)]
    works = [p for p in found if p and subprocess.run([p, "-c", ""], capture_output=True, check=False).returncode == 0]
    return [p for p in works if not p.endswith(f"python3.{sys.version_info.minor}")]


@pytest.mark.skipif(not other_pythons(), reason="no other version of Python from 3.11 on is installed here")
def test_every_version_of_python_computes_the_same_digests() -> None:
    script = (
        "import importlib.util, json, sys, types; from pathlib import Path\n"
        "errors = types.ModuleType('aiprod.errors'); errors.AiprodError = Exception\n"
        "sys.modules.update({'aiprod': types.ModuleType('aiprod'), 'aiprod.base': types.ModuleType('aiprod.base'),"
        " 'aiprod.errors': errors})\n"
        "spec = importlib.util.spec_from_file_location('trees', 'src/aiprod/base/syntax_trees.py')\n"
        "trees = importlib.util.module_from_spec(spec); sys.modules['trees'] = trees; spec.loader.exec_module(trees)\n"
        "files = sorted([*Path('src').rglob('*.py'), *Path('pipeline').rglob('*.py')])\n"
        "print(json.dumps({str(p): trees.parse_module('x', p, p.read_bytes()).digest for p in files}))"
    )
    told = {
        python: subprocess.run([python, "-c", script], cwd=ROOT, capture_output=True, check=True).stdout
        for python in [sys.executable, *other_pythons()]
    }
    assert len(set(told.values())) == 1


def test_the_import_closure_is_the_one_that_another_library_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_identity, "OBSERVERS", {})
    graph = grimp.build_graph("aiprod", "pipeline", exclude_type_checking_imports=True, cache_dir=None)
    for stage in CODE.stages():
        found: set[str] = set()
        waiting = [f"pipeline.{stage}"]
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting += graph.find_modules_directly_imported_by(name)
                waiting += [name.rpartition(".")[0]] if "." in name else []
        assert CODE.closure(f"pipeline.{stage}") == found, stage


def test_every_stage_of_dvc_yaml_but_those_that_always_run_depends_on_its_code() -> None:
    for name, stage in STAGES.items():
        listed = [p[str(RECORD)] for p in stage.get("params", []) if isinstance(p, dict) and str(RECORD) in p]
        others = ["recordings"] if name == "make_speech" else []  # what else scan looks at for it
        assert listed == ([] if stage.get("always_changed") else [[name, *others]]), name
    assert set(CODE.stages()) >= {name for name, stage in STAGES.items() if not stage.get("always_changed")}


def test_what_stages_import_from_elsewhere_is_pinned() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = {distribution(line.partition("==")[0]) for line in lines if "==" in line}
    for stage in CODE.stages():
        needed = {distribution(package) for package in CODE.packages(CODE.closure(f"pipeline.{stage}"))}
        assert needed <= pinned, stage


def test_the_pin_of_a_package_counts_where_it_is_imported(tmp_path: Path) -> None:
    for folder in ("src", "pipeline"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    pins = (ROOT / "constraints.txt").read_text()
    (tmp_path / "constraints.txt").write_text(pins.replace("\nav==", "\nav==0."))
    other = CodeIdentity(tmp_path)
    changed = {stage for stage in CODE.stages() if other.digest(stage) != CODE.digest(stage)}
    assert {"ingest", "qc_measure"} <= changed
    assert changed.isdisjoint({"qc_decide", "train_text_encoder"})


def test_a_quality_threshold_does_not_decode_and_training_does_not_touch_data_stages() -> None:
    decide = CODE.packages(CODE.closure("pipeline.qc_decide"))
    assert decide.isdisjoint({"av", "torch", "transformers"}), "deciding must not depend on decoding"
    for stage in ("ingest", "qc_measure", "qc_decide", "caption"):
        names = CODE.parts(stage)
        assert not any(name.startswith(("aiprod.trainer.", "aiprod.core.transformer.")) for name in names), stage


def test_a_template_counts_only_where_it_is_filled_in() -> None:
    page = "src/aiprod/qc/report/report.html.j2"
    assert page in CODE.parts("qc_decide")
    assert page not in {**CODE.parts("train_diffusion"), **CODE.parts("caption")}
    assert "src/aiprod/governance/pages/style.html.j2" in CODE.parts("dossier")


def test_observers_exist_and_are_reached() -> None:
    """An observer that no stage would import otherwise is a stale entry."""
    names = {name for name in CODE.modules if name.startswith(("aiprod.", "pipeline."))}
    for observer, reason in OBSERVERS.items():
        assert reason and any(name == observer or name.startswith(f"{observer}.") for name in names), observer


def test_no_stage_reads_a_docstring() -> None:
    """Docstrings do not count, so nothing that a stage writes may come from one."""
    names = set().union(*(CODE.closure(f"pipeline.{stage}") for stage in CODE.stages()))
    assert len(names) > 300
    for name in names:
        base = ROOT / ("src" if name.startswith("aiprod") else ".") / Path(*name.split("."))
        path = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
        for node in ast.walk(ast.parse(path.read_text())):
            assert not (isinstance(node, ast.Attribute) and node.attr == "__doc__"), path


def small(root: Path) -> None:
    (root / "src/aiprod").mkdir(parents=True)
    (root / "pipeline").mkdir()
    (root / "dvc.yaml").write_text("stages: {}")
    (root / "src/aiprod/__init__.py").write_text("")
    (root / "src/aiprod/a.py").write_text("LIMIT = 1\n")
    (root / "pipeline/__init__.py").write_text("")
    for name, line in (("first", "from aiprod.a import LIMIT"), ("second", "LIMIT = 2")):
        text = f'{line}\n\n\ndef main():\n    print(LIMIT)\n\n\nif __name__ == "__main__":\n    run(main)\n'
        (root / f"pipeline/{name}.py").write_text(text)


def test_the_record_names_what_changed_and_follows_a_change_during_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AIPROD_HOME", raising=False)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.delenv("DVC_STAGE", raising=False)
    assert record() == ["first", "second"]
    assert record() == []
    (tmp_path / "src/aiprod/a.py").write_text('"""Words."""\nLIMIT = 1  # why\n')
    assert record() == []
    before = json.loads((tmp_path / RECORD).read_text())
    (tmp_path / "src/aiprod/a.py").write_text("LIMIT = 3\n")
    assert code_digest("first") != before["first"]  # outside DVC nothing is recorded, so nothing is refused
    monkeypatch.setenv("DVC_STAGE", "first")
    assert code_digest("second") == before["second"]
    assert json.loads((tmp_path / RECORD).read_text()) == before
    now = code_digest("first")
    assert json.loads((tmp_path / RECORD).read_text()) == {**before, "first": now} != before
    assert record() == []


def test_a_file_that_is_no_python_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small(tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "src/aiprod/a.py").write_text("LIMIT = \n")
    with pytest.raises(AiprodError, match=r"a\.py is not valid Python"):
        CodeIdentity(tmp_path).digest("first")


@pytest.mark.parametrize("damage", ["", "[]", '{"format": 1}', '{"format": 1, "modules": 3}'])
def test_a_damaged_cache_is_computed_anew(tmp_path: Path, damage: str) -> None:
    small(tmp_path)
    cache = tmp_path / "cache.json"
    first = CodeIdentity(tmp_path, cache).digest("first")
    cache.write_text(damage)
    assert CodeIdentity(tmp_path, cache).digest("first") == first


@pytest.mark.parametrize("changed", ["src/aiprod/a.py", "src/aiprod/__init__.py", "pipeline/second.py"])
def test_kept_digests_are_those_of_the_files_as_they_are(tmp_path: Path, changed: str) -> None:
    small(tmp_path)

    def agree() -> dict[str, str]:
        fresh, kept = CodeIdentity(tmp_path), CodeIdentity(tmp_path, tmp_path / "state/cache.json")
        assert kept.digests() == kept.digests() == {stage: fresh.digest(stage) for stage in ("first", "second")}
        return kept.digests()

    before = agree()
    path = tmp_path / changed
    path.write_text((path.read_text() if path.is_file() else "") + "MORE = 1\n")
    assert agree() != before
    (tmp_path / "state/digests.json").write_text('{"files": 1, "stages": []}')
    agree()


def test_a_stage_is_a_small_module() -> None:
    for name in STAGES:
        lines = (ROOT / "pipeline" / f"{name}.py").read_text().splitlines()
        assert len(lines) <= 90, f"{name}: a stage is a recipe; its logic belongs in src/aiprod"
