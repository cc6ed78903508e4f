"""Threads that libraries start for themselves, told by the environment that they find when they are imported."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""Linear algebra in the thread that asks for it. More are no gain in a worker, which has one processor: a product of
small matrices wakes a thread for each processor of the machine, and they wait for the next one at full speed."""


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Processes that are started meanwhile import libraries with one thread; said to a worker it would be too late."""
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(ONE_THREAD)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def stay_single() -> None:
    """Keep this process at one thread, so that its workers can be forked from it once all is imported, and not again.

    For a command that leaves the work to its workers. Without effect where NumPy is there already, or on another
    allocator than jemalloc in PyArrow, which else keeps a thread to give memory back.
    """
    if "numpy" not in sys.modules:
        os.environ.update(ONE_THREAD)
        os.environ.setdefault("JE_ARROW_MALLOC_CONF", "background_thread:false")
