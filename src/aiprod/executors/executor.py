"""Runs one function over many items in worker processes: results in order, and no item can stop the run.

A worker that dies, hangs or eats too much memory costs its item one retry and then one failed outcome. An exception
that the function raises is an outcome too. The processes are this machine's (``local``) or those of a Ray cluster
(``ray``); function, outcomes and their order are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from typing import Any, cast, get_args

from aiprod.base.params import nearest
from aiprod.base.progress import ticker
from aiprod.base.yaml_file import read_yaml
from aiprod.errors import FREE_SPACE, AiprodError
from aiprod.executors.local import LocalPool
from aiprod.executors.types import Bounds, Engine, I, O, Outcome, Pool, default_workers

_POLL_S = 0.25
_AHEAD = 64  # items a worker that may be finished before the first one that is not: bounds the memory of the run

_USUAL = Bounds()


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
    bounds: Bounds | Callable[[I], Bounds] = _USUAL,
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
        from aiprod.executors.ray import RayPool  # needs the extra aiprod[ray]

        return RayPool(function, workers, items)
    return LocalPool(function, min(workers or default_workers(), items))
