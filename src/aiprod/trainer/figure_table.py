"""Figures of a model as a table for its page: each beside its bound and its level by chance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

_BOUND, _LOW = "_bound", ("_chance", "_mismatched", "_reference")


class FigureRow(NamedTuple):
    """A figure in words, its value, the bound it can reach, and what chance or another sound gives; ``–``: none."""

    name: str
    value: str
    bound: str
    low: str


def figure_rows(figures: Mapping[str, Any]) -> list[FigureRow]:
    """Rows of a table; a figure and its levels are one row."""
    levels = {name + suffix for name in figures for suffix in (_BOUND, *_LOW)}  # of figures that there are
    rows = []
    for name, value in figures.items():
        if name in levels or isinstance(value, dict):
            continue
        low = next((figures[name + suffix] for suffix in _LOW if name + suffix in figures), None)
        cells = (value, figures.get(name + _BOUND), low)
        rows.append(FigureRow(name.replace("_", " "), *("–" if cell is None else str(cell) for cell in cells)))
    return rows
