"""Figures of ``make bench``: each with what is wanted of it and their ratio, printed, and kept for the last table."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

KEPT_IN = "AIPROD_BENCH_FIGURES"  # variable that names the file to which figures are appended


@dataclass(frozen=True)
class Figure:
    """Something measured.

    Attributes:
        what: in words.
        value: the figure.
        unit: of it; empty for a ratio.
        wanted: the bound, None where there is none.
        at_least: whether the bound is the least instead of the most.
    """

    what: str
    value: float
    unit: str = ""
    wanted: float | None = None
    at_least: bool = False

    @property
    def ratio(self) -> float:
        """Share of the bound that is used up: at most 1 holds, whichever side the bound is on; NaN without a bound."""
        if self.wanted is None:
            return math.nan
        over, under = (self.wanted, self.value) if self.at_least else (self.value, self.wanted)
        return over / under if under else math.inf

    @property
    def holds(self) -> bool:
        """Whether it keeps to its bound."""
        return self.wanted is None or self.ratio <= 1

    def __str__(self) -> str:
        said = f"{self.what}: {self.value:.{2 if self.value < 100 else 0}f} {self.unit}".rstrip()
        if self.wanted is None:
            return said
        side = "least" if self.at_least else "most"
        bound = f"{self.wanted:g} {self.unit}".rstrip()
        return f"{said} (at {side} {bound}: {self.ratio:.2f} of it{'' if self.holds else ', MISSED'})"


def figure(what: str, value: float, unit: str = "", *, most: float | None = None, least: float | None = None) -> Figure:
    """Print a figure, and keep it for the table where the bench that runs this part asked for that."""
    made = Figure(what, value, unit, most if least is None else least, least is not None)
    print(made, flush=True)
    if place := os.environ.get(KEPT_IN):
        with open(place, "a") as kept:
            kept.write(json.dumps(asdict(made)) + "\n")
    return made


def read_figures(place: Path) -> list[Figure]:
    """What was kept in a file, in order; nothing where there is none."""
    return [Figure(**json.loads(line)) for line in place.read_text().splitlines()] if place.exists() else []


def exponent(sizes: Sequence[int], seconds: Sequence[float]) -> float:
    """The slope of the line of least squares through the logarithms: 1 = time in proportion to the size."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])
