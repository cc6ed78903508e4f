"""The engine: order, every fault of a worker, nothing left behind."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import numpy as np
import psutil
import pytest

from aiprod.errors import AiprodError
from aiprod.executors import local
from aiprod.executors.executor import chosen_engine, gathered_map, in_parts, ordered_map
from aiprod.executors.local import LocalPool
from aiprod.executors.types import Bounds, Outcome
from tests.processes import left_running, running

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
    if what == "slow":
        time.sleep(1.5)
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


def test_outcomes_wait_for_others_but_not_for_one_that_takes_long(tmp_path: Path) -> None:
    (whole,) = gathered_map(slow_square, range(40), workers=3, bounds=QUICK, gather_s=60.0)
    assert [o.value for o in whole] == [n * n for n in range(40)]
    items = [("fine", str(tmp_path / "a")), ("fine", str(tmp_path / "b")), ("hang", str(tmp_path / "c"))]
    run = gathered_map(behave, items, workers=1, bounds=QUICK, gather_s=0.3)
    seen = next(run)
    if len(seen) == 1:  # where the second took longer than the first may wait
        seen += next(run)
    assert [o.index for o in seen] == [0, 1] and all(o.ok for o in seen)
    run.close()


def test_each_fault_costs_one_row_and_the_rest_goes_on(tmp_path: Path) -> None:
    names = ["fine", "die", "die once", "hang", "hang once", "eat", "raise", "refuse", "fine"]
    items = [(name, str(tmp_path / str(n))) for n, name in enumerate(names)]
    bounds = Bounds(deadline_s=2.5, memory_bytes=600 << 20, retries=1)
    before = running()
    outcomes = list(ordered_map(behave, items, workers=3, bounds=bounds))
    faults = [o.fault for o in outcomes]
    assert faults == [None, "died", None, "deadline", None, "memory", "raised", "raised", None]
    assert [o.attempts for o in outcomes] == [1, 2, 2, 2, 2, 2, 1, 1, 1]
    assert "SIGKILL" in outcomes[1].reason
    assert outcomes[6].reason.startswith("ValueError: bad number 7 (test_engine.py:")
    assert outcomes[7].reason == "this is not a film → bring a film"
    assert not left_running(before)


def test_time_in_which_others_had_the_processors_is_not_the_items(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "_held_up_s", lambda pid: time.monotonic())  # as if it never got one
    items = [("slow", str(tmp_path / "slow"))]
    [slow] = ordered_map(behave, items, workers=1, bounds=Bounds(deadline_s=0.2, retries=0))
    assert slow.ok and slow.attempts == 1
    monkeypatch.setattr(local, "_held_up_s", lambda pid: 0.0)  # as where the kernel does not tell
    [late] = ordered_map(behave, items, workers=1, bounds=Bounds(deadline_s=0.2, retries=0))
    assert late.fault == "deadline"


def test_giving_up_early_leaves_no_process(tmp_path: Path) -> None:
    before = running()
    run = ordered_map(behave, [("fine", str(tmp_path / "a"))] + [("hang", str(tmp_path / "b"))] * 3, workers=2)
    next(run)
    run.close()
    assert not left_running(before)


def odd(what: str) -> object:
    if what == "unpicklable":
        return lambda: None
    if what == "ask for 16 GB":
        return len(np.empty(16 << 30, np.uint8))
    return what


def test_what_cannot_be_had_or_sent_costs_its_own_row() -> None:
    items = ["fine", "unpicklable", "ask for 16 GB", "fine"]
    outcomes = list(ordered_map(odd, items, workers=1, bounds=Bounds(30.0, memory_bytes=500 << 20)))
    assert [o.fault for o in outcomes] == [None, "raised", "memory", None]
    assert "cannot be sent" in outcomes[1].reason
    assert outcomes[2].reason == "out of memory, tried 2 times"


def test_workers_that_cannot_start_end_the_run_in_words() -> None:
    gone = types.FunctionType(odd.__code__, {}, "no_such_name")
    gone.__module__, gone.__qualname__ = "aiprod.data.rows", "no_such_name"
    rows = importlib.import_module("aiprod.data.rows")
    rows.no_such_name = gone  # known here, unknown in a fresh process
    try:
        with pytest.raises(AiprodError, match="worker processes end before they can begin"):
            list(ordered_map(gone, [1, 2], workers=1))
    finally:
        del rows.no_such_name


def touch(path: str) -> str:
    Path(path).touch()
    return path


def test_a_slow_consumer_holds_the_workers_back(tmp_path: Path) -> None:
    paths = [str(tmp_path / str(n)) for n in range(400)]
    run = ordered_map(touch, paths, workers=2, bounds=QUICK)
    next(run)
    time.sleep(0.3)
    assert 1 <= len(list(tmp_path.iterdir())) <= 130
    assert [o.value for o in run] == paths[1:]


def test_a_worker_that_is_killed_while_idle_costs_nothing() -> None:
    pool = LocalPool(slow_square, 1)
    try:
        pool.submit(0, 5, QUICK)
        assert _first(pool).value == 25
        psutil.Process(pool._workers[0].process.pid).kill()
        pool.submit(1, 6, QUICK)
        outcome = _first(pool)
        assert (outcome.value, outcome.fault) == (36, None)
    finally:
        pool.close()


def _first(pool: LocalPool) -> Outcome[int]:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        for outcome in pool.poll(0.2):
            return outcome
    raise AssertionError("nothing came")


ONE_THREAD = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("fork", [False, True])
def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path, fork: bool) -> None:
    began = [tmp_path / "one", tmp_path / "two"]
    script = (
        "from tests.data.test_engine import behave\nfrom aiprod.executors.executor import ordered_map\n"
        f"list(ordered_map(behave, {[('hang', str(path)) for path in began]}, workers=2, fork={fork}))"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, env=ONE_THREAD)
    until = time.monotonic() + 30
    while not all(path.exists() for path in began) and time.monotonic() < until:
        time.sleep(0.05)
    children = psutil.Process(parent.pid).children(recursive=True)
    parent.kill()
    parent.wait()
    _, alive = psutil.wait_procs(children, timeout=10)
    assert children and not alive


FORKED = """
import sys, threading
from multiprocessing import forkserver
from aiprod.executors.executor import ordered_map
from aiprod.executors.types import Bounds
from tests.data.test_engine import behave
if sys.argv[1] == "thread":
    threading.Thread(target=threading.Event().wait, daemon=True).start()
names = ["fine", "die", "die once", "raise"]
items = [(name, f"{sys.argv[2]}/{n}") for n, name in enumerate(names)]
run = ordered_map(behave, items, workers=2, bounds=Bounds(deadline_s=30.0), fork=True)
print([outcome.fault for outcome in run], forkserver._forkserver._forkserver_pid is not None)
"""


@pytest.mark.parametrize(("alone", "server"), [("alone", False), ("thread", True)])
def test_workers_are_forked_from_a_process_of_one_thread_alone(alone: str, server: bool, tmp_path: Path) -> None:
    command = [sys.executable, "-c", FORKED, alone, str(tmp_path)]
    ended = subprocess.run(command, cwd=ROOT, env=ONE_THREAD, capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == f"[None, 'died', None, 'raised'] {server}"


def threads_of_a_product(size: int) -> int:
    """How many threads this process has when a product of matrices is made, less the one that awaits its parent."""
    square = np.ones((size, size))
    assert (square @ square)[0, 0] == size
    return psutil.Process().num_threads() - 1


THREADS = """
import os
from aiprod.executors.executor import ordered_map
from tests.data.test_engine import threads_of_a_product
outcomes = ordered_map(threads_of_a_product, [600], workers=1)
print([outcome.value for outcome in outcomes], os.environ.get("OMP_NUM_THREADS"))
"""


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one processor has one thread")
def test_a_worker_multiplies_matrices_in_one_thread_though_this_process_does_not() -> None:
    ended = _run_with_all_processors(THREADS)
    assert ended.stdout.strip() == "[1] None"


QUALITY = """
from multiprocessing import forkserver
{first}
from pathlib import Path
import typer
from aiprod.commands.qc import qc
try:
    qc([Path({path!r})], models="none", workers=1)
except typer.Exit:
    pass
print(forkserver._forkserver._forkserver_pid is not None)
"""


@pytest.mark.parametrize(("first", "server"), [("", False), ("import numpy", True)])
def test_quality_control_of_files_imports_what_it_needs_once(first: str, server: bool, tmp_path: Path) -> None:
    """NumPy that is there before has its threads, where there are processors for them."""
    (tmp_path / "no_film.mp4").write_bytes(b"")
    ended = _run_with_all_processors(QUALITY.format(first=first, path=str(tmp_path / "no_film.mp4")))
    verdict, served = ended.stdout.splitlines()
    assert verdict.startswith("REJECTED")
    assert served == str(server and (os.cpu_count() or 1) > 1)


def _run_with_all_processors(script: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    command = [sys.executable, "-c", script]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)


def test_the_engine_is_read_and_a_typo_is_named(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("seed: 1\n")
    assert chosen_engine(str(path)) == "local"
    path.write_text("engine: rai\n")
    with pytest.raises(AiprodError, match="did you mean 'ray'"):
        chosen_engine(str(path))


INTERRUPTED = """
import os, signal
from tests.data.test_engine import slow_square
from aiprod.executors.local import LocalPool
signal.signal(signal.SIGINT, signal.default_int_handler)  # who starts tests in the background has it ignored
try:
    pool = LocalPool(slow_square, 4)
    os.killpg(0, signal.SIGINT)
    signal.pause()
except KeyboardInterrupt:
    pool.poll(5.0)
    print([worker.process.is_alive() for worker in pool._workers])
    pool.close()
"""


def test_an_interrupt_while_workers_start_prints_nothing_of_theirs() -> None:
    """As Ctrl-C does in a terminal: the signal goes to every process of the group, however young."""
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED],
        cwd=Path(__file__).resolve().parents[2],
        start_new_session=True,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout == "[True, True, True, True]\n", "the parent decides what an interrupt means"


@pytest.mark.parametrize("workers", [1, 2])
def test_the_number_of_workers_changes_nothing(workers: int) -> None:
    assert [o.value for o in ordered_map(slow_square, range(7), workers=workers)] == [n * n for n in range(7)]


def squares(numbers: tuple[int, ...]) -> dict[int, int]:
    """Of a part of some items; one of them ends the process."""
    if 5 in numbers:
        os.kill(os.getpid(), signal.SIGKILL)
    return {number: number * number for number in numbers}


def test_an_item_that_ends_a_worker_costs_no_other_of_its_part() -> None:
    bounds = Bounds(deadline_s=60, memory_bytes=0, retries=0)
    parts = [(1, 2), (4, 5, 6), (7,)]
    found = list(in_parts(squares, tuple, parts, bounds=bounds, engine="local", gpu=False))
    assert [list(part) for part, _ in found] == [[1, 2], [7], [4], [5], [6]]  # whole parts in order, then one by one
    for part, value in found:
        if list(part) == [5]:
            assert value == "the worker died (killed by SIGKILL), tried 1 times"
        else:
            assert value == {number: number * number for number in part}
