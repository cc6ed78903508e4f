"""Which processes are below this one, to see that something leaves none."""

from __future__ import annotations

import os

import psutil

_HELPERS = ("multiprocessing.resource_tracker", "multiprocessing.forkserver")  # stay until this process ends


def running() -> set[int]:
    """Processes below this one, without the two that multiprocessing keeps."""
    found = set()
    for process in psutil.Process().children(recursive=True):
        helper = process.ppid() == os.getpid() and any(name in " ".join(process.cmdline()) for name in _HELPERS)
        if not helper and process.status() != psutil.STATUS_ZOMBIE:
            found.add(process.pid)
    return found
