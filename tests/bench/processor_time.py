"""Processor time of a command with all that it started, also of workers that another process of its own forked.

Workers of a pool are children of a fork server, which outlives the command by a moment and is waited for by nobody:
what they used would be in no figure. A subreaper (Linux) inherits such orphans, and can wait for them.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import subprocess
import time
from pathlib import Path

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


def watch(process: subprocess.Popen[bytes]) -> tuple[float, float]:
    """Processor seconds and peak resident MiB of a process until it ends.

    The peak is looked at every 20 ms: ``ru_maxrss`` also holds that of whoever the process was forked from.

    Raises:
        CalledProcessError: it ended with another status than 0.
    """
    peak = 0.0
    while True:
        peak = max(peak, peak_mib(process.pid))
        ended, status, used = os.wait4(process.pid, os.WNOHANG)
        if ended:
            break
        time.sleep(0.02)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args)
    return used.ru_utime + used.ru_stime, peak


def peak_mib(pid: int) -> float:
    """Peak of resident memory since the program began, MiB; 0 once it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return max((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:")), default=0.0)
