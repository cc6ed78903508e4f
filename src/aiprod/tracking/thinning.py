"""Fewer points of long curves: a store takes long over each, and MLflow's pages draw at most 320 of a curve."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

P = TypeVar("P")

_WHOLE = 200  # points of a curve from which on only some are kept


class Thinning(Generic[P]):
    """Keeps the first 200 points of each curve, every second of the next 200, every fourth of the next 400, and so on.

    So a curve of a thousand steps has 425 points, one of a million 1,500. The last point is kept in any case
    (:meth:`rest`).
    """

    def __init__(self) -> None:
        self._seen: dict[Hashable, int] = {}
        self._left_out: dict[Hashable, P] = {}

    def keeps(self, curve: Hashable, point: P) -> bool:
        """Whether the next point of a curve is kept."""
        number = self._seen.get(curve, 0)
        self._seen[curve] = number + 1
        if number % (1 << (number // _WHOLE).bit_length()) == 0:
            self._left_out.pop(curve, None)
            return True
        self._left_out[curve] = point
        return False

    def rest(self) -> list[P]:
        """The last points of curves that were not kept."""
        points = list(self._left_out.values())
        self._left_out.clear()
        return points
