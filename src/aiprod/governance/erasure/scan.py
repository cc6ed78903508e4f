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
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any, TypeVar, cast

import numpy as np

from aiprod.errors import words_of
from aiprod.governance.erasure.search_patterns import CONSENTS, Needles
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
_ROWS = 1 << 14  # of a table that are searched at a time
_WHERE_MOST = 20
T = TypeVar("T")


@dataclass
class Count:
    """What was found in one store.

    Attributes:
        consents: objects that bear the id of a kept consent record and, by what they hold, nothing of the film.
        skipped: why it was not searched, else empty.
        where: the first places of hits.
    """

    objects: int = 0
    bytes: int = 0
    pieces: int = 0
    hashes: int = 0
    names: int = 0
    consents: int = 0
    skipped: str = ""
    where: list[str] = field(default_factory=list)

    @property
    def hits(self) -> int:
        """Objects with pieces, hashes or names in the clear, each kind counted."""
        return self.pieces + self.hashes + self.names


@dataclass(frozen=True)
class Content:
    """What one object holds, as it is stored and, of a table or database, unpacked."""

    size: int
    stored: tuple[str, ...]
    unpacked: tuple[str, ...]


Links = dict[tuple[int, ...], Content]
"""Files with several names that were searched under one of them: shards lie in a folder, the cache and the state."""


def search_stream(count: Count, needles: Needles, place: str, file: IO[bytes], links: Links | None = None) -> None:
    """Search one object and the place's own name.

    Args:
        links: what is known of files by other names, which grows; only of files on a disk.
    """
    count.objects += 1
    name = os.fsencode(place)  # names of files may be no text
    flat = name.replace(b"/", b"")  # DVC splits a hash into folder and name
    place = escape_controls(place)
    called: list[str] = []
    if any(needle in flat for needle in needles.hashes) or any(
        needle in name for needle in needles.names | needles.consents
    ):
        called = needles.in_data(flat + b"\n" + name)
    content = _search_linked(needles, file, links) if links is not None else _search(needles, file)
    count.bytes += content.size
    count.consents += any(CONSENTS in kinds for kinds in (called, content.stored, content.unpacked))
    for kinds in (called, content.stored, content.unpacked):
        _tell(count, place, [kind for kind in kinds if kind != CONSENTS])


def _tell(count: Count, place: str, kinds: Sequence[str]) -> None:
    for kind in kinds:
        setattr(count, kind, getattr(count, kind) + 1)
    if kinds and len(count.where) < _WHERE_MOST:
        count.where.append(f"{place} ({', '.join(kinds)})")


def _search_linked(needles: Needles, file: IO[bytes], links: Links) -> Content:
    about = os.fstat(file.fileno())
    if about.st_nlink == 1:
        return _search(needles, file)
    mark = (about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns)
    if mark not in links:
        links[mark] = _search(needles, file)
    return links[mark]


def _search(needles: Needles, file: IO[bytes]) -> Content:
    """Search in blocks that overlap by the longest needle."""
    tail, first, size = b"", b"", 0
    stored: list[str] = []
    while block := file.read(_BLOCK):
        first = first or block[:16]
        size += len(block)
        stored += needles.in_data(tail + block)
        tail = block[-needles.longest :] if needles.longest else b""
    unpacked = [kind for text in _unpacked(needles, first, file) for kind in needles.in_data(text)]
    if needles.ids and (CONSENTS in stored or CONSENTS in unpacked):
        file.seek(0)
        beside = _search(needles.of_ids, file)
        if beside.stored or beside.unpacked:  # it says whose consent this film rested on
            stored, unpacked = (["names" if k == CONSENTS else k for k in kinds] for kinds in (stored, unpacked))
    return Content(size, tuple(dict.fromkeys(stored)), tuple(dict.fromkeys(unpacked)))


def folder(needles: Needles, root: Path, leave_out: Iterable[Path] = (), links: Links | None = None) -> Count:
    """Search every file below a folder, and what links in it lead to outside of it."""
    count, away = Count(), {p.resolve() for p in leave_out}
    for path in _files(root, _Walk(root.resolve(), away, count)):
        try:
            with open(path, "rb") as file:
                search_stream(count, needles, path.relative_to(root).as_posix(), file, links)
        except OSError as error:
            _unread(count, path, error)
    return count


def _unread(count: Count, path: Path, error: OSError) -> None:
    if not count.skipped:  # one is enough to say that the store was not searched whole
        count.skipped = f"{escape_controls(path)} cannot be read ({error.strerror})"


def git_history(needles: Needles, repository: Path, links: Links | None = None) -> Count:
    """Search every object git holds, reachable or not: contents, names of files, messages; and its own files.

    Its own files are the list of what is staged, the log of every branch, and the stores of extensions such as LFS.
    """
    own = common_folder(repository)
    if own is None:
        return Count(skipped="there is no git repository here, or git does not run")
    count = folder(needles, own, [own / "objects"], links)
    try:
        for name, data in every_object(repository):
            search_stream(count, needles, name, io.BytesIO(data))
    except (OSError, ValueError) as error:
        count.skipped = f"{error}" if isinstance(error, ValueError) else "git does not run here"
    return count


def work_trees(
    needles: Needles, repository: Path, leave_out: Iterable[Path], links: Links | None = None
) -> dict[str, Count]:
    """Search the further work trees of the repository, each without its environment and git's file.

    They are numbered, because certificates hold no paths of a machine; the places of hits do.
    """
    away, counts = list(leave_out), {}
    trees = [tree for tree in other_work_trees(repository) if not tree.is_relative_to(repository)]
    for number, tree in enumerate(sorted(trees), start=1):
        count = folder(needles, tree, [*away, tree / ".venv", tree / ".git"], links)
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
    for kind in ("objects", "bytes", "pieces", "hashes", "names", "consents"):
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
    while isinstance(error, LookupError | AttributeError | TypeError) or str(error).strip() in ("", "None"):
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
    names = {path.name for path in walk.away}  # resolving every path of a million takes longer than reading them
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
            elif entry.is_file() and not ((entry.name in names or entry.is_symlink()) and path.resolve() in walk.away):
                yield path
        except (OSError, RuntimeError) as error:  # a loop of links is a RuntimeError of older Pythons
            _unread(walk.count, path, error if isinstance(error, OSError) else OSError(0, "a loop of links", str(path)))


def _unpacked(needles: Needles, first: bytes, file: IO[bytes]) -> Iterator[bytes]:
    """The text of a table or database where it holds something."""
    if first[:4] == b"PAR1":
        yield from _cells_of_table(needles, file)
    elif first.startswith(b"SQLite format 3\0") and hasattr(file, "name"):
        with private_folder() as place:  # a copy: opening a database may write beside it
            copy = place / "copy.db"
            shutil.copyfile(file.name, copy)
            if Path(f"{file.name}-wal").is_file():
                shutil.copyfile(f"{file.name}-wal", f"{copy}-wal")
            yield from _cells_of_database(copy)


def _cells_of_table(needles: Needles, file: IO[bytes]) -> Iterator[bytes]:
    """Cells of the columns in which something stands. They are searched as they lie in memory, one behind the other:
    making a million rows into Python's values takes minutes and gigabytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file.seek(0)
    try:
        with pq.ParquetFile(file) as table:
            for batch in table.iter_batches(batch_size=_ROWS):
                for column in batch.columns:
                    for whole, cells in _texts(column):
                        if needles.in_data(whole):  # or the end of one cell and the start of the next look like it
                            yield b"\n".join(cell for cell in cells.cast(pa.large_binary()).to_pylist() if cell)
    except (pa.ArrowException, OSError):
        return


def _texts(column: Any) -> Iterator[tuple[bytes, Any]]:
    """The text below a column, however nested: all of it, and by cells."""
    import pyarrow as pa

    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        yield from _texts(column.storage)
    elif pa.types.is_dictionary(kind):
        yield from _texts(column.dictionary)
    elif pa.types.is_struct(kind):
        for part in column.flatten():
            yield from _texts(part)
    elif pa.types.is_map(kind):
        yield from _texts(column.keys)
        yield from _texts(column.items)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        yield from _texts(column.flatten())
    elif pa.types.is_fixed_size_binary(kind):
        yield from _texts(column.cast(pa.binary()))
    elif any(is_text(kind) for is_text in (pa.types.is_string, pa.types.is_large_string)) or any(
        is_bytes(kind) for is_bytes in (pa.types.is_binary, pa.types.is_large_binary)
    ):
        _, offsets, data = column.buffers()
        wide = pa.types.is_large_string(kind) or pa.types.is_large_binary(kind)
        ends = np.frombuffer(offsets or b"", np.int64 if wide else np.int32)
        if data is not None and len(ends) > column.offset + len(column):
            first, last = int(ends[column.offset]), int(ends[column.offset + len(column)])
            yield data.slice(first, last - first).to_pybytes(), column


def _cells_of_database(path: Path) -> Iterator[bytes]:
    """Texts and blobs of every table, some at a time; what stands in overflow pages is in one piece here."""
    try:
        with closing(sqlite3.connect(path)) as connection:
            connection.text_factory = bytes
            tables = connection.execute("select name, sql from sqlite_master where type = 'table'").fetchall()
            yield b"\n".join(sql for _, sql in tables if sql)
            for name, _ in tables:
                quoted = name.decode("utf-8", "replace").replace('"', '""')
                with suppress(sqlite3.Error):  # a table of an extension that is not here
                    rows = connection.execute(f'select * from "{quoted}"')  # noqa: S608 - a name cannot be bound
                    while some := rows.fetchmany(_ROWS):
                        yield b"\n".join(cell for row in some for cell in row if isinstance(cell, bytes))
    except sqlite3.Error:
        return
