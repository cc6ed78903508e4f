"""Worker processes of a Ray cluster. Ray hands items out; each of its workers watches one process as ``local`` does.

``RAY_ADDRESS`` names the cluster (``auto`` = the one this machine belongs to); without it a cluster of this machine
alone is started for the length of the run. Every machine must see the project and its state folder at the same path,
because items name files and results are kept in the memo.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from aiprod.errors import AiprodError
from aiprod.executors.local import LocalPool
from aiprod.executors.types import Bounds, Outcome

_LOSSES = 3  # times that an item may lose its Ray worker (a machine that goes away) before it counts as failed
_NO_WORKER_S = 600.0  # without any worker for this long, the cluster has no room for the run
_OBJECT_STORE = 256 << 20  # bytes, of a cluster that is started here: items and answers are small


@dataclass
class _Task:
    index: int
    item: Any
    bounds: Bounds
    losses: int = 0


@dataclass
class _Slot:
    """One Ray worker: starting while it has no task and ``ref`` is set, idle while ``ref`` is None."""

    actor: Any
    ref: Any
    task: _Task | None = None


class Supervisor:
    """Runs on a machine of the cluster: one worker process, watched by the same code as on one machine.

    Args:
        function: what is applied.
        folder: working directory of the run; items may name files relative to it.
        environment: variables of the run that are set here too.
    """

    def __init__(self, function: Callable[[Any], Any], folder: str, environment: dict[str, str]) -> None:
        os.environ.update(environment)
        os.chdir(folder)
        self._pool = LocalPool(function, 1)

    def where(self) -> int:
        """Process id of this Ray worker; answers once it is up."""
        return os.getpid()

    def run(self, index: int, item: Any, bounds: Bounds) -> Outcome[Any]:
        """One item's outcome."""
        self._pool.submit(index, item, bounds)
        while True:
            for outcome in self._pool.poll(0.25):
                return outcome


class RayPool:
    """``count`` Ray workers (0 = one per processor of the cluster) that run ``function``.

    Raises:
        AiprodError: Ray is not installed or its cluster cannot be reached.
    """

    def __init__(self, function: Callable[[Any], Any], count: int, most: int) -> None:
        self._ray = _ray()
        self._own = not self._ray.is_initialized()
        if self._own:
            _connect(self._ray)
        count = count or int(self._ray.cluster_resources().get("CPU", 1))
        folder = os.getcwd()
        environment = {k: v for k, v in os.environ.items() if k.startswith(("AIPROD_", "DVC_ROOT"))}
        options = {"num_cpus": 1, "max_restarts": 0, "max_task_retries": 0, "scheduling_strategy": "SPREAD"}
        actor = self._ray.remote(**options)(Supervisor)
        self._make = lambda: _started(actor.remote(function, folder, environment))
        self._waiting: list[_Task] = []
        self._slots = [self._make() for _ in range(max(1, min(count, most)))]
        self._alone_since: float | None = None

    def room(self) -> int:
        """Workers that are up and have no item, less the items that wait for one."""
        return sum(slot.ref is None for slot in self._slots) - len(self._waiting)

    def submit(self, index: int, item: Any, bounds: Bounds) -> None:
        """Begin an item on a worker that is up."""
        self._waiting.append(_Task(index, item, bounds))

    def poll(self, timeout_s: float) -> list[Outcome[Any]]:
        """Hand out what waits and return what has finished.

        Raises:
            AiprodError: no worker came up for a long time, or worker processes do not start.
        """
        self._hand_out()
        pending = {slot.ref: slot for slot in self._slots if slot.ref is not None}
        if not pending:
            return []
        ready, _ = self._ray.wait(list(pending), num_returns=1, timeout=timeout_s)
        outcomes = [self._take(pending[ref]) for ref in ready]
        self._hand_out()
        self._check_alive()
        return [outcome for outcome in outcomes if outcome is not None]

    def close(self) -> None:
        """Give the workers back; end the cluster if it was started or joined for this run."""
        for slot in self._slots:
            self._ray.kill(slot.actor)
        self._slots.clear()
        if self._own:
            self._ray.shutdown()

    def _hand_out(self) -> None:
        for slot in self._slots:
            if self._waiting and slot.ref is None:
                slot.task = task = self._waiting.pop(0)
                slot.ref = slot.actor.run.remote(task.index, task.item, task.bounds)

    def _take(self, slot: _Slot) -> Outcome[Any] | None:
        task = slot.task
        try:
            answer = self._ray.get(slot.ref)
        except self._ray.exceptions.RayTaskError as error:  # the supervisor itself failed, on every item alike
            raise AiprodError(f"a Ray worker failed: {error.cause}", "fix the installation on the cluster") from None
        except self._ray.exceptions.RayError:  # the worker or its machine is gone
            self._slots[self._slots.index(slot)] = self._make()
            if task is None:
                return None
            task.losses += 1
            if task.losses <= _LOSSES:
                self._waiting.insert(0, task)
                return None
            reason = f"its Ray worker was lost, tried {task.losses} times"
            return Outcome(task.index, None, "died", reason, task.losses)
        slot.ref = slot.task = None
        if task is None:  # it is up
            return None
        return replace(answer, attempts=answer.attempts + task.losses)

    def _check_alive(self) -> None:
        if any(slot.ref is None or slot.task is not None for slot in self._slots):
            self._alone_since = None
        elif self._alone_since is None:
            self._alone_since = time.monotonic()
        elif time.monotonic() - self._alone_since > _NO_WORKER_S:
            raise AiprodError(
                f"no processor of the Ray cluster was free for {_NO_WORKER_S:g} s",
                "free some, or set ingest.workers and qc_measure.workers lower",
            )


def _started(actor: Any) -> _Slot:
    return _Slot(actor, actor.where.remote())


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
    path = os.pathsep.join(p for p in sys.path if p)  # the code of this run, also in an experiment
    try:
        ray.init(
            logging_level=logging.ERROR, log_to_driver=False, runtime_env={"env_vars": {"PYTHONPATH": path}}, **more
        )
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        words = str(error).strip().splitlines()
        raise AiprodError(
            f"the Ray cluster {address or 'of this machine'} does not answer ({words[0] if words else error})",
            "start it, or set RAY_ADDRESS to its address",
        ) from None
