"""The threat model names tests that exist, at least one for each threat, and says of each what is not defended."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/security.md").read_text(encoding="utf-8")
_NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def test_every_named_test_exists() -> None:
    named = _NAMED.findall(PAGE)
    assert len(named) > 20
    missing = []
    for file, name in named:
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        if name not in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}:
            missing.append(f"{file}::{name}")
    assert not missing


def test_each_threat_has_tests_and_names_what_is_not_defended() -> None:
    threats = re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]
    assert len(threats) >= 6
    for threat in threats:
        title = threat.splitlines()[0]
        rows = [line for line in threat.splitlines() if line.startswith("| ") and "---" not in line][1:]
        assert rows and all(_NAMED.search(row) for row in rows), title
        assert "*Not defended:*" in threat, title
