"""The page of faults names tests that exist, and at least one for each row."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/research/faults_to_tests.md").read_text(encoding="utf-8")
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


@functools.cache
def names_in(file: str) -> frozenset[str]:
    path = ROOT / file
    tree = ast.parse(path.read_text(encoding="utf-8")) if path.is_file() else ast.Module([], [])
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


def rows() -> list[list[str]]:
    """The cells of each row of each table, without the heads."""
    lines = [line for line in PAGE.splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return [row for row in cells if row[-1] != "Tests" and set(row[-1]) - set("-| ")]


def test_every_named_test_exists() -> None:
    missing = [f"{file}::{name}" for file, name in NAMED.findall(PAGE) if name not in names_in(file)]
    assert not missing


def test_each_row_says_what_was_what_is_and_by_which_tests() -> None:
    assert len(rows()) >= 60
    for row in rows():
        assert len(row) == 4 and all(row), row
        assert NAMED.search(row[-1]) and not NAMED.sub("", row[-1]).strip(", "), row
