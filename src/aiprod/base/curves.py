"""Read the ``curve.csv`` that a training stage writes: one row per logged step."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

AXES = ("step", "phase")


def read_curve(path: Path) -> pd.DataFrame:
    """The rows of a curve; empty if there is no such file, or nothing in it.

    Returns:
        ``step`` (int; the number of the row where the file has none), ``phase`` (text or None), and every other column
        as float64, NaN where a cell is empty, infinite or not a number.
    """
    import numpy as np  # here: both take half a second, and few commands read a curve
    import pandas as pd

    try:
        frame = pd.read_csv(path, dtype={"phase": object}, encoding="utf-8")
    except (FileNotFoundError, pd.errors.EmptyDataError):
        return pd.DataFrame({"step": pd.Series(dtype=int), "phase": pd.Series(dtype=object)})
    names = [name for name in frame.columns if name != "phase"]
    numbers = frame[names].apply(pd.to_numeric, errors="coerce").astype(float).replace([np.inf, -np.inf], np.nan)
    steps = numbers["step"] if "step" in numbers else pd.Series(np.nan, frame.index)
    phases = frame["phase"] if "phase" in frame else pd.Series(None, frame.index, dtype=object)
    numbers["step"] = steps.fillna(pd.Series(frame.index, frame.index)).astype(int)
    numbers["phase"] = phases.astype(object).where(phases.notna(), None)
    return numbers
