"""Which processes are below this one, to see that something leaves none."""

from __future__ import annotations

import contextlib
import os
import time

import psutil

_HELPERS = ("multiprocessing.resource_tracker", "multiprocessing.forkserver")  # stay until this process ends
_ENDING_S = 10.0  # a killed process has let go of its pipe some time before it is gone: seconds on a busy machine


def running() -> set[int]:
    """Processes below this one, without the two that multiprocessing keeps."""
    return _below(set())


def left_running(before: set[int]) -> set[int]:
    """Processes below this one that stay and that neither ran ``before`` nor are below one that did.

    A server that another test keeps may begin and end processes of its own meanwhile.
    """
    until = time.monotonic() + _ENDING_S
    while (left := _below(before)) and time.monotonic() < until:
        time.sleep(0.05)
    return left


def _below(without: set[int]) -> set[int]:
    found = set()
    waiting = psutil.Process().children()
    while waiting:
        process = waiting.pop()
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.pid in without or process.status() == psutil.STATUS_ZOMBIE:
                continue
            waiting += process.children()
            if process.ppid() != os.getpid() or all(name not in " ".join(process.cmdline()) for name in _HELPERS):
                found.add(process.pid)
    return found
