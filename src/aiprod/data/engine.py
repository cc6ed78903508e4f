"""Runs one function over many items in worker processes: results in order, and no item can stop the run.

A worker that dies, hangs or eats too much memory costs its item one retry and then one failed outcome. An exception
that the function raises is an outcome too. The processes are this machine's (``local``) or those of a Ray cluster
(``ray``); function, outcomes and their order are the same.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, TypeVar, cast, get_args

from aiprod.base.errors import AiprodError
from aiprod.base.files import FREE_SPACE
from aiprod.base.params import nearest, read_yaml

I = TypeVar("I")  # noqa: E741 - the letter of "item"
O = TypeVar("O")  # noqa: E741

Engine = Literal["local", "ray"]
Fault = Literal["raised", "died", "deadline", "memory", "disk"]
_POLL_S = 0.25
_AHEAD = 64  # items a worker that may be finished before the first one that is not: bounds the memory of the run


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
        deadline_s: time of one attempt on the clock, less the time in which it waited for a processor that others had
            (where the kernel tells): a busy machine fails no item, and a hang without work is still one. Starting the
            worker does not count.
        memory_bytes: resident memory of the worker, 0 = no bound.
        retries: further attempts after a death, a hang or too much memory (an exception is final at once).
    """

    deadline_s: float = 600.0
    memory_bytes: int = 4 << 30
    retries: int = 1


class Pool(Protocol):
    """Worker processes somewhere."""

    def room(self) -> int:
        """How many more items can be begun now."""
        ...

    def submit(self, index: int, item: Any, bounds: Bounds) -> None:
        """Begin an item, now or as soon as a worker is up."""
        ...

    def poll(self, timeout_s: float) -> list[Outcome[Any]]:
        """What has finished, in any order; waits up to ``timeout_s`` for something."""
        ...

    def close(self) -> None:
        """End every process."""
        ...


def default_workers() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def chosen_engine(path: str = "params.yaml") -> Engine:
    """The top-level ``engine`` of the parameter file; ``local`` where it says none.

    No stage depends on this key: where clips are computed changes no result, so changing it re-runs nothing.

    Raises:
        AiprodError: there is no such engine.
    """
    value = (read_yaml(path) or {}).get("engine", "local")
    if value not in get_args(Engine):
        raise AiprodError(f"{path}: engine is {value!r}", nearest(str(value), list(get_args(Engine))))
    return cast(Engine, value)


def ordered_map(
    function: Callable[[I], O],
    items: Sequence[I],
    *,
    workers: int = 0,
    bounds: Bounds | Callable[[I], Bounds] = Bounds(),
    description: str = "",
    engine: Engine = "local",
    film_s: Callable[[I, O], float] | None = None,
) -> Iterator[Outcome[O]]:
    """Apply ``function`` to each item in worker processes and yield the outcomes in the order of the items.

    Nothing is begun before the first outcome is asked for, and no more than a fixed number of items is ahead of the
    one that is yielded next, so a slow consumer slows the workers down instead of filling memory.

    Args:
        function: importable by name from a module (it is sent to other processes).
        workers: number of processes; 0 = as many as processors (of the machine, or of the cluster).
        bounds: for every item, or a function that gives an item's own.
        description: what progress says; empty = no progress.
        film_s: seconds of film in a finished item, for progress in hours of film a second.

    Raises:
        AiprodError: worker processes do not start, the engine is not installed, or a worker's disk is full.
    """
    if not items:
        return
    from aiprod.base.progress import ticker  # here: workers, which import this module too, need none

    pool = _pool(engine, function, workers, len(items))
    shown = ticker(description, len(items)) if description else nullcontext()
    done: dict[int, Outcome[O]] = {}
    begun = following = 0
    film = 0.0
    try:
        with shown as tick:
            while following < len(items):
                most = min(len(items), following + max(_AHEAD, _AHEAD * workers))
                while begun < most and pool.room() > 0:
                    item = items[begun]
                    pool.submit(begun, item, bounds(item) if callable(bounds) else bounds)
                    begun += 1
                for outcome in pool.poll(_POLL_S):
                    if outcome.fault == "disk":  # no fault of the item: its row must not carry it
                        raise AiprodError(f"{description or 'workers'}: {outcome.reason}", FREE_SPACE)
                    done[outcome.index] = outcome
                    if film_s is not None and outcome.ok:
                        film += film_s(items[outcome.index], cast(O, outcome.value))
                    if tick is not None:
                        tick.advance(film_s=film if film_s is not None else None)
                while following in done:
                    yield done.pop(following)
                    following += 1
    finally:
        pool.close()


def _pool(engine: Engine, function: Callable[[Any], Any], workers: int, items: int) -> Pool:
    if engine == "ray":
        from aiprod.data.ray_engine import RayPool

        return RayPool(function, workers, items)
    from aiprod.data.local_engine import LocalPool

    return LocalPool(function, min(workers or default_workers(), items))
