"""Curves of a stage that DVC restored: its curve.csv becomes the metrics that a live run would have logged."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from aiprod.base.curves import AXES, read_curve
from aiprod.tracking.identity import PARENT_TAG
from aiprod.tracking.thinning import Thinning
from aiprod.tracking.writer import RunWriter

if TYPE_CHECKING:
    import pandas as pd

COMPARED = "all_models"
_LOSSES = ("loss", "heldout/loss")


def log_curve(writer: RunWriter, path: Path) -> None:
    """Log a curve to the run; rows that name a phase go to a nested run of that phase as well.

    The run then has the figure ``phase`` too, which rises by one where a phase begins, as a live run has.
    """
    curve = read_curve(path)
    phases = [phase for phase in curve["phase"].unique() if phase is not None]
    points = _points(curve)
    points += _thinned(
        [
            ("phase", phases.index(phase) + 1.0, step)
            for phase, step in zip(curve["phase"], curve["step"].tolist(), strict=True)
            if phase is not None
        ]
    )
    writer.points(points)
    for phase in phases:
        tags = {PARENT_TAG: writer.run, "aiprod.phase": phase, "aiprod.restored": "true"}
        run = writer.client.create_run(writer.experiment, run_name=phase, tags=tags)
        target = RunWriter(writer.client, writer.experiment, str(run.info.run_id))
        target.points(_points(curve[curve["phase"] == phase]))
        writer.client.set_terminated(target.run, "FINISHED")


def log_loss(writer: RunWriter, model: str, path: Path) -> None:
    """Log a model's loss to the run of the whole pipeline, so that experiments lie side by side as curves.

    Their section sorts before all others on MLflow's page of charts.
    """
    curve = read_curve(path)
    shown = {name: f"{COMPARED}/{model}_{name.replace('/', '_')}" for name in _LOSSES if name in curve}
    writer.points([(shown[name], value, step) for name, value, step in _points(curve) if name in shown])


def _points(curve: pd.DataFrame) -> list[tuple[str, float, int]]:
    """(metric, value, step) of the values that a curve has, row by row; of long curves only some."""
    names = [name for name in curve.columns if name not in AXES]
    long = curve.melt("step", names, ignore_index=False).dropna(subset="value").sort_index(kind="stable")
    return _thinned(list(zip(long["variable"], long["value"].tolist(), long["step"].tolist(), strict=True)))


def _thinned(points: list[tuple[str, float, int]]) -> list[tuple[str, float, int]]:
    thinning: Thinning[tuple[str, float, int]] = Thinning()
    return [*(point for point in points if thinning.keeps(point[0], point)), *thinning.rest()]
