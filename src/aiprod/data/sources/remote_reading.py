"""Reads objects of remote sources: documents by scan, films by ingest, parts of archives where they lie."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from aiprod.base.files import contained
from aiprod.data.sources.other_files import is_film_or_picture
from aiprod.data.sources.remote import RemoteFile, address, base_of, describe, in_words, system_of
from aiprod.data.sources.sidecars import MAX_BYTES, OBJECTS
from aiprod.errors import AiprodError
from aiprod.media.discovery import is_media, key_of, named_like_a_document
from aiprod.media.errors import MediaError
from aiprod.rights.licence_files import MAX_TEXT
from aiprod.rights.licence_words import quoted
from aiprod.rights.tables import TABLES
from aiprod.storage.crypto.film_encryption import private_folder

_CHUNK = 4 << 20
_BLOCK = 1 << 16  # received at a time when little is read here and there in a large object
_SIDECARS = TABLES | OBJECTS


@contextlib.contextmanager
def sidecar_folder(stated: str, files: list[RemoteFile]) -> Iterator[tuple[Path, dict[str, str]]]:
    """A temporary folder laid out like the source, and keys of files whose content could not be had → why.

    Tables and JSON files are as they are, of other documents the first bytes are there, the rest is empty.
    """
    unread = {file.key: file.problem for file in files if file.problem is not None}
    with private_folder() as private:  # tables name films and say what is in them
        folder, system = private.resolve(), system_of(stated)
        for file in files:
            try:
                path = contained(folder, file.key)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch(exist_ok=False)
            except (AiprodError, OSError, ValueError):  # in a bucket `a`, `a/b` and `a//b` are objects, and `../c` is
                if PurePosixPath(file.key).suffix.lower() in TABLES:
                    what = f"the table {quoted(file.key)} has a name that no file in a folder can have"
                    raise AiprodError(what, "rename it, so that what it says of films can be read") from None
                unread[file.key] = "its name is none that a file in a folder can have"
                continue
            if file.problem is not None:
                unread[key_of(path, folder)] = file.problem
            if file.problem is not None or not (named_like_a_document(path) or _may_hold_words(path, file.size)):
                continue
            try:
                with in_words("it"):
                    whole = path.suffix.lower() in _SIDECARS and file.size <= MAX_BYTES
                    place = address(stated, file.key)
                    path.write_bytes(system.cat_file(place) if whole else _head(system, place, file.size))
                    if not whole and path.suffix.lower() in _SIDECARS and not is_media(path):
                        raise AiprodError(f"it has {file.size} bytes, {MAX_BYTES} are read at most")
            except AiprodError as error:
                unread[file.key] = unread[key_of(path, folder)] = error.what
        yield folder, unread


def _may_hold_words(path: Path, size: int) -> bool:
    """Whether an object may be a text that speaks of films, by its name: a copy of a table, subtitles, and the like."""
    return path.suffix != "" and 0 < size <= MAX_BYTES and not is_film_or_picture(path.name)


def _head(system: Any, place: str, size: int) -> bytes:
    """The first bytes of an object, without receiving the rest."""
    if size == 0:
        return b""
    if place.startswith("s3://"):
        return bytes(system.cat_file(place, start=0, end=MAX_TEXT + 1))
    with system.open(place, "rb", block_size=0) as file:
        return bytes(file.read(MAX_TEXT + 1))


def fetch(stated: str, key: str, digest: str, part: Path, target: Path) -> None:
    """Stream one object to ``target``, in bounded memory, whole or not at all.

    What was received before a transfer broke off stays in ``part`` and is gone on with where the server allows ranges.

    Args:
        digest: what scan knew the object by.

    Raises:
        MediaError: it changed since the scan, or the transfer was cut short.
    """
    place = address(stated, key)
    try:
        with in_words(place):
            system = system_of(stated)
            file = describe(system, stated, key)
            if file.digest(base_of(stated)) != digest:
                raise MediaError("unreadable", "the object changed since it was listed", "run again")
            _stream(system, place, file.size, part)
            if describe(system, stated, key).digest(base_of(stated)) != digest:
                part.unlink(missing_ok=True)  # it is asked for in pieces: some are of the one, some of the other
                raise MediaError("unreadable", "the object changed while it was read", "run again")
    except AiprodError as error:
        raise MediaError("unreadable", error.what, error.hint) from None
    got = part.stat().st_size
    if file.size >= 0 and got != file.size:
        if got > file.size:
            part.unlink()
        raise MediaError("unreadable", f"the transfer ended after {got} of {file.size} bytes", "run again to resume it")
    os.replace(part, target)


def _stream(system: Any, place: str, size: int, part: Path) -> None:
    part.parent.mkdir(parents=True, exist_ok=True)
    have = part.stat().st_size if part.exists() else 0
    if 0 <= size < have:
        have = 0
    if place.startswith("s3://"):
        with open(part, "r+b" if have else "wb") as out:
            out.seek(have)
            while have < size:
                data = system.cat_file(place, start=have, end=min(size, have + _CHUNK))
                if not data:
                    return
                out.write(data)
                have += len(data)
        return
    if have and have == size:
        return
    with contextlib.ExitStack() as stack:
        try:
            source = stack.enter_context(system.open(place, "rb", block_size=_CHUNK, size=size))
            if have:
                source.seek(have)
                first = source.read(_CHUNK)
        except ValueError:  # the server knows no ranges: once more from the beginning
            have = 0
        if not have:
            source = stack.enter_context(system.open(place, "rb", block_size=0))
            first = source.read(_CHUNK)
        with open(part, "r+b" if have else "wb") as out:
            out.seek(have)
            while first:
                out.write(first)
                first = source.read(_CHUNK)


@contextlib.contextmanager
def opened(stated: str, key: str, whole: bool = False) -> Iterator[io.RawIOBase]:
    """One object, to be read from any position by ranges; where the server knows none, skipped parts are received.

    Args:
        whole: whether long stretches are read, rather than a little here and there.

    Raises:
        AiprodError: it is not there, the server refuses or does not answer, or what is read breaks off.
    """
    place = address(stated, key)
    with in_words(place):
        system = system_of(stated)
        file = _Positioned(system, place, describe(system, stated, key).size, _CHUNK if whole else _BLOCK)
        try:
            yield file
        finally:
            file.close()


class _Positioned(io.RawIOBase):
    """An object on a server as a file with positions."""

    def __init__(self, system: Any, place: str, size: int, block: int) -> None:
        super().__init__()
        self._block = block
        self._system, self._place, self._size = system, place, size
        self._wanted = 0
        self._file: Any = None
        self._at: int | None = None  # of a stream that only goes forward; None where there are ranges

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._wanted

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_END and self._size < 0:
            raise OSError("the server does not say how long it is")
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._wanted, os.SEEK_END: self._size}[whence]
        self._wanted = max(0, start + offset)
        return self._wanted

    def readinto(self, buffer: Any) -> int:
        data = self._read(len(buffer))
        buffer[: len(data)] = data
        self._wanted += len(data)
        return len(data)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        super().close()

    def _read(self, count: int) -> bytes:
        if 0 <= self._size <= self._wanted:
            return b""
        if self._at is None:
            try:
                if self._file is None:
                    self._file = self._system.open(self._place, "rb", block_size=self._block)
                self._file.seek(self._wanted)
                return bytes(self._file.read(count))
            except ValueError:  # the server knows no ranges
                self._file = None
        if self._file is None or self._at is None or self._at > self._wanted:
            if self._file is not None:
                self._file.close()
            self._file, self._at = self._system.open(self._place, "rb", block_size=0), 0
        while self._at < self._wanted:
            skipped = self._file.read(min(_CHUNK, self._wanted - self._at))
            if not skipped:
                return b""
            self._at += len(skipped)
        data = bytes(self._file.read(count))
        self._at += len(data)
        return data
