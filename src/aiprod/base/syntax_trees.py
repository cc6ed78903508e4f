"""Digests of Python source in which comments, docstrings and layout do not count, and the imports of a module."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from aiprod.errors import AiprodError


@dataclass(frozen=True)
class Module:
    """What one source file says.

    Args:
        digest: SHA-256 of its syntax tree without docstrings.
        imports: absolute dotted names that it may import; of ``from a import b`` both ``a`` and ``a.b``.
        version: the text of its constant ``VERSION``, where it has one.
    """

    digest: str
    imports: tuple[str, ...]
    version: str | None = None


def parse_module(name: str, path: Path, data: bytes) -> Module:
    """Read the source of a module.

    Args:
        name: its dotted name.
        path: its file; an ``__init__.py`` is the package ``name``.
        data: the bytes of the file.

    Raises:
        AiprodError: it is not valid Python.
    """
    try:
        tree = ast.parse(data)
    except (SyntaxError, ValueError) as error:
        raise AiprodError(f"{path} is not valid Python: {error}", "restore or correct it") from None
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    return Module(digest_of_trees([tree]), tuple(sorted(set(_imports(tree, package)))), _version(tree))


def digest_of_trees(trees: Iterable[ast.AST]) -> str:
    """SHA-256 of syntax trees without docstrings, in this order."""
    tokens: list[str] = []
    for tree in trees:
        _tell(tree, tokens)
    return hashlib.sha256("".join(f"{token}\0" for token in tokens).encode()).hexdigest()


def _version(tree: ast.Module) -> str | None:
    for node in tree.body:
        if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Constant):
            continue
        if [target.id for target in node.targets if isinstance(target, ast.Name)] == ["VERSION"]:
            return str(node.value.value)
    return None


def _imports(tree: ast.AST, package: str) -> Iterator[str]:
    """Absolute names that a tree may import. What stands under ``if TYPE_CHECKING`` never runs."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and is_type_checking(node.test):
            waiting += node.orelse
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif not isinstance(node, ast.expr):  # no expression holds a statement
            waiting += ast.iter_child_nodes(node)


def is_type_checking(test: ast.expr) -> bool:
    """Whether a condition is ``TYPE_CHECKING``."""
    name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", "")
    return name == "TYPE_CHECKING"


def _tell(node: Any, tokens: list[str]) -> None:
    """Append a syntax tree as text that is the same in every version of Python.

    ``ast.dump`` is not: later versions have fields that earlier ones lack. So a field that is empty says nothing, and
    neither does one that only tells how a constant was written.
    """
    if isinstance(node, ast.AST):
        tokens.append(f"({type(node).__name__}")
        for field in _fields(type(node).__name__):
            value: Any = getattr(node, field, None)
            if value == [] or (value is None and not isinstance(node, ast.Constant)):
                continue
            if field == "body":
                if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                    value = _without_docstrings(value)
                elif isinstance(node, ast.If) and is_type_checking(node.test):
                    continue
            tokens.append(field)
            _tell(value, tokens)
        tokens.append(")")
    elif isinstance(node, list):
        tokens.append("[")
        for item in node:
            _tell(item, tokens)
        tokens.append("]")
    else:
        tokens.append(f"{type(node).__name__}:{node!r}")


@cache
def _fields(kind: str) -> list[str]:
    return sorted(set(getattr(ast, kind)._fields) - {"kind", "type_comment", "type_ignores", "ctx"})


def _without_docstrings(body: list[ast.stmt]) -> list[ast.stmt]:
    """Statements without those that are only a string: docstrings, also of attributes, which never do anything."""
    return [node for node in body if not (isinstance(node, ast.Expr) and _is_text(node.value))]


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)
