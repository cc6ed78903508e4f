"""Quality control: measure every clip in one decode, decide later. Public names load on first use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aiprod.qc.deciding import decide as decide
    from aiprod.qc.measure import measure_file as measure_file
    from aiprod.qc.params import QcDecideParams as QcDecideParams
    from aiprod.qc.params import QcMeasureParams as QcMeasureParams
    from aiprod.qc.rows import CheckResult as CheckResult
    from aiprod.qc.rows import MeasureRow as MeasureRow
    from aiprod.qc.rows import VerdictRow as VerdictRow

_WHERE = {
    "CheckResult": "rows",
    "MeasureRow": "rows",
    "QcDecideParams": "params",
    "QcMeasureParams": "params",
    "VerdictRow": "rows",
    "decide": "deciding",
    "measure_file": "measure",
}
__all__ = ["CheckResult", "MeasureRow", "QcDecideParams", "QcMeasureParams", "VerdictRow", "decide", "measure_file"]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
