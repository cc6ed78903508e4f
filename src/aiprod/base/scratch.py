"""Folders for work in progress: a lock says that their process lives, and what a killed one left is swept away."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

_LOCK, _WORK = ".lock", "work"
_YOUNG_S = 60  # between making a folder and holding its lock
_UNLOCKED_S = 24 * 3600.0  # a folder without a lock: its maker was killed before it had one, or knew of none


@contextlib.contextmanager
def scratch(root: Path, prefix: str = "") -> Iterator[Path]:
    """An empty folder below ``root``, for its owner only, that is removed when the block ends.

    What is to be kept is renamed out of it. If this process is killed, :func:`sweep` removes what is left.

    Args:
        root: exists.
        prefix: of the name of the folder that holds it.
    """
    place = Path(tempfile.mkdtemp(prefix=prefix, dir=root))
    try:
        with open(place / _LOCK, "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            (place / _WORK).mkdir(mode=0o700)
            yield place / _WORK
    finally:
        shutil.rmtree(place, ignore_errors=True)


def sweep(root: Path, pattern: str = "*") -> None:
    """Remove the folders of :func:`scratch` below ``root`` whose process is gone.

    Args:
        pattern: of their paths relative to ``root``.
    """
    for place in root.glob(pattern):
        with contextlib.suppress(OSError):  # it is removed meanwhile, or another's
            age = time.time() - place.stat().st_mtime
            if age < _YOUNG_S:  # its maker may not hold the lock yet
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
