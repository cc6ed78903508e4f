"""MLflow: every experiment is recorded there, and nothing that is trained ever depends on it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aiprod.tracking.runs import stage_run as stage_run

_WHERE = {"stage_run": "runs", "track": "record"}
__all__ = ["stage_run", "track"]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
