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


def add_picture(figure: Any, place: tuple[float, float, float, float], picture: Any) -> None:
    """Show a picture, uint8 RGB [H, W, 3], on a part of a page; axes round each would take fifty times as long.

    Args:
        place: left, bottom, width and height, as shares of the page.
    """
    from matplotlib.image import BboxImage
    from matplotlib.transforms import Bbox, TransformedBbox

    box = TransformedBbox(Bbox.from_bounds(*place), figure.transFigure)
    image = BboxImage(box, interpolation="nearest", origin="upper")
    image.set_data(picture)
    figure.add_artist(image)


def save_figure(figure: Any, path: Path) -> None:
    """Write a PNG."""
    with atomic_path(path) as temporary:  # no software name or date in the file: equal content gives equal bytes
        figure.savefig(temporary, facecolor=_PAPER, metadata={"Software": None})
