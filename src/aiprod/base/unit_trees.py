"""Digest of the part of a package's source that one class depends on: what it reaches by name, and nothing beside it.

A module may hold both what makes results that are kept (a measurement) and what only reads them (the rules about it).
This tells whether a change touched the first.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from aiprod.base.files import digest_of
from aiprod.base.syntax_trees import digest_of_trees, is_type_checking

_WHOLE = "*"


@dataclass
class _Module:
    """What a module defines at its top level.

    Attributes:
        bound: name → the statements that bind it.
        imported: name → (module, name in it; ``*`` for the module itself).
        always: statements that run whatever is asked for: loops, conditions, calls.
    """

    bound: dict[str, list[ast.stmt]] = field(default_factory=dict)
    imported: dict[str, tuple[str, str]] = field(default_factory=dict)
    always: list[ast.stmt] = field(default_factory=list)


class UnitTrees:
    """The source of a package.

    Args:
        files: dotted name → file of each of its modules.
    """

    def __init__(self, files: Mapping[str, Path]) -> None:
        self._files = files
        self._read: dict[str, _Module] = {}

    def digest(self, module: str, name: str) -> str:
        """SHA-256 of the statements that ``name`` of a module reaches within the package.

        What it imports from elsewhere counts as the import alone.
        """
        reached: dict[int, ast.stmt] = {}
        seen: set[tuple[str, str]] = set()
        waiting = [(module, name)]
        while waiting:
            at, wanted = item = waiting.pop()
            if item in seen:
                continue
            seen.add(item)
            inside = self._module(at)
            if wanted in inside.imported and inside.imported[wanted][0] in self._files:
                waiting.append(inside.imported[wanted])
                continue
            statements = [s for every in inside.bound.values() for s in every] if wanted == _WHOLE else []
            for statement in [*inside.always, *statements, *inside.bound.get(wanted, [])]:
                if id(statement) not in reached:
                    reached[id(statement)] = statement
                    waiting += self._names(at, statement)
        return digest_of(sorted(digest_of_trees([statement]) for statement in reached.values()))

    def _names(self, at: str, statement: ast.stmt) -> Iterator[tuple[str, str]]:
        """(module, name) of what a statement mentions; of ``module.name``, that name alone."""
        inside = self._module(at)
        parts = {id(node.value) for node in ast.walk(statement) if isinstance(node, ast.Attribute)}
        for node in ast.walk(statement):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                other, name = inside.imported.get(node.value.id, ("", ""))
                if name == _WHOLE and other in self._files:
                    yield other, node.attr
                else:
                    yield at, node.value.id
            elif isinstance(node, ast.Name) and id(node) not in parts:
                yield at, node.id
            elif isinstance(node, ast.ImportFrom):
                targets = [self._target(node, alias.name) for alias in node.names]
                yield from (target for target in targets if target[0] in self._files)

    def _module(self, name: str) -> _Module:
        if name not in self._read:
            self._read[name] = read = _Module()
            for statement in ast.parse(self._files[name].read_bytes()).body:
                self._sort_in(statement, read)
        return self._read[name]

    def _sort_in(self, statement: ast.stmt, module: _Module) -> None:
        if isinstance(statement, ast.If) and is_type_checking(statement.test):
            return
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            return  # a docstring
        if isinstance(statement, ast.ImportFrom):
            for alias in statement.names:
                module.imported[alias.asname or alias.name] = self._target(statement, alias.name)
                alone = ast.ImportFrom(statement.module, [alias], statement.level)
                module.bound.setdefault(alias.asname or alias.name, []).append(alone)
        elif isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            module.bound.setdefault(statement.name, []).append(statement)
        elif isinstance(statement, ast.Assign | ast.AnnAssign | ast.Import):
            for name in _bound_by(statement):
                module.bound.setdefault(name, []).append(statement)
        else:
            module.always.append(statement)

    def _target(self, statement: ast.ImportFrom, name: str) -> tuple[str, str]:
        """Where an imported name is defined: in a module, or it is a module itself."""
        module = f"{statement.module}.{name}"
        return (module, _WHOLE) if module in self._files else (statement.module or "", name)


def _bound_by(statement: ast.Assign | ast.AnnAssign | ast.Import) -> list[str]:
    if isinstance(statement, ast.Import):
        return [alias.asname or alias.name.partition(".")[0] for alias in statement.names]
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    return [node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)]
