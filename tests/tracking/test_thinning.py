"""Of long curves some points are kept: the first ones, the last one, and ever fewer between."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiprod.tracking.thinning import Thinning


def kept(count: int) -> list[int]:
    thinning: Thinning[int] = Thinning()
    return [*(n for n in range(count) if thinning.keeps("loss", n)), *thinning.rest()]


@given(st.integers(1, 5000))
def test_the_beginning_and_the_end_are_whole_and_gaps_grow_with_the_curve(count: int) -> None:
    points = kept(count)
    assert points[: min(count, 200)] == list(range(min(count, 200))) and points[-1] == count - 1
    gaps = np.diff(points)
    assert (gaps > 0).all() and (gaps <= 1 + np.array(points[1:]) / 100).all()


@pytest.mark.parametrize(("count", "most"), [(1000, 426), (1_000_000, 1500)])
def test_a_long_curve_stays_small(count: int, most: int) -> None:
    assert len(kept(count)) <= most


def test_curves_are_thinned_apart_and_what_is_left_is_given_once() -> None:
    thinning: Thinning[tuple[str, int]] = Thinning()
    for n in range(202):
        thinning.keeps("a", ("a", n))
        thinning.keeps("b", ("b", n)) if n < 3 else None
    assert thinning.rest() == [("a", 201)] and thinning.rest() == []
