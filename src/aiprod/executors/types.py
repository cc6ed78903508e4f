"""What an executor takes and gives: items, bounds, outcomes, and the pool of processes behind it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, Self, TypeVar, runtime_checkable

if TYPE_CHECKING:
    from aiprod.storage.result_cache import Memo

I = TypeVar("I")  # noqa: E741 - the letter of "item"
O = TypeVar("O")  # noqa: E741

Engine = Literal["local", "ray"]
Fault = Literal["raised", "died", "deadline", "memory", "disk"]


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


@dataclass(frozen=True)
class Needs:
    """What an item reads, for a machine that sees nothing of the project.

    Args:
        files: role → file or clip object (packed in a shard or not), which is sent as it is stored.
        shared: role → file or folder that other items read too, such as a model; sent to each worker once. Roles may be
            paths: ``models/a`` and ``models/b`` are beside each other there.
        entries: of the item's result cache, which the function looks up.
        private: ids of films or clips with personal data in it. Where there are any, nothing of the item leaves this
            machine unencrypted, and the worker gets the keys of these films.
    """

    files: Mapping[str, Path] = field(default_factory=dict)
    shared: Mapping[str, Path] = field(default_factory=dict)
    entries: tuple[str, ...] = ()
    private: tuple[str, ...] = ()


@runtime_checkable
class Portable(Protocol):
    """An item that reads files or leaves results in a result cache, and can do so on another machine."""

    @property
    def memo(self) -> Memo | None:
        """Where its function leaves results, if it does."""
        ...

    def packing(self) -> AbstractContextManager[Needs]:
        """What it needs, which is there while the block lasts.

        Raises:
            AiprodError: it cannot be had; that is the item's outcome.
        """
        ...

    def placed(self, at: Mapping[str, Path], memo: Memo) -> Self:
        """The same item, with its files and shared folders where they are on this machine, and this result cache."""
        ...


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
