"""Several samples at once, each computed exactly as if it were the only one.

What stands in one batch shares matrix products, and their kernels are chosen by size: a sample made among others
differs from the same made alone in its last bits, which on some processors is a level or more of some pixels. So every
sample is a batch of its own. On a CPU the batches of a small model run beside each other, one thread each, which is
quicker than one large batch on all threads; a large model takes all threads for one sample after another. Which of the
two depends on the model alone, never on how much was asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch
from torch import nn

A = TypeVar("A")
B = TypeVar("B")

SMALL = 100_000_000  # parameters up to which threads are worth more on other samples than inside one


def is_small(model: nn.Module) -> bool:
    """Whether one thread is enough for a sample of the model."""
    return sum(parameter.numel() for parameter in model.parameters()) <= SMALL


def each(work: Callable[[A], B], items: Sequence[A], *, at_once: int) -> list[B]:
    """``work`` of every item in order, up to ``at_once`` of them beside each other, all on one thread each.

    Gradients are off. The first error ends the rest and is raised.
    """
    threads = torch.get_num_threads()

    def alone(item: A) -> B:
        with torch.no_grad():
            return work(item)

    torch.set_num_threads(1)
    try:
        workers = max(1, min(at_once, threads, len(items)))
        if workers == 1:
            return [alone(item) for item in items]
        with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            futures = [pool.submit(alone, item) for item in items]
            try:
                return [future.result() for future in futures]
            except BaseException:
                for future in futures:
                    future.cancel()
                raise
    finally:
        torch.set_num_threads(threads)
