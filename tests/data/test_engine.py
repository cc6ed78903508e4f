"""The engine: order, every fault of a worker, nothing left behind."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from aiprod.base.errors import AiprodError
from aiprod.data.engine import Bounds, ordered_map

QUICK = Bounds(deadline_s=30.0)


def slow_square(n: int) -> int:
    time.sleep(0.05 if n % 3 == 0 else 0.0)  # later items finish before earlier ones
    return n * n


def behave(order: tuple[str, str]) -> str:
    """Do what the item says; the second part names a file that remembers the first attempt."""
    what, memory = order
    first = not os.path.exists(memory)
    Path(memory).touch()
    if what == "die" or (what == "die once" and first):
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "hang" or (what == "hang once" and first):
        time.sleep(60)
    if what == "eat":
        hoard = bytearray(700 << 20)
        hoard[::4096] = b"x" * len(hoard[::4096])
        time.sleep(60)
    if what == "raise":
        raise ValueError("bad number 7")
    if what == "refuse":
        raise AiprodError("this is not a film", "bring a film")
    return f"{what}:{os.getpid()}"


def test_results_come_in_the_order_of_the_items() -> None:
    outcomes = list(ordered_map(slow_square, range(40), workers=3, bounds=QUICK))
    assert [o.value for o in outcomes] == [n * n for n in range(40)]
    assert [o.index for o in outcomes] == list(range(40))


def test_no_items_give_no_outcomes() -> None:
    assert list(ordered_map(slow_square, [], workers=2)) == []


def test_each_fault_costs_one_row_and_the_rest_goes_on(tmp_path: Path) -> None:
    names = ["fine", "die", "die once", "hang", "hang once", "eat", "raise", "refuse", "fine"]
    items = [(name, str(tmp_path / str(n))) for n, name in enumerate(names)]
    bounds = Bounds(deadline_s=2.5, memory_bytes=600 << 20, retries=1)
    before = {p.pid for p in psutil.Process().children(recursive=True)}
    outcomes = list(ordered_map(behave, items, workers=3, bounds=bounds))
    faults = [o.fault for o in outcomes]
    assert faults == [None, "died", None, "deadline", None, "memory", "raised", "raised", None]
    assert [o.attempts for o in outcomes] == [1, 2, 2, 2, 2, 2, 1, 1, 1]
    assert "SIGKILL" in outcomes[1].reason
    assert outcomes[6].reason.startswith("ValueError: bad number 7 (test_engine.py:")
    assert outcomes[7].reason == "this is not a film → bring a film"
    left = [p for p in psutil.Process().children(recursive=True) if p.pid not in before]
    assert not [p for p in left if "resource_tracker" not in " ".join(p.cmdline())]


def test_giving_up_early_leaves_no_process(tmp_path: Path) -> None:
    before = {p.pid for p in psutil.Process().children(recursive=True)}
    run = ordered_map(behave, [("fine", str(tmp_path / "a"))] + [("hang", str(tmp_path / "b"))] * 3, workers=2)
    next(run)
    run.close()
    left = [p for p in psutil.Process().children(recursive=True) if p.pid not in before]
    assert not [p for p in left if "resource_tracker" not in " ".join(p.cmdline())]


@pytest.mark.parametrize("workers", [1, 2])
def test_the_number_of_workers_changes_nothing(workers: int) -> None:
    assert [o.value for o in ordered_map(slow_square, range(7), workers=workers)] == [n * n for n in range(7)]
