"""Reads a section of params.yaml into a pydantic model; a typo is an error that names the nearest valid key."""

from __future__ import annotations

import difflib
import types
import typing
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic.fields import FieldInfo

from aiprod.base.files import digest_of
from aiprod.base.values import hint_for, refuse_odd, shown_value
from aiprod.base.yaml_file import read_yaml
from aiprod.errors import AiprodError

M = TypeVar("M", bound=BaseModel)
_LONGEST = 300  # characters of what is said of a value


class Params(BaseModel):
    """Base of every parameter model: unknown keys are errors and values are fixed after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _of_some_use(cls, value: Any, info: ValidationInfo) -> Any:
        refuse_odd(value, cls.model_fields[str(info.field_name)])
        return value

    def digest(self) -> str:
        """SHA-256 of the values; part of memo keys and training fingerprints."""
        return digest_of(self.model_dump(mode="json"))


class TopParams(Params):
    """The single values at the top of the file, which several stages read."""

    seed: int = Field(default=42, ge=0, le=2**62)
    lr: float = Field(default=1e-3, gt=0, le=10, description="base learning rate; each stage and phase scales it")
    engine: Literal["local", "ray"] = Field(default="local", description="where films are ingested and measured")


def load_params(model: type[M], section: str, path: Path | str = "params.yaml") -> M:
    """Read ``section`` of the parameter file into ``model``.

    Raises:
        AiprodError: the section is missing, or a key or value is invalid; one line for the first problem.
    """
    content = read_yaml(path)
    if not isinstance(content, dict) or section not in content:
        known = list(content) if isinstance(content, dict) else []
        raise AiprodError(f"{path} has no section {section!r}", nearest(section, known))
    return validate(model, section_of(content, section), f"{path}: {section}")


def section_of(content: dict[str, Any], section: str) -> Any:
    """What stands under a section; one without a value has its defaults."""
    return {} if content[section] is None else content[section]


def load_value(name: str, path: Path | str = "params.yaml") -> Any:
    """A top-level value such as ``lr`` or ``seed``.

    Raises:
        AiprodError: there is no such key, or its value is none that can be used.
    """
    content = read_yaml(path)
    if not isinstance(content, dict) or name not in content:
        raise AiprodError(f"{path} has no key {name!r}", nearest(name, list(content or [])))
    if name not in TopParams.model_fields:
        return content[name]
    return getattr(validate(TopParams, {name: content[name]}, str(path)), name)


def check_top(path: Path | str = "params.yaml") -> None:
    """Check the top-level values that are there, before a stage that may be hours from reading them.

    Raises:
        AiprodError: one of them cannot be used.
    """
    content = read_yaml(path)
    if isinstance(content, dict):
        own = list(TopParams.model_fields)
        for name, value in content.items():
            if name not in own and not isinstance(value, dict | list | None):  # as `dvc exp run -S +lrr=1` adds it
                raise AiprodError(f"{path}: unknown key {name!r}", nearest(str(name), own))
        validate(TopParams, {n: content[n] for n in TopParams.model_fields if n in content}, str(path))


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
        more = f"; and {error.error_count() - 1} more" if error.error_count() > 1 else ""
        message, _, hint = first["msg"].removeprefix("Value error, ").partition(" → ")
        message = message if len(message) <= _LONGEST else f"{message[:_LONGEST]}…"
        within = "." if ": " in where or "." not in where else ": "  # of a section, or of a file
        key = within.join([where, *([".".join(location)] if location else [])])
        raise AiprodError(
            f"{key}: {message}{shown_value(first.get('input'))}{more}",
            hint or hint_for(first, _field_at(model, location)),
        ) from None


def nearest(word: Any, known: list[Any]) -> str:
    """A hint that names the closest known word."""
    word, known = str(word), [str(name) for name in known]
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


def _field_at(model: type[BaseModel], location: list[str]) -> FieldInfo | None:
    """The field that the last part of an error location names; None for a member of a list or mapping."""
    owner = _model_at(model, location[:-1]) if location else None
    return owner.model_fields.get(location[-1]) if owner is not None else None


def _inner_model(annotation: Any) -> Any:
    """The first pydantic model inside a type such as ``dict[str, Phase]`` or ``Phase | None``."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return annotation
    for argument in typing.get_args(annotation):
        model = _inner_model(argument)
        if isinstance(model, type) and issubclass(model, BaseModel):
            return model
    return None
