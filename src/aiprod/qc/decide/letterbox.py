"""What black bars leave of a picture as it is displayed, from the figures of ``geometry`` and ``borders``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple


class Bars(NamedTuple):
    """The picture between bars, as shares of the displayed width and height.

    Attributes:
        width_doubt, height_doubt: how much more it may be, likewise: bars are counted in lines of a small picture, and
            a line that bar and picture share may count as bar at either end.
        name: ``letterboxed``, ``pillarboxed``, both or nothing.
    """

    width: float = 1.0
    height: float = 1.0
    width_doubt: float = 0.0
    height_doubt: float = 0.0
    name: str = ""


def bars_of(geometry: Mapping[str, Any], borders: Mapping[str, Any]) -> Bars:
    """The bars of a film, whole where none were found or none could be measured."""
    if borders.get("status") != "ok":
        return Bars()
    wide, tall, wide_doubt, tall_doubt = 1.0, 1.0, 0.0, 0.0
    if borders["pillarboxed"]:
        wide, wide_doubt = 1.0 - borders["left"] - borders["right"], 2.0 / (borders.get("columns") or math.inf)
    if borders["letterboxed"]:
        tall, tall_doubt = 1.0 - borders["top"] - borders["bottom"], 2.0 / (borders.get("rows") or math.inf)
    if geometry.get("rotation_deg") in (90, 270):  # bars are measured on the picture as it is stored
        wide, tall, wide_doubt, tall_doubt = tall, wide, tall_doubt, wide_doubt
    names = [name for name, share in (("letterboxed", tall), ("pillarboxed", wide)) if share < 1.0]
    return Bars(wide, tall, wide_doubt, tall_doubt, " and ".join(names))
