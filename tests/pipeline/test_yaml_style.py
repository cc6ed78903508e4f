"""params.yaml and dvc.yaml are in the style that DVC writes, so that DVC changes the lines that were asked alone."""

from __future__ import annotations

import difflib
import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dvc.utils.hydra import apply_overrides
from dvc.utils.serialize import modify_yaml
from ruamel.yaml import YAML

from aiprod.commands.param_files import check_file, smoke, write_file

ROOT = Path(__file__).resolve().parents[2]
FILES = ["params.yaml", *sorted(p.relative_to(ROOT).as_posix() for p in (ROOT / "params").glob("*.yaml"))]


def lists(content: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, list[Any]]]:
    for name, value in content.items():
        if isinstance(value, dict):
            yield from lists(value, f"{prefix}{name}.")
        elif isinstance(value, list):
            yield f"{prefix}{name}", value


def changed(before: str, after: str) -> list[str]:
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")
    return [line for line in lines if line[0] in "+-" and not line.startswith(("+++", "---"))]


@pytest.mark.parametrize("name", FILES)
def test_an_experiment_changes_the_line_that_was_asked(tmp_path: Path, name: str) -> None:
    copy = tmp_path / "params.yaml"
    shutil.copy(ROOT / name, copy)
    apply_overrides(copy, ["lr=0.00777"])
    assert [line[:4] for line in changed((ROOT / name).read_text(), copy.read_text())] == ["-lr:", "+lr:"]


@pytest.mark.parametrize("name", FILES)
def test_so_it_does_in_the_scaled_down_copy_of_a_file(tmp_path: Path, name: str) -> None:
    copy = tmp_path / "params.yaml"
    write_file(smoke(check_file(ROOT / name)), copy)
    before = copy.read_text()
    apply_overrides(copy, ["lr=0.00777"])
    assert [line[:4] for line in changed(before, copy.read_text())] == ["-lr:", "+lr:"]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("keep", [True, False])
def test_a_changed_list_loses_no_comment_and_breaks_no_other_line(tmp_path: Path, name: str, keep: bool) -> None:
    copy = tmp_path / "params.yaml"
    shutil.copy(ROOT / name, copy)
    content = YAML(typ="safe").load(copy)
    texts = {key: value for key, value in lists(content) if value and isinstance(value[-1], str)}
    asked = {key: [*value, value[-1]] if keep else [] for key, value in texts.items()}
    apply_overrides(copy, [f"{key}={[str(v) for v in value]}" for key, value in asked.items()])
    after = YAML(typ="safe").load(copy)
    assert dict(lists(after)) == {**dict(lists(content)), **asked}
    before, now = (ROOT / name).read_text(), copy.read_text()
    assert [line for line in now.splitlines() if "#" in line] == [line for line in before.splitlines() if "#" in line]
    assert not keep or len(changed(before, now)) <= 2 * len(asked)  # a long text is wrapped


def test_no_list_bears_a_comment_on_the_line_of_its_key() -> None:
    """Where such a list is emptied, what DVC writes is not valid YAML (findings/dvc_empty_list.sh)."""
    for name in FILES:
        lines = (ROOT / name).read_text().splitlines()
        for line, following in itertools.pairwise(lines):
            assert not (following.lstrip().startswith("- ") and "#" in line and ":" in line.partition("#")[0]), line


@pytest.mark.parametrize("name", ["dvc.yaml", "plots/dvc.yaml"])
def test_dvc_writes_the_pipeline_as_it_is(tmp_path: Path, name: str) -> None:
    copy = tmp_path / "dvc.yaml"
    shutil.copy(ROOT / name, copy)
    with modify_yaml(copy):
        pass
    assert copy.read_text() == (ROOT / name).read_text()
    with modify_yaml(copy) as content:
        content.setdefault("stages", {})["extra"] = {"cmd": "true", "deps": ["datasets/v1/ingest"]}
    assert all(line.startswith("+") for line in changed((ROOT / name).read_text(), copy.read_text()))


def test_the_pipeline_fits_on_a_few_screens_and_names_no_source_file() -> None:
    text = (ROOT / "dvc.yaml").read_text()
    assert len(text.splitlines()) <= 350
    assert not any(part in text for part in (".py", "src/", "constraints.txt"))
