"""A curve is read as numbers, whatever stands in a cell."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from aiprod.base.curves import read_curve


def test_what_is_not_a_finite_number_is_missing_and_steps_and_phases_are_always_there(tmp_path: Path) -> None:
    path = tmp_path / "curve.csv"
    path.write_text("phase,loss,grad\nlow,1.5,\nlow,inf,3\n,2,nan\nhigh,abc,0.1\n")
    curve = read_curve(path)
    assert curve["step"].tolist() == [0, 1, 2, 3]
    assert curve["phase"].tolist() == ["low", "low", None, "high"]
    np.testing.assert_array_equal(curve["loss"], [1.5, np.nan, 2.0, np.nan])
    np.testing.assert_array_equal(curve["grad"], [np.nan, 3.0, np.nan, 0.1])


def test_a_number_is_read_to_the_last_bit(tmp_path: Path) -> None:
    values = np.random.default_rng(0).standard_normal(500) * 10.0 ** np.arange(-250, 250)
    (tmp_path / "curve.csv").write_text("step,loss\n" + "".join(f"{n},{v!r}\n" for n, v in enumerate(values.tolist())))
    np.testing.assert_array_equal(read_curve(tmp_path / "curve.csv")["loss"], values)


def test_a_file_that_is_missing_or_empty_has_no_rows(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "header.csv").write_text("step,loss\n")
    for name in ("none.csv", "empty.csv", "header.csv"):
        curve = read_curve(tmp_path / name)
        assert curve.empty and {"step", "phase"} <= set(curve.columns)
