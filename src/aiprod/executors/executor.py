"""Runs one function over many items in worker processes: results in order, and no item can stop the run.

A worker that dies, hangs or eats too much memory costs its item one retry and then one failed outcome. An exception
that the function raises is an outcome too. The processes are this machine's (``local``) or those of a Ray cluster
(``ray``); function, outcomes and their order are the same.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast, get_args

from aiprod.base.params import nearest
from aiprod.base.progress import ticker
from aiprod.base.tempdirs import private_root, remote_parts
from aiprod.base.yaml_file import read_yaml
from aiprod.errors import FREE_SPACE, AiprodError
from aiprod.executors.types import Bounds, Engine, I, O, Outcome, Pool, default_workers

J = TypeVar("J")
P = ParamSpec("P")
T = TypeVar("T")

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


def gathered_map(
    function: Callable[[I], O],
    items: Sequence[I],
    *,
    gather_s: float = 0.0,
    workers: int = 0,
    bounds: Bounds | Callable[[I], Bounds] = _USUAL,
    description: str = "",
    engine: Engine = "local",
    film_s: Callable[[I, O], float] | None = None,
    gpu: bool = False,
    fork: bool = False,
    confined: bool = False,
) -> Iterator[list[Outcome[O]]]:
    """Apply ``function`` to each item in worker processes and yield the outcomes in the order of the items, some at a
    time: for who is quicker with several than with one.

    Nothing is begun before the first outcome is asked for, and no more than a fixed number of items is ahead of the
    one that is yielded next, so a slow consumer slows the workers down instead of filling memory.

    Args:
        gather_s: seconds for which an outcome may wait for others.
        function: importable by name from a module (it is sent to other processes).
        items: on a cluster, those that read or write files of the project are :class:`~types.Portable`.
        workers: number of processes; 0 = as many as processors (of the machine, or of the cluster).
        bounds: for every item, or a function that gives an item's own.
        description: what progress says; empty = no progress.
        film_s: seconds of film in a finished item, for progress in hours of film a second.
        gpu: whether each worker of a cluster takes a GPU of its own, where there are any.
        fork: as of :class:`~local.LocalPool`, on this machine.
        confined: whether workers are (:mod:`confinement`): for functions that decode strangers' film, and write nothing
            but temporary files and what the items' result cache (``item.memo``) keeps. ``item.private`` may be the id
            of a film under whose key that is encrypted.

    Raises:
        AiprodError: worker processes do not start, the engine is not installed, or a worker's disk is full.
    """
    if not items:
        return
    writable = _writable(items) if confined else None
    pool = _pool(engine, function, workers, len(items), gpu=gpu, fork=fork, writable=writable)
    shown = ticker(description, len(items)) if description else nullcontext()
    keys = None  # of films; what opens them takes a while to be imported
    done: dict[int, Outcome[O]] = {}
    begun = following = 0
    film = 0.0
    gathered: list[Outcome[O]] = []
    since = 0.0  # when the first of them came
    try:
        with shown as tick:
            while following < len(items):
                most = min(len(items), following + max(_AHEAD, _AHEAD * workers))
                while begun < most and pool.room() > 0:
                    item = items[begun]
                    if confined and isinstance(film_id := getattr(item, "private", None), str):
                        from aiprod.storage.crypto.film_encryption import ErasedError, Vault

                        keys = keys or Vault()
                        with contextlib.suppress(ErasedError):  # the item says so itself
                            keys.key_of(film_id)  # a confined worker can make none
                    pool.submit(begun, item, bounds(item) if callable(bounds) else bounds)
                    begun += 1
                for outcome in pool.poll(_POLL_S):
                    if outcome.fault == "disk":  # no fault of the item: its row must not carry it
                        if gathered:
                            yield gathered
                        raise AiprodError(f"{description or 'workers'}: {outcome.reason}", FREE_SPACE)
                    done[outcome.index] = outcome
                    if film_s is not None and outcome.ok:
                        film += film_s(items[outcome.index], cast(O, outcome.value))
                    if tick is not None:
                        tick.advance(film_s=film if film_s is not None else None)
                while following in done:
                    since = since if gathered else time.monotonic()
                    gathered.append(done.pop(following))
                    following += 1
                if gathered and (following == len(items) or time.monotonic() - since >= gather_s):
                    yield gathered
                    gathered = []
    finally:
        pool.close()


def _one_at_a_time(gathered: Callable[P, Iterator[list[T]]]) -> Callable[P, Iterator[T]]:
    def outcomes(*args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        for some in gathered(*args, **kwargs):
            yield from some

    return outcomes


ordered_map = _one_at_a_time(gathered_map)
"""The outcomes of :func:`gathered_map`, one at a time."""


def in_parts(
    function: Callable[[J], O],
    job: Callable[[Sequence[I]], J],
    parts: Sequence[Sequence[I]],
    *,
    bounds: Bounds,
    engine: Engine,
    gpu: bool,
    confined: bool = False,
) -> Iterator[tuple[Sequence[I], O | str]]:
    """Apply ``function`` to many items at a time, and to each alone of those whose part ended a worker.

    Args:
        job: makes what the function is given of some items.
        parts: items that are given together.

    Returns:
        Items with their value, or with the reason why there is none; first whole parts in order, then single items.

    Raises:
        AiprodError: as :func:`ordered_map`.
    """
    alone: list[Sequence[I]] = []
    jobs = [job(part) for part in parts]
    outcomes = ordered_map(function, jobs, bounds=bounds, engine=engine, gpu=gpu, confined=confined)
    for part, outcome in zip(parts, outcomes, strict=True):
        if outcome.ok:
            yield part, cast(O, outcome.value)
        elif len(part) == 1:
            yield part, outcome.reason
        else:
            alone += [[item] for item in part]
    if alone:
        yield from in_parts(function, job, alone, bounds=bounds, engine=engine, gpu=gpu, confined=confined)


def _writable(items: Sequence[Any]) -> list[Path]:
    """Folders that exist and that workers need to write to: result caches, and where films are on their way."""
    memos = {memo.folder for item in items if (memo := getattr(item, "memo", None)) is not None}
    for folder in memos:
        folder.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(AiprodError):  # outside of a project there is neither
        memos |= {private_root(), remote_parts()}
    return sorted(memos)


def _pool(
    engine: Engine,
    function: Callable[[Any], Any],
    workers: int,
    items: int,
    *,
    gpu: bool,
    fork: bool,
    writable: Sequence[Path] | None,
) -> Pool:
    if engine == "ray":
        from aiprod.executors.ray import RayPool  # needs the extra aiprod[ray]

        return RayPool(function, workers, items, gpu=gpu, confined=writable is not None)
    from aiprod.executors.local import LocalPool  # a stage with nothing to compute need not load it

    return LocalPool(function, min(workers or default_workers(), items), fork=fork, writable=writable)
