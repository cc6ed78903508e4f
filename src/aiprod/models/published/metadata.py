"""Reads the configuration in the metadata of a published file; whatever is another than expected is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aiprod.errors import CheckpointError

REFUSED = "use a checkpoint that Lightricks published"


def section(metadata: Mapping[str, Any], name: str, where: Path) -> Mapping[str, Any]:
    """The table of one part.

    Raises:
        CheckpointError: there is none.
    """
    values = metadata.get(name)
    if not isinstance(values, dict):
        raise CheckpointError(f"{where} holds a {name} and its metadata says nothing of it", REFUSED)
    return values


def inner(value: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    """A table in a table in …; empty where one is missing."""
    for name in names:
        inner_value = value.get(name)
        value = inner_value if isinstance(inner_value, dict) else {}
    return value


def numbers(value: Any, count: int, where: Path) -> Sequence[int]:
    """So many whole numbers.

    Raises:
        CheckpointError: something else.
    """
    if not isinstance(value, list) or len(value) != count or not all(type(v) is int for v in value):
        raise CheckpointError(f"{where} has a damaged configuration ({value!r:.80} are not {count} numbers)", REFUSED)
    return value


def refuse_other(config: Mapping[str, Any], fixed: Mapping[str, Any], where: Path) -> None:
    """Refuse a setting that diffusers' class has built in as another value.

    Raises:
        CheckpointError: names the first.
    """
    for name, value in fixed.items():
        if name in config and config[name] != value:
            raise CheckpointError(
                f"{where} is built with {name} {config[name]!r:.60}, and only {value!r} is read", REFUSED
            )
