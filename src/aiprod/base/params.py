"""Reads a section of params.yaml into a pydantic model; a typo is an error that names the nearest valid key."""

from __future__ import annotations

import copy
import difflib
import functools
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from aiprod.base.errors import AiprodError
from aiprod.base.files import digest_of
from aiprod.base.structured import YAML_BYTES_MAX, parse_yaml, read_bounded

M = TypeVar("M", bound=BaseModel)


class Params(BaseModel):
    """Base of every parameter model: unknown keys are errors and values are fixed after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    def digest(self) -> str:
        """SHA-256 of the values; part of memo keys and training fingerprints."""
        return digest_of(self.model_dump(mode="json"))


def read_yaml(path: Path | str) -> Any:
    """Read a YAML 1.2 file (``1e-05`` is a number there, in YAML 1.1 it is a string).

    Raises:
        AiprodError: missing, not YAML, or larger or deeper than any person writes.
    """
    data = read_bounded(path, YAML_BYTES_MAX, "run from the root of the repository")
    return copy.deepcopy(_parsed(data, str(path)))


@functools.lru_cache(maxsize=8)
def _parsed(data: bytes, path: str) -> Any:
    """Parsed once a process: a stage reads the same file for its section, the seed and the engine."""
    return parse_yaml(data, path)


def load_params(model: type[M], section: str, path: Path | str = "params.yaml") -> M:
    """Read ``section`` of the parameter file into ``model``.

    Raises:
        AiprodError: the section is missing, or a key or value is invalid; one line for the first problem.
    """
    content = read_yaml(path)
    if not isinstance(content, dict) or section not in content:
        known = list(content) if isinstance(content, dict) else []
        raise AiprodError(f"{path} has no section {section!r}", nearest(section, known))
    return validate(model, content[section] or {}, f"{path}: {section}")


def load_value(name: str, path: Path | str = "params.yaml") -> Any:
    """A top-level scalar such as ``lr`` or ``seed``.

    Raises:
        AiprodError: there is no such key.
    """
    content = read_yaml(path)
    if not isinstance(content, dict) or name not in content:
        raise AiprodError(f"{path} has no key {name!r}", nearest(name, list(content or [])))
    return content[name]


def validate(model: type[M], value: Any, where: str) -> M:
    """Validate ``value`` as ``model``, turning pydantic's report into one line.

    Raises:
        AiprodError: the first problem, a typo before others, with the nearest valid key.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        problems = error.errors()  # a typo first: a key that is "missing" is often the one that was misspelt
        first = min(problems, key=lambda problem: problem["type"] != "extra_forbidden")
        location = [str(part) for part in first["loc"]]
        if first["type"] == "extra_forbidden":
            owner = _model_at(model, location[:-1])
            names = list(owner.model_fields) if owner is not None else []
            raise AiprodError(f"{where}: unknown key {'.'.join(location)!r}", nearest(location[-1], names)) from None
        got = first.get("input")
        shown = f" (got {got!r})" if isinstance(got, str | int | float | bool | None) else ""
        more = f"; and {error.error_count() - 1} more" if error.error_count() > 1 else ""
        raise AiprodError(f"{where}.{'.'.join(location)}: {first['msg']}{shown}{more}", "mend the value") from None


def nearest(word: str, known: list[str]) -> str:
    """A hint that names the closest known word."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(sorted(known)) or 'none'}"


def _model_at(model: type[BaseModel], location: list[str]) -> type[BaseModel] | None:
    """The pydantic model that owns the last part of an error location."""
    current: Any = model
    for part in location:
        if isinstance(current, type) and issubclass(current, BaseModel):
            field = current.model_fields.get(part)
            if field is not None:  # otherwise the part is the key of a mapping or an index: stay with its model
                current = _inner_model(field.annotation)
    return current if isinstance(current, type) and issubclass(current, BaseModel) else None


def _inner_model(annotation: Any) -> Any:
    """The first pydantic model inside a type such as ``dict[str, Phase]`` or ``Phase | None``."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return annotation
    for argument in typing.get_args(annotation):
        found = _inner_model(argument)
        if isinstance(found, type) and issubclass(found, BaseModel):
            return found
    return None
