"""What runs inside a worker process: takes items from a pipe, answers, and ends when its parent does."""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import signal
import tempfile
import threading
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from aiprod.base.denials import Refusal, last_line, log_to
from aiprod.base.tempdirs import abandon
from aiprod.errors import AiprodError, is_disk_full
from aiprod.executors import confinement
from aiprod.executors.threads import ONE_THREAD

OBJECTS = 10_000  # that a worker makes before it looks for cycles of them
_CV_NO_MEMORY = -4  # cv2.error.code of StsNoMem


@dataclass(frozen=True)
class Reach:
    """What a confined worker may change.

    Attributes:
        temporary: its own folder for temporary files.
        writable: other folders below which it may make, change and remove files.
    """

    temporary: Path
    writable: tuple[Path, ...]


class _Forwarding:
    """A denial log that lets the parent write: a worker has the audit log neither to write nor, confined, the means."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def __call__(self, refusals: Sequence[Refusal], *, once: bool = False) -> None:
        self._pipe.send(("refused", ([refusal.told() for refusal in refusals], once)))
        for refusal in refusals:
            refusal.logged = True


def serve(pipe: Connection, function: Callable[[Any], Any], reach: Reach | None, environment: dict[str, str]) -> None:
    """Answer ``("up", None)``, then each ``(item, memory_bytes)`` with ``("value" | "raised" | "memory" | "disk", …)``.

    Before an answer there may be any number of ``("refused", …)``: denials for the parent to log. ``("renew", None)``
    answers an item that needs the network after that was closed: another worker has to take it. The worker ends when
    the process that reads the pipe is gone, also in the middle of an item.

    Args:
        reach: None for a worker that is not confined.
        environment: of that process now; the server that forked this one has the environment of its own start.
    """
    os.environ.clear()
    os.environ.update(environment | ONE_THREAD)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt means
    if reach is not None:
        os.environ["TMPDIR"] = tempfile.tempdir = str(reach.temporary)
        confinement.confine([reach.temporary, *reach.writable])  # while there is one thread
    log_to(_Forwarding(pipe))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    gc.freeze()  # what was imported stays: passing over it again and again takes a hundredth of measuring a film
    gc.set_threshold(OBJECTS)
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
        answer = _answer(function, item)


def _answer(function: Callable[[Any], Any], item: Any) -> tuple[str, Any]:
    """Close the network, unless the item is to be fetched first; then it closes it itself."""
    if not getattr(item, "fetches", False):
        confinement.close_network()
    elif confinement.network_closed():
        return "renew", None
    return answer_of(function, item)


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
