"""Pages for plots: one size of point, one set of inks, and files with equal bytes for equal content."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aiprod.base.files import atomic_path

_PAPER, INK, MUTED = "#ffffff", "#1d232b", "#6b7480"


def new_figure(width_in: float, height_in: float) -> Any:
    """A white page."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib.figure import Figure

    return Figure(figsize=(width_in, height_in), dpi=110, facecolor=_PAPER)


def save_figure(figure: Any, path: Path) -> None:
    """Write a PNG."""
    with atomic_path(path) as temporary:  # no software name or date in the file: equal content gives equal bytes
        figure.savefig(temporary, facecolor=_PAPER, metadata={"Software": None})
