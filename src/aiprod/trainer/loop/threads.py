"""The number of threads for torch, chosen by measuring real work: more are not always faster on a busy machine."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import torch

from aiprod.base.progress import log


def choose_threads(work: Callable[[], None], *, most: int | None = None, repeats: int = 2) -> int:
    """Set torch to the number of threads at which ``work`` is quickest, and return it.

    Args:
        work: one step, without lasting effect.
        most: upper limit; the cores of the machine if None.
    """
    limit = most or cores()
    candidates = sorted({1, max(1, limit // 2), limit})
    if len(candidates) == 1:
        torch.set_num_threads(1)
        return 1
    best: dict[int, float] = {}
    for threads in candidates:
        torch.set_num_threads(threads)
        work()  # the first run allocates
        for _ in range(repeats):
            start = time.perf_counter()
            work()
            best[threads] = min(best.get(threads, float("inf")), time.perf_counter() - start)
    chosen = min(best, key=lambda n: best[n])
    torch.set_num_threads(chosen)
    log("  threads: " + ", ".join(f"{n}: {s * 1000:.0f} ms a step" for n, s in best.items()) + f" → {chosen}")
    return chosen


def use_threads(threads: int) -> None:
    """Set torch to this many threads; 0: one for each core of this process."""
    torch.set_num_threads(threads or cores())


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
