"""Worker processes of this machine, watched from outside: death, deadline, memory.

Also what each worker of a Ray cluster runs (``ray``), so that a fault reads the same on both.
"""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import time
import types
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from aiprod.base.denials import Refusal, denial_log
from aiprod.base.tempdirs import scratch, sweep, sweep_private
from aiprod.errors import AiprodError
from aiprod.executors.plain_unpickling import PlainUnpickler
from aiprod.executors.threads import one_thread_each
from aiprod.executors.types import Bounds, Fault, Outcome
from aiprod.executors.worker import Reach, serve

_START_S = 300.0  # for a process to import what it needs on a busy machine
_FAILED_STARTS = 3  # in a row, before the run gives up: every item would fail alike
_REAP_S = 5.0
_PAGE = os.sysconf("SC_PAGE_SIZE")
_TEMPORARY = "aiprod-worker-"  # begins the names of folders for temporary files of workers


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
        fork: fork workers from this process while it has one thread, instead of from a server that imports anew what
            this one has imported: half a second of processor time. What is in this process's memory is in theirs.
        writable: confine workers (:mod:`confinement`): below these folders and a temporary one of its own each may
            write, and an item reaches the network only to fetch a film, which ``item.fetches`` says. None: do not.
    """

    def __init__(
        self,
        function: Callable[[Any], Any],
        count: int,
        preload: str | None = None,
        *,
        fork: bool = False,
        writable: Sequence[Path] | None = None,
    ) -> None:
        self._function, self._preload, self._fork = function, preload or function.__module__, fork
        self._waiting: list[_Task] = []
        self._failed_starts = 0
        self._cleaning = contextlib.ExitStack()
        self._temporary: Path | None = None
        if writable is not None:
            root = Path(tempfile.gettempdir())
            sweep(root, f"{_TEMPORARY}*")
            self._temporary = self._cleaning.enter_context(scratch(root, _TEMPORARY))
        self._writable = tuple(writable or ())
        self._workers = [self._started() for _ in range(count)]

    def _started(self) -> _Worker:
        reach = None
        if self._temporary is not None:
            reach = Reach(Path(tempfile.mkdtemp(dir=self._temporary)), self._writable)
        return _Worker(self._function, None if self._fork and _one_thread() else self._preload, reach)

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
        self._cleaning.close()
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
                kind, value = worker.receive()
            except (EOFError, ConnectionError, OSError):
                return self._died(worker)
            except Exception as error:  # an answer that cannot be unpickled here
                kind, value = "raised", f"the answer cannot be read: {type(error).__name__}: {error}"
            if kind == "up":
                worker.up, self._failed_starts = True, 0
                return None
            if kind == "refused":
                _log_refusals(*value)
                return None
            assert task is not None
            if kind == "renew":
                self._replace(worker)
                task.attempts -= 1
                self._waiting.insert(0, task)
                return None
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
        self._workers[self._workers.index(worker)] = self._started()


def _log_refusals(told: list[dict[str, Any]], once: bool) -> None:
    """Write a worker's denials to the log of this process."""
    log = denial_log()
    if log is not None:
        log([Refusal.heard(each) for each in told], once=once)


class _Worker:
    """One process and the pipe to it.

    Args:
        preload: what the server that forks it has imported; None forks it from this process.
        reach: what it is confined to, None for nothing.
    """

    def __init__(self, function: Callable[[Any], Any], preload: str | None, reach: Reach | None) -> None:
        # Workers are forked, so that they need not import what the function needs one by one, from a process that has
        # done nothing but import it: threads and locks of this one would be a trap for them.
        context: Any = multiprocessing.get_context("forkserver" if preload is not None else "fork")
        if preload is not None:
            context.set_forkserver_preload([serve.__module__, preload])  # counts where the first one starts
        self.pipe, theirs = context.Pipe()
        arguments = (theirs, function, reach, dict(os.environ))
        self.process = context.Process(target=serve, args=arguments, daemon=True)
        with _no_main(), _deaf_to_interrupts(tracked=preload is not None), one_thread_each():
            self.process.start()
        theirs.close()
        self.up, self.started_s = False, time.monotonic()
        self.task: _Task | None = None
        self._held_up_s = 0.0
        self._reach = reach

    def receive(self) -> tuple[str, Any]:
        """What it says. From a confined one only plain values and instances of this package's types are taken.

        Raises:
            EOFError, OSError: it is gone.
            pickle.UnpicklingError: it says something else.
        """
        if self._reach is None:
            kind, value = self.pipe.recv()
        else:
            kind, value = PlainUnpickler(io.BytesIO(self.pipe.recv_bytes())).load()
        return str(kind), value

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
        if self._reach is not None:
            shutil.rmtree(self._reach.temporary, ignore_errors=True)


@contextlib.contextmanager
def _deaf_to_interrupts(tracked: bool) -> Iterator[None]:
    """Start a process to which Ctrl-C says nothing, from its first instruction on.

    Args:
        tracked: the resource tracker starts with the first process of this kind.

    It inherits the blocked signal, and ignores it once it can (``worker.serve``); else one that still starts would die,
    or print where it was. A signal that was blocked here, where it could be, is taken when the block ends.
    """
    if tracked:
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


def _one_thread() -> bool:
    """Whether nothing else runs in this process, in which no lock can then be held; False where that is unknown."""
    try:
        return len(os.listdir("/proc/self/task")) == 1
    except OSError:
        return False


def _resident(pid: int | None) -> int:
    """Bytes of memory that a process holds; 0 where it is gone."""
    try:
        with open(f"/proc/{pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * _PAGE
    except (OSError, ValueError, IndexError):
        return 0 if sys.platform == "linux" else _resident_elsewhere(pid)


def _resident_elsewhere(pid: int | None) -> int:
    import psutil

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
