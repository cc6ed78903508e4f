"""Curves of a stage that DVC restored: its curve.csv becomes the metrics that a live run would have logged."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

from aiprod.tracking.identity import PARENT_TAG
from aiprod.tracking.writer import RunWriter

_AXES = ("step", "phase")


def read_curve(path: Path) -> list[dict[str, Any]]:
    """Rows of a curve: ``step`` (int), ``phase`` (text or None), ``values`` (the finite numbers of other columns)."""
    if not path.is_file():
        return []
    rows: list[dict[str, Any]] = []
    with open(path, newline="", encoding="utf-8") as file:
        for index, row in enumerate(csv.DictReader(file)):
            values = {name: _number(cell) for name, cell in row.items() if name not in _AXES}
            step = _number(row.get("step"))
            rows.append(
                {
                    "step": int(step) if step is not None else index,
                    "phase": row.get("phase") or None,
                    "values": {name: value for name, value in values.items() if value is not None},
                }
            )
    return rows


def log_curve(writer: RunWriter, path: Path) -> None:
    """Log a curve to the run; rows that name a phase go to a nested run of that phase as well.

    The run then has the figure ``phase`` too, which rises by one where a phase begins, as a live run has.
    """
    rows = read_curve(path)
    phases = list(dict.fromkeys(row["phase"] for row in rows if row["phase"] is not None))
    points = [(name, value, row["step"]) for row in rows for name, value in row["values"].items()]
    points += [("phase", phases.index(row["phase"]) + 1.0, row["step"]) for row in rows if row["phase"] is not None]
    writer.points(points)
    for phase in phases:
        tags = {PARENT_TAG: writer.run, "aiprod.phase": phase, "aiprod.restored": "true"}
        run = writer.client.create_run(writer.experiment, run_name=phase, tags=tags)
        target = RunWriter(writer.client, writer.experiment, str(run.info.run_id))
        mine = [row for row in rows if row["phase"] == phase]
        target.points([(name, value, row["step"]) for row in mine for name, value in row["values"].items()])
        writer.client.set_terminated(target.run, "FINISHED")


def _number(cell: str | None) -> float | None:
    try:
        value = float(cell) if cell else None
    except ValueError:
        return None
    return value if value is not None and math.isfinite(value) else None
