"""What public docstrings must say: what is raised, and the unit of a number."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[2] / "src" / "aiprod"
_FILES = sorted(path for room in ("core", "models") for path in (_ROOT / room).rglob("*.py"))
_MADE = ("__init__", "__post_init__")
_Function = ast.FunctionDef | ast.AsyncFunctionDef


def _public(body: list[ast.stmt], owner: ast.ClassDef | None = None) -> Iterator[tuple[ast.ClassDef | None, ast.stmt]]:
    """Public classes, functions and methods, with the class that they are in."""
    for node in body:
        if isinstance(node, _Function | ast.ClassDef) and not node.name.startswith("_"):
            yield owner, node
            if isinstance(node, ast.ClassDef):
                yield from _public(node.body, node)


def _calls(node: ast.AST) -> set[str]:
    """Names of functions and methods of this file that are called without leaving the function."""
    found = {n.func.id for n in ast.walk(node) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
    return found | {
        n.func.attr
        for n in ast.walk(node)
        if isinstance(n, ast.Call)
        and isinstance(n.func, ast.Attribute)
        and ast.unparse(n.func.value) in ("self", "cls")
    }


def _raising(tree: ast.Module) -> set[str]:
    """Private functions and methods of a file that raise an error of ours, themselves or through each other."""
    functions = [n for n in ast.walk(tree) if isinstance(n, _Function) and n.name.startswith("_")]
    raising: set[str] = set()
    while True:
        more = {f.name for f in functions if _raises(f, raising)} - raising
        if not more:
            return raising - set(_MADE)
        raising |= more


def _raises(node: ast.AST, private: set[str]) -> bool:
    own = any(
        isinstance(n, ast.Raise) and re.search(r"CoreError|CheckpointError|AiprodError", ast.unparse(n))
        for n in ast.walk(node)
    )
    return own or bool(_calls(node) & private)


def _problems(path: Path) -> list[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    private = _raising(tree)
    found = [] if ast.get_docstring(tree) else ["the file has no docstring"]
    for owner, node in _public(tree.body):
        assert isinstance(node, _Function | ast.ClassDef)
        name = f"{owner.name}.{node.name}" if owner is not None else node.name
        text = ast.get_docstring(node) or ""
        if not text:
            found.append(f"{name} has no docstring")
        elif isinstance(node, ast.ClassDef):
            made = [n for n in node.body if isinstance(n, _Function) and n.name in _MADE]
            if any(_raises(n, private) for n in made) and "Raises:" not in text:
                found.append(f"{name} does not say what making it raises")
        elif _raises(node, private) and "Raises:" not in text:
            found.append(f"{name} does not say what it raises")
    return found


@pytest.mark.parametrize("path", _FILES, ids=lambda p: str(p.relative_to(_ROOT)))
def test_all_that_is_public_says_what_it_is_and_what_it_raises(path: Path) -> None:
    assert not _problems(path)


_MEASURES = {  # what a number is counted in, where its name ends without saying so
    "fps": r"frames per second|fps|rate",
    "sample_rate": r"sample|Hz|rate",
    "positions": r"second",
}


@pytest.mark.parametrize("path", _FILES, ids=lambda p: str(p.relative_to(_ROOT)))
def test_numbers_with_a_unit_say_it(path: Path) -> None:
    """In the function, in its class or at the head of its file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    missing = []
    for owner, node in _public(tree.body):
        if not isinstance(node, _Function):
            continue
        words = " ".join(filter(None, (ast.get_docstring(n) for n in (node, owner, tree) if n is not None)))
        for argument in (*node.args.args, *node.args.kwonlyargs):
            unit = _MEASURES.get(argument.arg)
            if unit and not re.search(unit, words):
                missing.append(f"{node.name}({argument.arg})")
    assert not missing
