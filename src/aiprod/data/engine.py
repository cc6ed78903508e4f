"""Runs one function over many items in worker processes: results in order, and no item can stop the run.

A worker that dies, hangs or eats too much memory costs its item one retry and then one failed outcome. An exception
that the function raises is an outcome too. ``engine: ray`` (see ``ray_engine``) gives the same outcomes.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, Literal, TypeVar

import psutil

from aiprod.base.errors import AiprodError
from aiprod.base.progress import ticker

I = TypeVar("I")  # noqa: E741 - the letter of "item"
O = TypeVar("O")  # noqa: E741

Fault = Literal["raised", "died", "deadline", "memory"]
_POLL_S = 0.25
_START_S = 300.0  # for a worker to start and import on a busy machine
_RETRIED: tuple[Fault, ...] = ("died", "deadline", "memory")


@dataclass(frozen=True)
class Outcome(Generic[O]):
    """What became of one item: a value, or a fault with its reason in words."""

    index: int
    value: O | None = None
    fault: Fault | None = None
    reason: str = ""
    attempts: int = 1
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether there is a value."""
        return self.fault is None


@dataclass(frozen=True)
class Bounds:
    """What one item may use.

    Args:
        deadline_s: wall time.
        memory_bytes: resident memory of the worker, 0 = no bound.
        retries: further attempts after a death, a hang or too much memory (an exception is final at once).
    """

    deadline_s: float = 600.0
    memory_bytes: int = 4 << 30
    retries: int = 1


def default_workers() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def ordered_map(
    function: Callable[[I], O],
    items: Sequence[I],
    *,
    workers: int = 0,
    bounds: Bounds | Callable[[I], Bounds] = Bounds(),
    description: str = "",
) -> Iterator[Outcome[O]]:
    """Apply ``function`` to each item in worker processes and yield the outcomes in the order of the items.

    Args:
        function: importable by name (it is sent to other processes).
        workers: number of processes; 0 = as many as processors. One worker process also bounds a single item.
        bounds: for every item, or a function that gives an item's own.
        description: what progress says; empty = no progress.
    """
    count = min(workers or default_workers(), max(1, len(items)))
    pool = _Pool(function, items, count, bounds)
    try:
        if not description:
            yield from pool.run(lambda: None)
        else:
            with ticker(description, len(items)) as tick:
                yield from pool.run(tick.advance)
    finally:
        pool.close()


@dataclass
class _Task:
    index: int
    attempts: int = 0
    started: float = 0.0
    spent_s: float = 0.0


class _Worker:
    """One process and the pipe to it."""

    def __init__(self, context: Any, function: Callable[[Any], Any]) -> None:
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, function, os.getpid()), daemon=True)
        self.process.start()
        theirs.close()
        self.task: _Task | None = None
        self.ready = False  # an item's time starts when its worker has imported what it needs

    def stop(self) -> None:
        self.pipe.close()
        if self.process.is_alive():
            self.process.kill()
        self.process.join()
        self.process.close()


class _Pool(Generic[I, O]):
    def __init__(
        self, function: Callable[[I], O], items: Sequence[I], count: int, bounds: Bounds | Callable[[I], Bounds]
    ) -> None:
        self._context = multiprocessing.get_context("spawn")  # forked threads and locks are a trap
        self._function, self._items = function, items
        self._bounds = bounds if callable(bounds) else lambda _item: bounds
        self._waiting = [_Task(index) for index in range(len(items))][::-1]
        self._workers = [_Worker(self._context, function) for _ in range(count if items else 0)]

    def run(self, advance: Callable[[], None]) -> Iterator[Outcome[O]]:
        done: dict[int, Outcome[O]] = {}
        following = 0
        while following < len(self._items):
            for worker in self._workers:
                if worker.task is None and self._waiting:
                    self._give(worker)
            busy = [w for w in self._workers if w.task is not None]
            ready = set(wait([w.pipe for w in busy], timeout=_POLL_S))
            for worker in busy:
                outcome = self._look(worker, worker.pipe in ready)
                if outcome is not None:
                    done[outcome.index] = outcome
                    advance()
            while following in done:
                yield done.pop(following)
                following += 1

    def close(self) -> None:
        for worker in self._workers:
            worker.stop()
        self._workers.clear()

    def _give(self, worker: _Worker) -> None:
        task = self._waiting.pop()
        task.attempts += 1
        task.started = time.monotonic()
        worker.task = task
        with contextlib.suppress(BrokenPipeError, ConnectionError):  # it died while idle; _look sees that
            worker.pipe.send(self._items[task.index])

    def _look(self, worker: _Worker, readable: bool) -> Outcome[O] | None:
        """Take what a busy worker has: an answer, its death, or a bound that it broke."""
        task = worker.task
        assert task is not None
        spent = time.monotonic() - task.started
        if readable:
            try:
                kind, value = worker.pipe.recv()
            except (EOFError, ConnectionError, OSError):
                worker.process.join(5)
                return self._fail(worker, "died", f"the worker died ({_exit(worker.process.exitcode)})")
            if kind == "ready":
                worker.ready, task.started = True, time.monotonic()
                return None
            worker.task = None
            if kind == "value":
                return Outcome(task.index, value, None, "", task.attempts, task.spent_s + spent)
            return Outcome(task.index, None, "raised", value, task.attempts, task.spent_s + spent)
        bounds = self._bounds(self._items[task.index])
        if spent > (bounds.deadline_s if worker.ready else _START_S):
            what = f"not finished after {bounds.deadline_s:g} s" if worker.ready else f"no worker after {_START_S:g} s"
            return self._fail(worker, "deadline", what)
        if bounds.memory_bytes and _resident(worker.process.pid) > bounds.memory_bytes:
            return self._fail(worker, "memory", f"more than {bounds.memory_bytes / 2**30:.1f} GiB of memory")
        return None

    def _fail(self, worker: _Worker, fault: Fault, reason: str) -> Outcome[O] | None:
        task = worker.task
        assert task is not None
        task.spent_s += time.monotonic() - task.started
        worker.stop()
        self._workers[self._workers.index(worker)] = _Worker(self._context, self._function)
        if task.attempts <= self._bounds(self._items[task.index]).retries:
            self._waiting.append(task)
            return None
        return Outcome(task.index, None, fault, f"{reason}, tried {task.attempts} times", task.attempts, task.spent_s)


def _serve(pipe: Connection, function: Callable[[Any], Any], parent: int) -> None:
    """The worker's loop. It ends when the parent does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt means
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"  # one processor a worker
    with contextlib.suppress(BrokenPipeError, OSError):
        pipe.send(("ready", None))
    while True:
        try:
            item = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            answer: tuple[str, Any] = ("value", function(item))
        except AiprodError as error:
            answer = ("raised", getattr(error, "reason", str(error)))
        except MemoryError:
            answer = ("raised", "out of memory")
        except Exception as error:  # the item's row carries it; the run goes on
            where = traceback.extract_tb(error.__traceback__)[-1]
            answer = ("raised", f"{type(error).__name__}: {error} ({os.path.basename(where.filename)}:{where.lineno})")
        try:
            pipe.send(answer)
        except (BrokenPipeError, OSError):
            return
        if os.getppid() != parent:
            return


def _resident(pid: int | None) -> int:
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


def _exit(code: int | None) -> str:
    if code is None:
        return "for an unknown reason"
    if code < 0:
        try:
            return f"killed by {signal.Signals(-code).name}"
        except ValueError:
            return f"killed by signal {-code}"
    return f"exit code {code}"
