"""What any value of a parameter file must be, whatever its key, and what to write instead of a wrong one."""

from __future__ import annotations

import difflib
import math
import re
import typing
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

LARGEST = 1_000_000_000  # of a number whose field allows no more itself; beyond it nothing here means anything
_SHOWN = 80


def refuse_odd(value: Any, field: FieldInfo) -> None:
    """Refuse what pydantic would take: ``true`` for a number, and numbers that no machine can follow.

    Raises:
        ValueError: says what to give.
    """
    kinds = set(_leaves(field.annotation))
    if any(isinstance(kind, type) and issubclass(kind, BaseModel) for kind in kinds):
        return  # its own fields are checked by it
    if not kinds & {int, float}:
        return
    most = max(LARGEST, *(getattr(m, n) for m in field.metadata for n in ("le", "lt") if hasattr(m, n)), 0)
    for scalar in _scalars(value):
        if isinstance(scalar, bool) and bool not in kinds:
            raise ValueError(f"is {str(scalar).lower()} and a number is needed → {_such_as(field, 'give a number')}")
        if isinstance(scalar, int | float) and most < abs(scalar) < math.inf:
            raise ValueError(f"is too large → give {most} or less")


def shown_value(value: Any) -> str:
    """A value as an error line shows it; empty where it is no single value."""
    if not isinstance(value, str | int | float | bool | None):
        return ""
    if isinstance(value, int) and abs(value) > 10**_SHOWN:
        return " (got a number of more than 80 digits)"
    text = repr(value)
    return f" (got {text})" if len(text) <= _SHOWN else f" (got {text[:_SHOWN]}…)"


def hint_for(problem: Mapping[str, Any], field: FieldInfo | None) -> str:
    """What to write instead, with the nearest valid value where one can be told."""
    kind, ctx = str(problem["type"]), problem.get("ctx") or {}
    bounds = {
        "greater_than_equal": "give {ge} or more",
        "greater_than": "give more than {gt}",
        "less_than_equal": "give {le} or less",
        "less_than": "give less than {lt}",
        "too_short": "give {min_length} or more",
        "string_too_short": "leave the key without a value, or name one",
        "multiple_of": "give a multiple of {multiple_of}",
    }
    if kind in bounds:
        return bounds[kind].format(**ctx)
    if kind == "missing":
        return "give it a value"
    if kind == "string_pattern_mismatch":
        return f"give text of the form {ctx.get('pattern')}"
    if kind == "literal_error":
        options = re.findall(r"'([^']*)'", str(ctx.get("expected", "")))
        close = difflib.get_close_matches(str(problem.get("input")), options, n=1, cutoff=0.5)
        return f"did you mean {close[0]!r}?" if close else f"use one of {', '.join(options)}"
    if kind.startswith(("int", "float", "finite")):
        return _such_as(field, "give a whole number" if kind.startswith("int") else "give a number")
    if kind.startswith("bool"):
        return "give true or false"
    if kind.startswith("string"):
        return _such_as(field, "give text in quotes")
    if kind.startswith(("list", "tuple")):
        return _such_as(field, "give a list in brackets")
    if kind.startswith(("dict", "model")):
        return "give keys with values, as in params.yaml"
    return "fix the value"


def _such_as(field: FieldInfo | None, words: str) -> str:
    default = field.default if field is not None else PydanticUndefined
    if default in (PydanticUndefined, None, "") or isinstance(default, BaseModel | Mapping):
        return words
    if isinstance(default, tuple):
        default = list(default)
    return f"{words}, such as {default!r}" if isinstance(default, str | int | float | list) else words


def _leaves(annotation: Any) -> typing.Iterator[Any]:
    arguments = typing.get_args(annotation)
    if not arguments:
        yield annotation
    for argument in arguments:
        yield from _leaves(argument)


def _scalars(value: Any) -> typing.Iterator[Any]:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for part in value:
            yield from _scalars(part)
    else:
        yield value
