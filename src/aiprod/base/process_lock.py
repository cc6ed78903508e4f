"""One process of a stage in a workspace at a time, and none that outlives the DVC that started it.

DVC that is killed leaves its stage running; the next ``dvc repro`` would start the same stage beside it, both writing
the same outputs and both taking the whole machine. So a stage ends when its DVC does, and one that finds its own kind
at work in the same workspace waits. Experiments in temporary workspaces are other workspaces and run side by side.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import itertools
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING

from aiprod.base.state import state, workspace

if TYPE_CHECKING:
    import psutil

_SHELLS = {"sh", "bash", "dash", "zsh", "fish", "ksh", "ash", "busybox", "env", "nice", "time"}
_WATCH_S = 1.0
_GRACE_S = 30.0  # for a stage to end by itself, once it was asked to
_POLL_S = 0.2
_SAY_AGAIN_S = 60.0


def _say(line: str) -> None:
    """On standard error, which may be gone with whoever read it."""
    with contextlib.suppress(OSError, ValueError):
        print(line, file=sys.stderr, flush=True)


@contextlib.contextmanager
def alone(stage: str) -> Iterator[None]:
    """Hold the place of ``stage`` in this workspace while the block lasts; waits for another that holds it.

    A rank of a training that runs in several processes shares the place of the process that started it.
    """
    lock = None if "WORLD_SIZE" in os.environ else _wait_for_place(stage)
    try:
        yield
    finally:
        if lock is not None:
            lock.close()


def _wait_for_place(stage: str) -> IO[str] | None:
    """The locked file; None where the state folder cannot be locked (its file system knows no locks)."""
    where = hashlib.sha256(str(workspace()).encode("utf-8", "surrogateescape")).hexdigest()[:12]
    try:
        file = open(state().lock(f"stage-{where}-{stage}"), "a+")  # noqa: SIM115 - closed by whoever asked
    except OSError:
        return None
    last_message_s = float("-inf")
    while True:
        try:
            # A lock of this process alone: children that are forked do not hold it, and must not.
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            pass
        except PermissionError:  # how some systems say the same
            pass
        except OSError:
            file.close()
            return None
        if time.monotonic() - last_message_s > _SAY_AGAIN_S:
            last_message_s = time.monotonic()
            file.seek(0)
            pid = file.read(20).strip() or "unknown"
            _say(f"{stage}: process {pid} is at this stage in this workspace → waiting; `kill {pid}` ends it")
        time.sleep(_POLL_S)
    file.seek(0)
    file.truncate()
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file


def end_with_dvc(stage: str) -> None:
    """From now on, end this process when the DVC that started it is gone. Of a process that DVC did not start, nothing.

    It is asked to end as by ``kill``, so that it can tidy up, and ended half a minute later.
    """
    if "DVC_STAGE" not in os.environ:
        return
    import psutil

    with contextlib.suppress(psutil.Error):
        above = _up_to_dvc()
        threading.Thread(target=_watch, args=(stage, os.getppid(), above), daemon=True).start()


def _up_to_dvc() -> list[psutil.Process]:
    """Our parent, and where that is a shell its parent, up to the first that is none."""
    import psutil

    chain: list[psutil.Process] = []
    process = psutil.Process().parent()
    while process is not None and process.pid > 1:
        chain.append(process)
        process = process.parent() if process.name() in _SHELLS else None
    return chain


def _watch(stage: str, parent: int, above: list[psutil.Process]) -> None:
    while os.getppid() == parent and not _broken(above):
        time.sleep(_WATCH_S)
    _say(f"{stage}: the DVC that started this stage has ended, so it stops; run `dvc repro` to continue")
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE_S)
    os._exit(128 + signal.SIGTERM)


def _broken(above: list[psutil.Process]) -> bool:
    """Whether a process above us is gone: a child of one that died, reaped or not, has another parent at once."""
    import psutil

    try:
        return any(child.ppid() != parent.pid for child, parent in itertools.pairwise(above))
    except psutil.Error:
        return True


def name_of_stage(module: str) -> str:
    """What to call the stage that runs: its module, or what DVC calls it."""
    main = sys.modules.get("__main__")
    module_name = getattr(getattr(main, "__spec__", None), "name", None) if module == "__main__" else module
    return os.environ.get("DVC_STAGE") or (module_name or "stage").rsplit(".", 1)[-1]
