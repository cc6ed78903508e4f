"""Worker processes of this machine, watched from outside: death, deadline, memory.

Also what each worker of a Ray cluster runs (``ray``), so that a fault reads the same on both.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import time
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from typing import Any

import psutil

from aiprod.base.denials import denial_log
from aiprod.base.tempdirs import sweep_private
from aiprod.errors import AiprodError
from aiprod.executors.types import Bounds, Fault, Outcome
from aiprod.executors.worker import serve

_START_S = 300.0  # for a process to import what it needs on a busy machine
_FAILED_STARTS = 3  # in a row, before the run gives up: every item would fail alike
_REAP_S = 5.0


@dataclass
class _Task:
    index: int
    item: Any
    bounds: Bounds
    attempts: int = 0
    started: float = 0.0
    spent_s: float = 0.0


class LocalPool:
    """``count`` worker processes that run ``function``; one item a worker at a time.

    Args:
        preload: a module that the function imports when it runs, which no worker need then import for itself.
    """

    def __init__(self, function: Callable[[Any], Any], count: int, preload: str | None = None) -> None:
        self._function, self._preload = function, preload or function.__module__
        self._waiting: list[_Task] = []
        self._failed_starts = 0
        self._workers = [_Worker(function, self._preload) for _ in range(count)]

    def room(self) -> int:
        """Workers without an item, less the items that wait for one."""
        return sum(worker.task is None for worker in self._workers) - len(self._waiting)

    def submit(self, index: int, item: Any, bounds: Bounds) -> None:
        """Begin an item as soon as a worker is up."""
        self._waiting.append(_Task(index, item, bounds))

    def poll(self, timeout_s: float) -> list[Outcome[Any]]:
        """Hand out what waits, look at every worker, and return what has finished.

        Raises:
            AiprodError: processes end before they can take an item.
        """
        self._hand_out()
        ready = set(wait([worker.pipe for worker in self._workers], timeout=timeout_s))
        outcomes = [self._look(worker, worker.pipe in ready) for worker in list(self._workers)]
        self._hand_out()
        return [outcome for outcome in outcomes if outcome is not None]

    def close(self) -> None:
        """End every process, and remove what one that was at work left in the clear."""
        for worker in self._workers:
            worker.stop()
        self._workers.clear()
        sweep_private()

    def _hand_out(self) -> None:
        for worker in self._workers:
            if self._waiting and worker.up and worker.task is None:
                worker.give(self._waiting.pop(0))

    def _look(self, worker: _Worker, readable: bool) -> Outcome[Any] | None:
        """Take what a worker has to say: that it is up, an answer, its death, or a bound that it broke."""
        task = worker.task
        spent = time.monotonic() - task.started if task is not None else 0.0
        if readable:
            try:
                kind, value = worker.pipe.recv()
            except (EOFError, ConnectionError, OSError):
                return self._died(worker)
            except Exception as error:  # an answer that cannot be unpickled here
                kind, value = "raised", f"the answer cannot be read: {type(error).__name__}: {error}"
            if kind == "up":
                worker.up, self._failed_starts = True, 0
                return None
            assert task is not None
            if kind == "memory":
                return self._fail(worker, "memory", str(value))
            worker.task = None
            answer, reason = (value, "") if kind == "value" else (None, str(value))
            fault: Fault | None = None if kind == "value" else "disk" if kind == "disk" else "raised"
            return Outcome(task.index, answer, fault, reason, task.attempts, task.spent_s + spent)
        if task is None:
            late = not worker.up and time.monotonic() - worker.started_s > _START_S
            if late:
                self._not_up(worker, f"not up after {_START_S:g} s")
            return None
        if spent > task.bounds.deadline_s and spent - worker.held_up_s() > task.bounds.deadline_s:
            return self._fail(worker, "deadline", f"not finished after {task.bounds.deadline_s:g} s")
        most = task.bounds.memory_bytes
        if most and _resident(worker.process.pid) > most:
            return self._fail(worker, "memory", f"more than {most / 2**30:.1f} GiB of memory")
        return None

    def _died(self, worker: _Worker) -> Outcome[Any] | None:
        worker.process.join(_REAP_S)
        how = _exit(worker.process.exitcode)
        if worker.task is not None:
            return self._fail(worker, "died", f"the worker died ({how})")
        if worker.up:  # it died while idle
            self._replace(worker)
        else:
            self._not_up(worker, how)
        return None

    def _not_up(self, worker: _Worker, how: str) -> None:
        self._failed_starts += 1
        if self._failed_starts >= _FAILED_STARTS:
            raise AiprodError(
                f"worker processes end before they can begin ({how})",
                "see the message above this one; `aiprod doctor` looks at the installation",
            )
        self._replace(worker)

    def _fail(self, worker: _Worker, fault: Fault, reason: str) -> Outcome[Any] | None:
        task = worker.task
        assert task is not None
        task.spent_s += time.monotonic() - task.started
        self._replace(worker)
        if task.attempts <= task.bounds.retries:
            self._waiting.insert(0, task)
            return None
        return Outcome(task.index, None, fault, f"{reason}, tried {task.attempts} times", task.attempts, task.spent_s)

    def _replace(self, worker: _Worker) -> None:
        worker.stop()
        sweep_private()
        self._workers[self._workers.index(worker)] = _Worker(self._function, self._preload)


class _Worker:
    """One process and the pipe to it."""

    def __init__(self, function: Callable[[Any], Any], preload: str) -> None:
        # Workers are forked, so that they need not import what the function needs one by one, from a process that has
        # done nothing but import it: threads and locks of this one would be a trap for them.
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([serve.__module__, preload])  # counts where the first one starts
        self.pipe, theirs = context.Pipe()
        arguments = (theirs, function, denial_log(), dict(os.environ))
        self.process = context.Process(target=serve, args=arguments, daemon=True)
        with _no_main(), _deaf_to_interrupts():
            self.process.start()
        theirs.close()
        self.up, self.started_s = False, time.monotonic()
        self.task: _Task | None = None
        self._held_up_s = 0.0

    def give(self, task: _Task) -> None:
        task.attempts += 1
        task.started = time.monotonic()
        self.task, self._held_up_s = task, _held_up_s(self.process.pid)
        with contextlib.suppress(BrokenPipeError, ConnectionError):  # it died while idle; the pool sees that
            self.pipe.send((task.item, task.bounds.memory_bytes))

    def held_up_s(self) -> float:
        """Seconds since the task began in which the worker could have run and others had the processors."""
        return _held_up_s(self.process.pid) - self._held_up_s

    def stop(self) -> None:
        self.pipe.close()
        if self.process.is_alive():
            self.process.kill()
        self.process.join()
        self.process.close()


@contextlib.contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Start a process to which Ctrl-C says nothing, from its first instruction on.

    It inherits the blocked signal, and ignores it once it can (``worker.serve``); else one that still starts would die,
    or print where it was. A signal that was blocked here, where it could be, is taken when the block ends.
    """
    resource_tracker.ensure_running()  # it unblocks signals when it starts, which the first worker would make it do
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _no_main() -> Iterator[None]:
    """Keep a starting process from running the main script again: what it runs is importable by name."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _resident(pid: int | None) -> int:
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


def _held_up_s(pid: int | None) -> float:
    """Seconds that a process's first thread, which runs the function, has waited for a processor; 0 where unknown.

    The second figure of ``/proc/<pid>/schedstat``. A thread that sleeps, hangs in a lock, waits for a disk or is
    stopped waits for no processor: none of that is counted here.
    """
    try:
        with open(f"/proc/{pid}/schedstat", encoding="ascii") as file:
            return int(file.read().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0


def _exit(code: int | None) -> str:
    if code is None:
        return "for an unknown reason"
    if code < 0:
        try:
            return f"killed by {signal.Signals(-code).name}"
        except ValueError:
            return f"killed by signal {-code}"
    return f"exit code {code}"
