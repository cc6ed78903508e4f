"""Worker processes of a Ray cluster. Ray hands items out; each of its workers watches one process as ``local`` does.

``RAY_ADDRESS`` names the cluster (``auto`` = the one this machine belongs to); without it a cluster of this machine
alone is started for the length of the run. Only this process reads the project and writes results into it: what an item
reads and what its function left travel through Ray's object store (:mod:`aiprod.executors.parcels`), and so does this
package. A machine of the cluster needs Ray and the same libraries, and a temporary folder.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import platform
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import aiprod
from aiprod.base.tempdirs import scratch, sweep
from aiprod.errors import AiprodError
from aiprod.executors.local import LocalPool
from aiprod.executors.parcels import Bundle, Depot, Packer, Parcel, take_over, value_of, work
from aiprod.executors.types import Bounds, Fault, Outcome, Portable
from aiprod.executors.worker import answer_of
from aiprod.storage.crypto.key_transport import KeyReceiver, seal_for
from aiprod.storage.result_cache import Memo

_LOSSES = 3  # times that an item may lose its Ray worker (a machine that goes away) before it counts as failed
_NO_WORKER_S = 600.0  # without any worker for this long, the cluster has no room for the run
_OBJECT_STORE = 256 << 20  # bytes, of a cluster that is started here; Ray puts on disk what does not fit
_END_S = 10.0  # for a worker to remove its folder
_AT_BIRTH = "creation task"  # in Ray's words about an actor whose constructor failed
_MEND = "fix the installation on the cluster"
_DECIDING = ("av", "numpy", "opencv-python-headless", "torch", "transformers")  # other versions, other bytes


@dataclass
class _Task:
    index: int
    parcel: Parcel
    keys: Mapping[str, bytes]
    bounds: Bounds
    memo: Memo | None
    losses: int = 0


@dataclass(frozen=True)
class Hello:
    """What a worker says of itself once it is up.

    Attributes:
        host: name of its machine.
        address: public key that keys of films are encrypted for.
        versions: of Python and the libraries that results depend on.
    """

    host: str
    address: bytes
    versions: Mapping[str, str]


@dataclass
class _Slot:
    """One Ray worker: starting while it has no task and ``ref`` is set, idle while ``ref`` is None."""

    actor: Any
    ref: Any
    task: _Task | None = None
    address: bytes = b""


class Supervisor:
    """Runs on a machine of the cluster: one worker process, watched by the same code as on one machine.

    It works in a folder of its own below the machine's temporary folder, and finds nothing of the project.

    Args:
        function: what is applied.
        confined: as of :func:`~aiprod.executors.executor.ordered_map`.
    """

    def __init__(self, function: Callable[[Any], Any], confined: bool) -> None:
        ray = importlib.import_module("ray")
        self._leaving, self._busy = contextlib.ExitStack(), threading.Lock()
        root = _node_folder()
        sweep(root)  # of workers that were killed
        folder = self._leaving.enter_context(scratch(root))
        (folder / "dvc.yaml").touch()  # a project of its own, with a state folder in which nothing is kept
        os.environ.update({"AIPROD_HOME": str(folder / "state"), "DVC_ROOT": str(folder)})
        os.chdir(folder)
        self._receiver, self._depot = KeyReceiver(), Depot(folder, ray.get, ray.put)
        self._pool = LocalPool(work, 1, function.__module__, writable=[folder] if confined else None)
        self._ended = False

    def hello(self) -> Hello:
        """Answers once it is up."""
        return Hello(platform.node(), self._receiver.address, _versions())

    def run(self, index: int, parcel: Parcel, keys: bytes, bounds: Bounds) -> tuple[Outcome[Any], dict[str, Bundle]]:
        """One item's outcome, and what its function left in the result cache.

        Args:
            keys: of the films in it, encrypted for this worker; empty for none.
        """
        opened = self._receiver.open(keys) if keys else {}
        with self._busy, self._depot.unpacked(parcel, opened) as load:
            self._pool.submit(index, load, bounds)
            while not self._ended:
                for outcome in self._pool.poll(0.25):
                    return outcome, self._depot.results(load) if outcome.ok else {}
        return Outcome(index, None, "died", "the run ended"), {}

    def end(self) -> None:
        """Stop what is at work and remove the folder."""
        self._ended = True
        with self._busy:
            self._pool.close()
            os.chdir(tempfile.gettempdir())
            self._leaving.close()


class RayPool:
    """``count`` Ray workers (0 = one per processor of the cluster, or per GPU) that run ``function``.

    Args:
        most: items there are.
        gpu: whether each worker takes a GPU of its own, where the cluster has any.
        confined: as of :func:`~aiprod.executors.executor.ordered_map`.

    Raises:
        AiprodError: Ray is not installed or its cluster cannot be reached.
    """

    def __init__(
        self, function: Callable[[Any], Any], count: int, most: int, *, gpu: bool = False, confined: bool = False
    ) -> None:
        self._ray = _ray()
        self._own = not self._ray.is_initialized()
        if self._own:
            _connect(self._ray)
        have = self._ray.cluster_resources()
        gpus = int(have.get("GPU", 0)) if gpu else 0
        count = count or gpus or int(have.get("CPU", 1))
        options: dict[str, Any] = {
            "num_cpus": 1,
            "num_gpus": 1 if gpus else 0,
            "max_restarts": 0,
            "max_task_retries": 0,
            "max_concurrency": 2,  # `end` is answered while `run` is at work
            "scheduling_strategy": "SPREAD",
        }
        actor = self._ray.remote(**options)(Supervisor)
        self._make = lambda: _started(actor.remote(function, confined))
        self._packer = Packer(function, self._ray.put, confined=confined)
        self._waiting: list[_Task] = []
        self._failed: list[Outcome[Any]] = []
        self._slots = [self._make() for _ in range(max(1, min(count, most)))]
        self._alone_since: float | None = None

    def room(self) -> int:
        """Items that can be packed now: one ahead for each worker, so that none waits for the packing."""
        return sum(1 if slot.task is not None else 2 for slot in self._slots) - len(self._waiting)

    def submit(self, index: int, item: Any, bounds: Bounds) -> None:
        """Pack an item, and begin it on a worker that is up."""
        packed: list[tuple[Parcel, dict[str, bytes]]] = []
        kind, reason = answer_of(lambda item: packed.append(self._packer.pack(item)), item)
        if kind != "value":
            fault: Fault = "disk" if kind == "disk" else "raised"
            self._failed.append(Outcome(index, None, fault, str(reason)))
            return
        memo = item.memo if isinstance(item, Portable) else None
        self._waiting.append(_Task(index, *packed[0], bounds, memo))
        self._hand_out()

    def poll(self, timeout_s: float) -> list[Outcome[Any]]:
        """Hand out what waits and return what has finished.

        Raises:
            AiprodError: no worker came up for a long time, or worker processes do not start.
        """
        failed, self._failed = self._failed, []
        self._hand_out()
        pending = {slot.ref: slot for slot in self._slots if slot.ref is not None}
        if failed or not pending:
            return failed
        ready, _ = self._ray.wait(list(pending), num_returns=1, timeout=timeout_s)
        outcomes = [self._take(pending[ref]) for ref in ready]
        self._check_alive()
        return [outcome for outcome in outcomes if outcome is not None]

    def close(self) -> None:
        """Give the workers back; end the cluster if it was started or joined for this run."""
        ending = [slot.actor.end.remote() for slot in self._slots]
        with contextlib.suppress(self._ray.exceptions.RayError):
            self._ray.wait(ending, num_returns=len(ending), timeout=_END_S)
        for slot in self._slots:
            self._ray.kill(slot.actor)
        self._slots.clear()
        if self._own:
            self._ray.shutdown()

    def _hand_out(self) -> None:
        for slot in self._slots:
            if self._waiting and slot.ref is None:
                slot.task = task = self._waiting.pop(0)
                keys = seal_for(slot.address, task.keys) if task.keys else b""
                slot.ref = slot.actor.run.remote(task.index, task.parcel, keys, task.bounds)

    def _take(self, slot: _Slot) -> Outcome[Any] | None:
        task, gone = slot.task, self._ray.exceptions.RayError
        try:
            answer = self._ray.get(slot.ref)
        except self._ray.exceptions.RayTaskError as error:  # the supervisor itself failed, on every item alike
            raise AiprodError(f"a Ray worker failed: {error.cause}", _MEND) from None
        except gone as error:  # the worker or its machine
            if _AT_BIRTH in str(error):
                raise AiprodError(
                    f"a Ray worker does not start: {str(error).strip().splitlines()[-1]}", _MEND
                ) from None
            self._replace(slot)
            return None if task is None else self._lost(task)
        slot.ref = slot.task = None
        if task is None:
            slot.address = _welcome(answer)
        self._hand_out()  # before anything is written here, so that no worker waits for that
        if task is None:
            return None
        outcome, entries = answer
        try:
            if task.memo is not None:
                take_over(task.memo, entries, self._ray.get)
        except gone:  # after it answered
            if slot.ref is None:  # else the item that it has by now is lost, too, and says so
                self._replace(slot)
            return self._lost(task)
        value = value_of(task.parcel, outcome.value) if outcome.ok else None
        return replace(outcome, value=value, attempts=outcome.attempts + task.losses)

    def _replace(self, slot: _Slot) -> None:
        self._slots[self._slots.index(slot)] = self._make()

    def _lost(self, task: _Task) -> Outcome[Any] | None:
        task.losses += 1
        if task.losses <= _LOSSES:
            self._waiting.insert(0, task)
            return None
        return Outcome(task.index, None, "died", f"its Ray worker was lost, tried {task.losses} times", task.losses)

    def _check_alive(self) -> None:
        if any(slot.ref is None or slot.task is not None for slot in self._slots):
            self._alone_since = None
        elif self._alone_since is None:
            self._alone_since = time.monotonic()
        elif time.monotonic() - self._alone_since > _NO_WORKER_S:
            raise AiprodError(
                f"no processor of the Ray cluster was free for {_NO_WORKER_S:g} s",
                "free some, or set the stage's `workers` lower",
            )


def _started(actor: Any) -> _Slot:
    return _Slot(actor, actor.hello.remote())


def _node_folder() -> Path:
    """Where workers of this user have their folders on this machine.

    Raises:
        AiprodError: somebody else made it.
    """
    folder = Path(tempfile.gettempdir(), f"aiprod-workers-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    about = folder.lstat()
    if about.st_uid != os.getuid() or about.st_mode & 0o077 or not folder.is_dir() or folder.is_symlink():
        raise AiprodError(f"{folder} belongs to somebody else, or others can read it", "remove it, or set TMPDIR")
    return folder


def _versions() -> dict[str, str]:
    known = {"python": platform.python_version()}
    for name in _DECIDING:
        with contextlib.suppress(metadata.PackageNotFoundError):
            known[name] = metadata.version(name)
    return known


def _welcome(worker: Hello) -> bytes:
    """The public key of a worker that computes as this machine does.

    Raises:
        AiprodError: it has other versions of what results depend on.
    """
    for name, version in _versions().items():
        if (there := worker.versions.get(name)) != version:
            raise AiprodError(
                f"{name} is {version} here and {there or 'absent'} on {worker.host}, so results would differ",
                "install the versions of constraints.txt on every machine of the cluster",
            )
    return worker.address


def _ray() -> Any:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # nothing is reported to anyone
    if os.environ.get("RAY_ADDRESS", "127.").startswith("127."):
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # Ray's name for: listen on the loopback address only
    try:
        return importlib.import_module("ray")
    except ImportError:
        raise AiprodError(
            "`engine: ray` needs Ray, which is not installed", "pip install 'aiprod[ray]', or set `engine: local`"
        ) from None


def _connect(ray: Any) -> None:
    """Join the cluster that RAY_ADDRESS names, or start one."""
    address = os.environ.get("RAY_ADDRESS")
    more: dict[str, Any] = (
        {"address": address}
        if address
        else {
            "address": "local",
            "include_dashboard": False,
            "object_store_memory": _OBJECT_STORE,
        }
    )
    code = {"py_modules": [str(Path(aiprod.__file__).parent)]}  # of this run, also in an experiment
    try:
        ray.init(logging_level=logging.ERROR, log_to_driver=False, runtime_env=code, **more)
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        words = str(error).strip().splitlines()
        raise AiprodError(
            f"the Ray cluster {address or 'of this machine'} does not answer ({words[0] if words else error})",
            "start it, or set RAY_ADDRESS to its address",
        ) from None
