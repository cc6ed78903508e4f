"""What a newcomer does first: DVC in a fresh clone, a key written wrong, and what the pages tell."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from aiprod.base.params import check_top
from aiprod.commands.param_files import check_file
from aiprod.errors import AiprodError
from tests.warm import client as warm

ROOT = Path(__file__).resolve().parents[2]


def dvc(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return warm.run(("dvc", *words), cwd, os.environ)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository as its commit has it, without any output."""
    place = tmp_path_factory.mktemp("clone") / "aiprod"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(place)], check=True, capture_output=True)
    return place


@pytest.mark.slow
def test_what_would_run_is_told_before_anything_did(clone: Path) -> None:
    """By the command that the page on experiments gives."""
    words = "dvc repro --dry --allow-missing"
    assert words in (ROOT / "docs/howto/compare_experiments.md").read_text()
    told = dvc(*words.split()[1:], cwd=clone)
    assert told.returncode == 0, told.stderr
    assert "Running stage 'scan'" in told.stdout + told.stderr


@pytest.mark.slow
def test_a_key_that_is_misspelt_is_refused_before_and_after_it_got_into_the_file(clone: Path) -> None:
    refused = dvc("exp", "run", "--dry", "-S", "lrr=1e-4", cwd=clone)
    said = refused.stdout + refused.stderr
    assert refused.returncode != 0 and "Key 'lrr' is not in struct" in said
    assert "Key 'lrr' is not in struct" in (ROOT / "README.md").read_text(), "as the README shows it"
    path = clone / "params.yaml"
    path.write_text(path.read_text() + "\nlrr: 1e-4\n")  # what the hint of DVC would do
    with pytest.raises(AiprodError, match="did you mean 'lr'"):
        check_file(path)
    with pytest.raises(AiprodError, match="did you mean 'lr'"):
        check_top(path)  # what every stage begins with


def test_what_a_user_looks_for_is_told_with_examples() -> None:
    pages = "\n".join(path.read_text(encoding="utf-8") for path in [ROOT / "README.md", *ROOT.glob("docs/**/*.md")])
    for words in (
        "AVPipeline.from_pretrained(",
        "pipeline.generate(",
        "dvc repro --pull --allow-missing",
        "tutorials/add_a_stage.md",
        "M dvc.lock",
    ):
        assert words in pages or (ROOT / "docs" / words).is_file(), words
