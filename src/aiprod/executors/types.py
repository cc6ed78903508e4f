"""What an executor takes and gives: items, bounds, outcomes, and the pool of processes behind it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, TypeVar

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
