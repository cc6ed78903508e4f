"""Which processes are below this one, to see that something leaves none."""

from __future__ import annotations

import contextlib
import os
import time

import psutil

_HELPERS = ("multiprocessing.resource_tracker", "multiprocessing.forkserver")  # stay until this process ends
_ENDING_S = 0.3  # a killed process has let go of its pipe some time before it is gone


def running() -> set[int]:
    """Processes below this one that stay, without the two that multiprocessing keeps."""
    found = _seen()
    if found:
        time.sleep(_ENDING_S)
        found &= _seen()
    return found


def _seen() -> set[int]:
    found = set()
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            helper = process.ppid() == os.getpid() and any(name in " ".join(process.cmdline()) for name in _HELPERS)
            if not helper and process.status() != psutil.STATUS_ZOMBIE:
                found.add(process.pid)
    return found
