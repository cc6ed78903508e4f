"""Looks for needles in every store: working tree, DVC's cache and remotes, memo, MLflow, state, git history.

Files are searched as they are; Parquet and SQLite are read and searched as text too, because they pack or split it.
Other compressed containers are searched as they are only, which docs/erasure.md says.
"""

from __future__ import annotations

import io
import os
import queue
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any, TypeVar, cast

from aiprod.errors import words_of
from aiprod.governance.erasure.search_patterns import Needles
from aiprod.printable import counted, escape_controls
from aiprod.repo import dvc
from aiprod.repo.dvc import OBJECTS
from aiprod.repo.git import common_folder, every_object, other_work_trees
from aiprod.storage.crypto.film_encryption import private_folder

PATIENCE_S = 120.0
"""Seconds within which a remote has to answer one question."""
_LISTING = 15  # times as long for the list of all objects: a million are a thousand answers
_SLOWEST = 100_000  # bytes a second
_BLOCK = 64 << 20
_WHERE_MOST = 20
T = TypeVar("T")


@dataclass
class Count:
    """What was found in one store.

    Attributes:
        skipped: why it was not searched, else empty.
        where: the first places of hits.
    """

    objects: int = 0
    bytes: int = 0
    pieces: int = 0
    hashes: int = 0
    names: int = 0
    skipped: str = ""
    where: list[str] = field(default_factory=list)

    @property
    def hits(self) -> int:
        """Objects with pieces, hashes or names in the clear, each kind counted."""
        return self.pieces + self.hashes + self.names


def search_text(count: Count, needles: Needles, place: str, data: bytes) -> None:
    """Count what of the needles is in ``data`` or in the place's own name."""
    kinds = needles.in_data(data)
    for kind in kinds:
        setattr(count, kind, getattr(count, kind) + 1)
    if kinds and len(count.where) < _WHERE_MOST:
        count.where.append(f"{place} ({', '.join(kinds)})")


def search_stream(count: Count, needles: Needles, place: str, file: IO[bytes]) -> None:
    """Search one object, in blocks that overlap by the longest needle."""
    count.objects += 1
    name = os.fsencode(place)  # names of files may be no text
    flat = name.replace(b"/", b"")  # DVC splits a hash into folder and name
    place = escape_controls(place)
    if any(needle in flat for needle in needles.hashes) or any(needle in name for needle in needles.names):
        search_text(count, needles, place, flat + b"\n" + name)
    tail, first, parts = b"", b"", Count()
    while block := file.read(_BLOCK):
        first = first or block[:16]
        count.bytes += len(block)
        search_text(parts, needles, place, tail + block)
        tail = block[-needles.longest :] if needles.longest else b""
    for kind in ("pieces", "hashes", "names"):
        setattr(count, kind, getattr(count, kind) + min(1, getattr(parts, kind)))
    if parts.where and len(count.where) < _WHERE_MOST:
        count.where.append(parts.where[0])
    for text in _unpacked(first, file):
        search_text(count, needles, place, text)


def folder(needles: Needles, root: Path, leave_out: Iterable[Path] = ()) -> Count:
    """Search every file below a folder, and what links in it lead to outside of it."""
    count, away = Count(), {p.resolve() for p in leave_out}
    for path in _files(root, _Walk(root.resolve(), away, count)):
        try:
            with open(path, "rb") as file:
                search_stream(count, needles, path.relative_to(root).as_posix(), file)
        except OSError as error:
            _unread(count, path, error)
    return count


def _unread(count: Count, path: Path, error: OSError) -> None:
    if not count.skipped:  # one is enough to say that the store was not searched whole
        count.skipped = f"{escape_controls(path)} cannot be read ({error.strerror})"


def git_history(needles: Needles, repository: Path) -> Count:
    """Search every object git holds, reachable or not: contents, names of files, messages; and its own files.

    Its own files are the list of what is staged, the log of every branch, and the stores of extensions such as LFS.
    """
    own = common_folder(repository)
    if own is None:
        return Count(skipped="there is no git repository here, or git does not run")
    count = folder(needles, own, [own / "objects"])
    try:
        for name, data in every_object(repository):
            search_stream(count, needles, name, io.BytesIO(data))
    except (OSError, ValueError) as error:
        count.skipped = f"{error}" if isinstance(error, ValueError) else "git does not run here"
    return count


def work_trees(needles: Needles, repository: Path, leave_out: Iterable[Path]) -> dict[str, Count]:
    """Search the further work trees of the repository, each without its environment and git's file.

    They are numbered, because certificates hold no paths of a machine; the places of hits do.
    """
    away, counts = list(leave_out), {}
    trees = [tree for tree in other_work_trees(repository) if not tree.is_relative_to(repository)]
    for number, tree in enumerate(sorted(trees), start=1):
        count = folder(needles, tree, [*away, tree / ".venv", tree / ".git"])
        count.where = [f"{escape_controls(tree)}/{place}" for place in count.where]
        counts[f"further work tree {number}"] = count
    return counts


def remotes(needles: Needles, repository: Path, cached: Callable[[str, int], bool]) -> dict[str, Count]:
    """Search every DVC remote, S3 included, by listing it and reading each object.

    Args:
        cached: (hash, size) → whether the same object was searched in the local cache already. It is asked only for
            objects whose hash the server itself states (the ETag of an object that was stored in one part).

    Raises:
        AiprodError: DVC does not open the repository.
    """
    counts: dict[str, Count] = {}
    with dvc.remotes(repository) as known:
        for name, connect in known.items():
            count = counts[f"remote {name}"] = Count()
            try:
                _remote(count, needles, *_within(PATIENCE_S, connect), cached)
            except Exception as error:  # whatever a server or its library says; what was found until then counts
                count.skipped = f"cannot be read ({_words(error)})"
    return counts


def _remote(count: Count, needles: Needles, fs: Any, root: str, cached: Callable[[str, int], bool]) -> None:
    base = root.rstrip("/").rsplit(f"/{OBJECTS}", 1)[0]  # the run cache is beside the objects
    if not _within(PATIENCE_S, lambda: fs.exists(base)):
        count.skipped = "there is nothing in it: nothing was pushed to it, or it is not mounted"
        return
    # Local file systems of DVC give paths alone, one by one.
    listed = _within(_LISTING * PATIENCE_S, lambda: fs.find(base, detail=True))
    entries = listed.items() if isinstance(listed, dict) else ((path, fs.info(path)) for path in listed)
    refused = 0
    for path, info in entries:
        place = str(path)[len(base) :].lstrip("/")
        digest = "".join(place.split("/")[-2:])
        size = int(info.get("size") or 0)
        if str(info.get("ETag", "")).strip('"') == digest and cached(digest, size):
            count.objects += 1
            count.bytes += size
            continue
        try:
            add(count, _within(PATIENCE_S + size / _SLOWEST, partial(_object, needles, fs, path, place)))
        except (PermissionError, FileNotFoundError) as error:  # of one object; the others may say more
            refused += 1
            count.skipped = f"{counted(refused, 'object')} cannot be read ({_words(error)})"


def _object(needles: Needles, fs: Any, path: str, place: str) -> Count:
    count = Count()
    with fs.open(path, "rb") as file:
        search_stream(count, needles, place, file)
    return count


def add(count: Count, more: Count) -> None:
    """Add what was found in a part of a store."""
    for kind in ("objects", "bytes", "pieces", "hashes", "names"):
        setattr(count, kind, getattr(count, kind) + getattr(more, kind))
    count.where += more.where[: _WHERE_MOST - len(count.where)]


def _within(seconds: float, ask: Callable[[], T]) -> T:
    """What a server answers. Libraries wait for the next byte, again and again: one that sends a byte now and then, or
    takes a connection and says nothing, would be waited for without end.

    Raises:
        TimeoutError: it did not answer in time; the thread that asked is left behind.
        Exception: whatever its library raises.
    """
    answers: queue.SimpleQueue[tuple[T | None, Exception | None]] = queue.SimpleQueue()

    def asking() -> None:
        try:
            answers.put((ask(), None))
        except Exception as error:  # for whoever waits
            answers.put((None, error))

    threading.Thread(target=asking, daemon=True).start()
    try:
        answer, error = answers.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"no whole answer within {seconds:.0f} s") from None
    if error is not None:
        raise error
    return cast(T, answer)


def _words(error: BaseException) -> str:
    """What a server said; not what its library stumbled over when it heard that."""
    while isinstance(error, LookupError | AttributeError | TypeError) or not str(error).strip():
        if (before := error.__cause__ or error.__context__) is None:
            break
        error = before
    return words_of(error)


@dataclass(frozen=True)
class _Walk:
    """Where a search goes.

    Attributes:
        root: resolved. What a link leads to below it, or below what is left out, is searched there.
        seen: what links have led to, so that none is followed twice.
    """

    root: Path
    away: set[Path]
    count: Count
    seen: set[Path] = field(default_factory=set)

    def follows(self, link: Path) -> bool:
        """Whether what a link leads to is searched for its sake alone."""
        target = link.resolve()
        elsewhere = target in self.seen or any(target.is_relative_to(place) for place in (self.root, *self.away))
        self.seen.add(target)
        return not elsewhere and not self.root.is_relative_to(target)


def _files(root: Path, walk: _Walk) -> Iterator[Path]:
    if not root.is_dir() or root.resolve() in walk.away:
        return
    try:
        with os.scandir(root) as listed:
            entries = sorted(listed, key=lambda entry: entry.name)
    except OSError as error:
        _unread(walk.count, root, error)
        return
    for entry in entries:
        path = Path(entry.path)
        try:
            if entry.is_symlink() and not walk.follows(path):
                continue
            if entry.is_dir():
                yield from _files(path, walk)
            elif entry.is_file() and path.resolve() not in walk.away:
                yield path
        except (OSError, RuntimeError) as error:  # a loop of links is a RuntimeError of older Pythons
            _unread(walk.count, path, error if isinstance(error, OSError) else OSError(0, "a loop of links", str(path)))


def _unpacked(first: bytes, file: IO[bytes]) -> Iterator[bytes]:
    """The text of a table or database."""
    if first[:4] == b"PAR1":
        import pyarrow as pa
        import pyarrow.parquet as pq

        file.seek(0)
        try:
            yield str(pq.read_table(io.BytesIO(file.read())).to_pylist()).encode("utf-8", "surrogatepass")
        except (pa.ArrowException, UnicodeDecodeError, OSError):
            return
    elif first.startswith(b"SQLite format 3\0") and hasattr(file, "name"):
        with private_folder() as place:  # a copy: opening a database may write beside it
            copy = place / "copy.db"
            shutil.copyfile(file.name, copy)
            if Path(f"{file.name}-wal").is_file():
                shutil.copyfile(f"{file.name}-wal", f"{copy}-wal")
            try:
                with closing(sqlite3.connect(copy)) as connection:
                    yield "\n".join(connection.iterdump()).encode("utf-8", "replace")
            except sqlite3.Error:
                return
