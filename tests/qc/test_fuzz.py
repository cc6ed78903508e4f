"""Films damaged byte by byte: each gives one row, none takes a worker down, nothing raises what was not foreseen."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.qc.fuzz import damaged, fuzz, make_films

_PART = 2500
_MENDED = (641, 1525, 1561, 3017, 6379, 6492, 9880)  # minutes of silence after a sound; a packet said to be huge


def test_damaged_films_give_a_row_each(tmp_path: Path) -> None:
    rows, found, faults = fuzz(make_films(tmp_path), range(150))
    assert rows == 150 and not faults
    assert found["ok"] > 0 and len(found) >= 4  # the damage is neither nothing nor everything
    assert damaged(b"abc" * 500, 3) == damaged(b"abc" * 500, 3) != b"abc" * 500


def test_damage_that_once_cost_a_worker_costs_none(tmp_path: Path) -> None:
    rows, _, faults = fuzz(make_films(tmp_path), _MENDED)
    assert rows == len(_MENDED) and not faults


@pytest.mark.long
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("part", range(4))
def test_ten_thousand_damaged_films_give_a_row_each(tmp_path: Path, part: int) -> None:
    rows, found, faults = fuzz(make_films(tmp_path), range(part * _PART, (part + 1) * _PART), f"fuzz, part {part}")
    print(dict(found.most_common()), faults)
    assert rows == _PART and not faults
