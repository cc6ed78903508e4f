"""What a DVC that was killed leaves in ``.dvc/tmp``, and whether a DVC is at work here, so that it may be removed.

DVC keeps who reads and writes what in ``rwlock``, a JSON file that it truncates before it writes it again: a kill in
between leaves it empty, and every later command fails until somebody removes it. A missing one is as good as an empty
list. Lock files (``lock``, ``rwlock.lock``) are healthy whatever they hold: the lock is the kernel's and ends with its
process.
"""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aiprod.base.structured import parse_json
from aiprod.errors import AiprodError

RWLOCK = Path(".dvc/tmp/rwlock")
_LOCKS = (Path(".dvc/tmp/lock"), Path(".dvc/tmp/rwlock.lock"))
_BYTES_MAX = 1 << 24
_SHELLS = {"sh", "bash", "dash", "zsh", "fish", "ksh"}


def damage(root: Path) -> str | None:
    """What is wrong with the file of DVC's locks, in words; None where it is as DVC reads it, or is not there."""
    path = root / RWLOCK
    try:
        with open(path, "rb") as file:
            data = file.read(_BYTES_MAX + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    if not data.strip(b"\0 \r\n\t"):
        return "is empty"
    try:
        value = parse_json(data[:_BYTES_MAX], "it")
    except AiprodError:
        return "is cut off" if data.lstrip().startswith(b"{") else "is no JSON"
    return None if _is_lock_table(value) else "is not as DVC writes it"


def strangers(root: Path) -> list[int]:
    """Living processes that the file names though no DVC is at work here: DVC waits for them in vain.

    A number that a killed DVC had is some other process's by now; or a program holds the locks that uses DVC as a
    library, so that nothing is removed for this.
    """
    import psutil

    try:
        with open(root / RWLOCK, "rb") as file:
            value = parse_json(file.read(_BYTES_MAX))
    except (OSError, AiprodError):
        return []
    if not _is_lock_table(value):
        return []
    alive = sorted({int(info["pid"]) for info in _infos(value) if psutil.pid_exists(int(info["pid"]))})
    return alive if alive and not running(root) else []


def repair(root: Path) -> bool:
    """Remove a damaged file of DVC's locks where no DVC is at work; whether it was removed.

    DVC's own locks are held meanwhile, so that none begins, and none is found between emptying the file and writing it.
    """
    if damage(root) is None or running(root):
        return False
    with _dvc_kept_out(root) as kept_out:
        if not kept_out or damage(root) is None:
            return False
        try:
            (root / RWLOCK).unlink()
        except OSError:
            return False
    return True


def running(root: Path) -> list[int]:
    """Processes of DVC, and stages that one started, that are at work in the repository at ``root``.

    A DVC whose folder cannot be seen (another user's) counts.
    """
    import psutil

    here, processes = root.resolve(), []
    mine = {p.pid for p in [psutil.Process(), *psutil.Process().parents()]}
    for process in psutil.process_iter(["pid", "cmdline"]):
        words = process.info["cmdline"] or []
        if process.pid in mine or not _is_dvc(words):
            continue
        try:
            place = Path(process.cwd())
        except psutil.AccessDenied:
            processes.append(process.pid)
            continue
        except (psutil.Error, OSError):
            continue
        if place == here or here in place.parents or place in here.parents:
            processes.append(process.pid)
    return processes


def at_work(root: Path) -> str | None:
    """That a run has not ended, so that files need not be as dvc.lock has them; None where no run is on."""
    found = running(root)
    if not found:
        return None
    who = f"process {', '.join(map(str, found))}" if len(found) == 1 else f"processes {', '.join(map(str, found))}"
    return f"a run is at work here ({who}): what it writes matches dvc.lock only when it has ended → ask again then"


def _is_dvc(words: list[str]) -> bool:
    """Whether a command line is DVC's or a stage's: ``dvc …``, ``python …/dvc …``, ``python -m dvc …``."""
    names = [Path(word).name for word in words[:3]]
    if not names or names[0] in _SHELLS:
        return False
    if names[0] == "dvc" or (len(names) > 1 and names[1] == "dvc"):
        return True
    return len(words) > 2 and words[1] == "-m" and (words[2] == "dvc" or words[2].startswith("pipeline."))


def _is_lock_table(value: Any) -> bool:
    """As DVC's own schema has it: ``{"write": {path: info}, "read": {path: [info, …]}}``, both optional."""
    if not isinstance(value, dict) or not set(value) <= {"read", "write"}:
        return False
    read, write = value.get("read", {}), value.get("write", {})
    if not isinstance(read, dict) or not isinstance(write, dict):
        return False
    lists = all(isinstance(infos, list) for infos in read.values())
    return lists and all(_is_info(info) for info in _infos(value))


def _is_info(info: Any) -> bool:
    return (
        isinstance(info, dict)
        and set(info) == {"pid", "cmd"}
        and isinstance(info["pid"], int)
        and isinstance(info["cmd"], str)
    )


def _infos(value: dict[str, Any]) -> list[Any]:
    return [*value.get("write", {}).values(), *(info for infos in value.get("read", {}).values() for info in infos)]


@contextlib.contextmanager
def _dvc_kept_out(root: Path) -> Iterator[bool]:
    """Hold DVC's locks of the repository and of the file; False where a DVC holds one, or they cannot be held."""
    with contextlib.ExitStack() as files:
        try:
            for name in _LOCKS:
                file = files.enter_context(open(root / name, "a"))
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            locked = True
        except OSError:
            locked = False
        yield locked
