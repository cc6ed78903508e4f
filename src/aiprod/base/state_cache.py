"""Small results in the state folder, kept by what decides them: a command that finds all of it as it was need not load
what it takes to find out again. A note that cannot be read or written costs that time, no more."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiprod.base.files import digest_of, read_json, write_json
from aiprod.base.state import state
from aiprod.errors import AiprodError

_SITES = ".well-known"  # where the copy of a web site has its rules
SETTLED_NS = 2_000_000_000  # a file that was written later than this may be written again without its time telling


def recall(name: str, decided_by: str) -> Any:
    """What was kept under this name, if the same decided it; else None."""
    try:
        kept = read_json(_note(name))
        return kept["value"] if kept["decided_by"] == decided_by else None
    except (AiprodError, OSError, KeyError, TypeError):
        return None


def remember(name: str, decided_by: str, value: Any) -> None:
    """Keep a JSON value that is not None, in place of what was kept under this name."""
    with contextlib.suppress(OSError):
        write_json(_note(name), {"decided_by": decided_by, "value": value})


@dataclass(frozen=True)
class InputState:
    """Everything that a result depends on, so that it can be compared without knowing what it means.

    Args:
        read: files whose bytes count, there or not.
        below: folders, of everything in which size, time of change, mode and inode count; not of what is hidden, unless
            it holds the rules of a web site.
        outputs: files that come with the result: it holds as long as they are as they were left.
        databases: SQLite files that come with it; their header counts the changes.
    """

    read: Sequence[Path] = ()
    below: Sequence[Path] = ()
    outputs: Sequence[Path] = ()
    databases: Sequence[Path] = ()

    def before(self, stated: Sequence[Any]) -> str | None:
        """SHA-256 (hex) of what the result is made from, taken before it is made: what changes meanwhile is missed.

        None where something was written just now, or a folder cannot be listed.

        Args:
            stated: what is in no file: a date, a commit.
        """
        began, newest = time.time_ns(), 0
        digest = hashlib.sha256(digest_of([*stated, code_stamp()]).encode())
        for path in self.read:
            digest.update(b"\0%s\0%s" % (os.fsencode(path), _content(path)))
        try:
            for folder in map(str, self.below):
                for name, facts in everything_below(folder, len(folder)):
                    newest = max(newest, facts.st_mtime_ns)
                    values = (facts.st_mode, facts.st_size, facts.st_mtime_ns, facts.st_ino)
                    digest.update(b"\0%s\0%s\0%d,%d,%d,%d" % (os.fsencode(folder), os.fsencode(name), *values))
        except OSError:
            return None
        return None if began - newest < SETTLED_NS else digest.hexdigest()

    def after(self, before: str) -> str:
        """The same and what was made."""
        digest = hashlib.sha256(before.encode())
        for path in self.outputs:
            digest.update(b"\0%s\0%s" % (os.fsencode(path), _content(path)))
        for path in self.databases:
            digest.update(b"\0%s\0%s" % (os.fsencode(path), _database(path)))
        return digest.hexdigest()


_PARTS = ("read", "below", "outputs", "databases")


def recall_unchanged(name: str, stated: Sequence[Any]) -> Any:
    """What :func:`remember_unchanged` kept under this name, if nothing that it watched has changed; else None.

    Args:
        stated: what is in no file, as it is now.
    """
    try:
        kept = read_json(_note(name))
        watched = InputState(**{part: [Path(path) for path in kept["watched"][part]] for part in _PARTS})
        before = watched.before(stated)
        return kept["value"] if before is not None and kept["decided_by"] == watched.after(before) else None
    except (AiprodError, OSError, KeyError, TypeError, AttributeError):
        return None


def remember_unchanged(name: str, watched: InputState, before: str | None, value: Any) -> None:
    """Keep a JSON value that is not None for as long as nothing changes that it depends on.

    Args:
        before: what ``watched.before`` said when the work began.
    """
    if before is not None:
        paths = {part: [str(path) for path in getattr(watched, part)] for part in _PARTS}
        with contextlib.suppress(OSError):
            write_json(_note(name), {"decided_by": watched.after(before), "watched": paths, "value": value})


def code_stamp() -> str:
    """Digest of the size and time of each module of this package."""
    package = str(Path(__file__).parents[1])
    digest = hashlib.sha256(os.fsencode(package))
    for name, facts in everything_below(package, len(package)):
        if name.endswith(".py"):
            digest.update(b"\0%s\0%d,%d" % (os.fsencode(name), facts.st_size, facts.st_mtime_ns))
    return digest.hexdigest()


def stamps(files: Iterable[Path]) -> list[tuple[str, int, str]]:
    """Path, size and time of each file, in the order of their paths; those that are not there are left out."""
    listed = []
    for path in sorted(files):
        with contextlib.suppress(OSError):
            seen = path.stat()
            listed.append((str(path), seen.st_size, str(seen.st_mtime_ns)))
    return listed


def everything_below(folder: str, skip: int = 0) -> Iterator[tuple[str, os.stat_result]]:
    """Path and facts of everything below a folder that is not hidden, or holds the rules of a web site.

    Links are followed for the facts alone.

    Args:
        skip: characters of the path to leave out.
    """
    inner: list[str] = []
    with os.scandir(folder) as entries:
        looked_at = (entry for entry in entries if not entry.name.startswith(".") or entry.name == _SITES)
        children = sorted(looked_at, key=lambda entry: entry.name)
    for entry in children:
        yield entry.path[skip:], entry.stat()
        if entry.is_dir(follow_symlinks=False):
            inner.append(entry.path)
    for path in inner:
        yield from everything_below(path, skip)


def _content(path: Path) -> bytes:
    """SHA-256 of a file; of one that is not there, nothing."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except FileNotFoundError:
        return b""


def _database(path: Path) -> bytes:
    """Header, size and time of an SQLite file and of its journal."""
    content = b""
    for each in (path, path.with_name(f"{path.name}-wal")):
        with contextlib.suppress(FileNotFoundError), open(each, "rb") as file:
            facts = os.fstat(file.fileno())
            content += file.read(100) + b"%d,%d,%d" % (facts.st_size, facts.st_mtime_ns, facts.st_ino)
    return content


def _note(name: str) -> Path:
    return state().cache("remembered") / f"{name}.json"
