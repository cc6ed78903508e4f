"""Headline metrics: the few figures of a stage that `dvc metrics show`, `dvc metrics diff` and `dvc exp show` print.

They are in git, so that DVC compares commits and experiments without fetching outputs. Every other figure of a stage is
in ``reports/<name>/metrics.json``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path

from aiprod.base.files import write_json

METRICS = Path("metrics")


def write_headline(name: str, figures: Mapping[str, float | None]) -> None:
    """Write ``metrics/<name>.json``: one flat object of numbers.

    DVC makes a column of every figure of every stage. So there are few, with short names, and no two stages share one.

    Args:
        figures: name → figure; ``None`` or a value that is not finite was not measured and is left out.
    """
    measured = {key: value for key, value in figures.items() if value is not None and math.isfinite(value)}
    rounded = {key: float(f"{v:.5g}") if isinstance(v, float) else v for key, v in measured.items()}
    write_json(METRICS / f"{name}.json", rounded)


def mean(values: Iterable[float]) -> float | None:
    """The mean, or ``None`` if there is no value."""
    known = list(values)
    return sum(known) / len(known) if known else None
