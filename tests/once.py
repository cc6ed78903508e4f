"""Functions of their arguments alone, computed once for equal arguments: trainings of one corpus measure it again."""

from __future__ import annotations

import copy
import functools
import pickle
from types import ModuleType
from typing import Any

import pytest


def computed_once(patch: pytest.MonkeyPatch, module: ModuleType, *names: str) -> None:
    """Functions that ``module`` calls by these names compute the same arguments once, however often they are asked.

    Arguments are the same where all their bytes are, so whoever computes something else is computed for; each caller
    has a copy of its own.
    """
    for name in names:
        patch.setattr(module, name, _once(getattr(module, name)))


def _once(function: Any) -> Any:
    known: dict[bytes, Any] = {}

    @functools.wraps(function)
    def answer(*arguments: Any, **named: Any) -> Any:
        key = pickle.dumps((arguments, named))
        if key not in known:
            known[key] = function(*arguments, **named)
        return copy.deepcopy(known[key])

    return answer
