"""What runs inside a worker process: takes items from a pipe, answers, and ends when its parent does."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from aiprod.base.denials import DenialLog, last_line, log_to
from aiprod.base.tempdirs import abandon
from aiprod.errors import AiprodError, is_disk_full

_CV_NO_MEMORY = -4  # cv2.error.code of StsNoMem


def serve(pipe: Connection, function: Callable[[Any], Any], log: DenialLog | None, environment: dict[str, str]) -> None:
    """Answer ``("up", None)``, then each ``(item, memory_bytes)`` with ``("value" | "raised" | "memory" | "disk", …)``.

    Args:
        log: where the process that reads the pipe writes denials. The worker ends when that process is gone, also in
            the middle of an item.
        environment: of that process now; the server that forked this one has the environment of its own start.
    """
    os.environ.clear()
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt means
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"  # one processor a worker
    log_to(log)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    answer: tuple[str, Any] = ("up", None)
    base = _private_bytes()
    while True:
        try:
            pipe.send(answer)
        except OSError:
            return
        except Exception as error:  # a value that cannot be pickled
            pipe.send(("raised", f"the result cannot be sent: {type(error).__name__}: {error}"))
        try:
            item, memory_bytes = pipe.recv()
        except (EOFError, OSError):
            return
        _allow(base, memory_bytes)
        answer = answer_of(function, item)


def answer_of(function: Callable[[Any], Any], item: Any) -> tuple[str, Any]:
    """What :func:`serve` sends of one item: a value, or the kind of fault and its reason in words."""
    try:
        return "value", function(item)
    except Exception as error:  # the item's row carries it; the run continues
        if is_disk_full(error):
            return "disk", "no space left on the disk"
        if isinstance(error, AiprodError):
            return "raised", getattr(error, "reason", None) or last_line(error)
        if isinstance(error, MemoryError) or getattr(error, "code", None) == _CV_NO_MEMORY:
            return "memory", "out of memory"
        where = traceback.extract_tb(error.__traceback__)[-1]
        return "raised", f"{type(error).__name__}: {error} ({os.path.basename(where.filename)}:{where.lineno})"


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    abandon()  # nobody would sweep until the next run, and what is there may be a private film in the clear
    os._exit(0)


def _allow(base: int, memory_bytes: int) -> None:
    """Let one huge request for memory fail at once, before the parent could see it: a header may ask for anything.

    The kernel counts what is reserved and not what is used, so the limit is twice the bound on what is used.
    """
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        soft = base + 2 * memory_bytes if memory_bytes else hard
        resource.setrlimit(resource.RLIMIT_DATA, (soft if hard < 0 else min(soft, hard), hard))


def _private_bytes() -> int:
    """Private writable memory that this process has reserved (VmData of proc_pid_status(5)); 0 where unknown."""
    try:
        with open("/proc/self/status", encoding="ascii") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmData:"))
    except (OSError, StopIteration, ValueError):
        return 0
