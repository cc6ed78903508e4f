"""Columns of figures: rounding as Python does it, and equal values kept once."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from aiprod.qc.checks.judging import rounded
from aiprod.qc.metric_table import compact

ANY = st.floats(allow_nan=True, allow_infinity=True)
NEAR_HALVES = st.builds(lambda n, digits, off: (n + 0.5 + off) / 10**digits, st.integers(-(10**7), 10**7),
                        st.integers(0, 6), st.sampled_from([0.0, 1e-9, -1e-9]))  # fmt: skip


def _same(a: float, b: float) -> bool:
    return (math.isnan(a) and math.isnan(b)) or (a == b and math.copysign(1, a) == math.copysign(1, b))


@given(st.lists(ANY | NEAR_HALVES, min_size=1, max_size=30), st.integers(0, 6))
@example([2.675, 0.5, 1.5, 2.5, -0.5, -0.0, 1e16, 5e-324], 2)
def test_a_column_is_rounded_as_each_number_is(values: list[float], digits: int) -> None:
    found = rounded(np.array(values), digits).tolist()
    wanted = [round(v, digits) if math.isfinite(v) else v for v in values]
    assert all(_same(a, b) for a, b in zip(found, wanted, strict=True)), (found, wanted)


@given(st.lists(st.sampled_from([0.0, -0.0, 1.0, math.nan, math.inf]), min_size=1, max_size=6))
def test_what_stands_for_all_values_is_the_same_as_each(values: list[float]) -> None:
    found = compact(np.array(values)).tolist()
    assert all(_same(a, b) for a, b in zip(found, values, strict=True))
    cells = np.array([None if math.isnan(v) else str(v) for v in values], object)
    assert compact(cells).tolist() == cells.tolist()
