"""Processor time of a command with all that it started, also of workers that another process of its own forked.

Workers of a pool are children of a fork server, which outlives the command by a moment and is waited for by nobody:
what they used would be in no figure. A subreaper (Linux) inherits such orphans, and can wait for them.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource

_PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """From now on, processes whose parent ended become children of this one.

    Raises:
        OSError: the system cannot do that.
    """
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "this system lets no process adopt orphans")


def children_cpu_s() -> float:
    """Seconds of user and system time of every child that has ended; waits for all that still run."""
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
