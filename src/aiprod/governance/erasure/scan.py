"""Looks for needles in every store: working tree, DVC's cache and remotes, memo, MLflow, state, git history.

Files are searched as they are; Parquet and SQLite are read and searched as text too, because they pack or split it.
Other compressed containers are searched as they are only, which docs/erasure.md says.
"""

from __future__ import annotations

import io
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from aiprod.errors import words_of
from aiprod.governance.erasure.search_patterns import Needles
from aiprod.printable import counted, escape_controls
from aiprod.repo import dvc
from aiprod.repo.dvc import OBJECTS
from aiprod.repo.git import common_folder, every_object, other_work_trees
from aiprod.storage.crypto.film_encryption import private_folder

_BLOCK = 64 << 20
_WHERE_MOST = 20


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
    """Search every file below a folder."""
    count, away = Count(), {p.resolve() for p in leave_out}
    for path in _files(root, away, count):
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
                _remote(count, needles, *connect(), cached)
            except Exception as error:  # whatever a server or its library says; what was found until then counts
                count.skipped = f"cannot be read ({_words(error)})"
    return counts


def _remote(count: Count, needles: Needles, fs: Any, root: str, cached: Callable[[str, int], bool]) -> None:
    base = root.rstrip("/").rsplit(f"/{OBJECTS}", 1)[0]  # the run cache is beside the objects
    if not fs.exists(base):
        count.skipped = "there is nothing in it: nothing was pushed to it, or it is not mounted"
        return
    listed = fs.find(base, detail=True)  # local file systems of DVC give paths alone, one by one
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
            with fs.open(path, "rb") as file:
                search_stream(count, needles, place, file)
        except (PermissionError, FileNotFoundError) as error:  # of one object; the others may say more
            refused += 1
            count.skipped = f"{counted(refused, 'object')} cannot be read ({_words(error)})"


def _words(error: BaseException) -> str:
    """What a server said; not what its library stumbled over when it heard that."""
    while isinstance(error, LookupError | AttributeError | TypeError) or not str(error).strip():
        if (before := error.__cause__ or error.__context__) is None:
            break
        error = before
    return words_of(error)


def _files(root: Path, away: set[Path], count: Count) -> Iterator[Path]:
    if not root.is_dir() or root.resolve() in away:
        return
    try:
        with os.scandir(root) as listed:
            entries = sorted(listed, key=lambda entry: entry.name)
    except OSError as error:
        _unread(count, root, error)
        return
    for entry in entries:
        path = Path(entry.path)
        if entry.is_dir(follow_symlinks=False):
            yield from _files(path, away, count)
        elif entry.is_file(follow_symlinks=False) and path.resolve() not in away:
            yield path


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
