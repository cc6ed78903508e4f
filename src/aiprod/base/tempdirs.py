"""Folders for work in progress: a lock says that their process lives, and what a killed one left is swept away."""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from aiprod.base.state import state
from aiprod.errors import AiprodError

_LOCK, _WORK = ".lock", "work"
_MAKING = ".making."  # until the lock is held: what bears another name and has a free lock is nobody's
_MAKING_S = 60  # between making a folder and giving it its name; it is empty for so long
_UNLOCKED_S = 24 * 3600.0  # a folder without a lock: its maker knew of none
_TRIES = 20  # to remove a folder into which somebody still writes

_mine: dict[Path, int] = {}  # → process that made it: a forked child has a copy of this


@contextlib.contextmanager
def scratch(root: Path, prefix: str = "") -> Iterator[Path]:
    """An empty folder below ``root``, for its owner only, that is removed when the block ends.

    What is to be kept is renamed out of it. If this process is killed, :func:`sweep` removes what is left.

    Args:
        root: exists.
        prefix: of the name of the folder that holds it.
    """
    making = Path(tempfile.mkdtemp(prefix=_MAKING, dir=root))
    place = root / f"{prefix}{making.name.removeprefix(_MAKING)}"
    try:
        with open(making / _LOCK, "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            _mine[place] = os.getpid()
            os.rename(making, place)
            (place / _WORK).mkdir(mode=0o700)
            yield place / _WORK
    finally:
        for folder in (making, place):
            shutil.rmtree(folder, ignore_errors=True)
        _mine.pop(place, None)


def sweep(root: Path, pattern: str = "*") -> None:
    """Remove the folders of :func:`scratch` below ``root`` whose process is gone: their lock is free.

    Args:
        pattern: of their paths relative to ``root``.
    """
    parent = str(Path(pattern).parent)
    for place in [*root.glob(pattern), *root.glob(f"{parent}/{_MAKING}*")]:
        with contextlib.suppress(OSError):  # it is removed meanwhile, or another's
            age = time.time() - place.stat().st_mtime
            if place.name.startswith(_MAKING):
                if age > _MAKING_S:
                    shutil.rmtree(place, ignore_errors=True)
                continue
            try:
                lock = open(place / _LOCK)  # noqa: SIM115 - closed below, after the folder is gone
            except FileNotFoundError:
                if age > _UNLOCKED_S:
                    shutil.rmtree(place, ignore_errors=True)
                continue
            with lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(place, ignore_errors=True)


def private_root() -> Path:
    """Where clear content of films with personal data is on its way into encryption; for its owner only."""
    root = state().make() / "private"
    root.mkdir(exist_ok=True, mode=0o700)
    return root


def remote_parts() -> Path:
    """Where what was received of films that are fetched is kept until they are whole."""
    root = state().cache("remote")
    root.mkdir(parents=True, exist_ok=True)
    return root


def sweep_private() -> None:
    """Remove what killed processes left in the clear of films with personal data.

    Every stage does so when it starts and when it ends, and a pool when it ended a worker.
    """
    with contextlib.suppress(AiprodError):  # in no project there is nothing of it
        sweep(state().root / "private")


def abandon() -> None:
    """Remove the folders of this process, whatever its other threads are at: it is about to end."""
    for place in [place for place, maker in list(_mine.items()) if maker == os.getpid()]:
        for _ in range(_TRIES):
            shutil.rmtree(place, ignore_errors=True)
            if not place.exists():
                break
            time.sleep(0.01)


atexit.register(abandon)
