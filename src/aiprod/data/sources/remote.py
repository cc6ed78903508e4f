"""Sources that are in a bucket or on a web server, through fsspec: listed by scan, streamed by ingest.

``s3://bucket/prefix`` is every object under the prefix. ``https://host/films/`` is what the index page there links to;
``https://host/films/list.txt`` is a text with one path a line, relative to itself: which of both it is shows in what
the server sends. Credentials and endpoint are those of the usual environment (``AWS_ACCESS_KEY_ID``,
``AWS_ENDPOINT_URL``, ``~/.aws``, ``~/.netrc``).

An object is known by its address, size and ETag (or time of change): its bytes are read once, by ingest.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from aiprod.base.files import contained, digest_of
from aiprod.data.sources.sidecars import MAX_BYTES, OBJECTS
from aiprod.data.sources.web_lists import MAX_LIST, ListedFile, entries
from aiprod.data.sources.web_reservations import (
    MAX_SAID,
    ROBOTS,
    TDMREP,
    SeenHeaders,
    record,
    said_by_page,
    site_rules,
)
from aiprod.errors import AiprodError
from aiprod.media.discovery import is_media, key_of, named_like_a_document
from aiprod.media.errors import MediaError
from aiprod.rights.declarations import SidecarRecord
from aiprod.rights.licence_files import MAX_TEXT
from aiprod.rights.licence_words import quoted
from aiprod.rights.tables import TABLES
from aiprod.storage.crypto.film_encryption import private_folder

_SCHEMES = ("s3://", "http://", "https://")
_STAMPS = ("ETag", "etag", "Last-Modified", "LastModified", "last_modified")
_CHUNK = 4 << 20
_BLOCK = 1 << 16  # received at a time by who reads here and there in a large object
_SIDECARS = TABLES | OBJECTS


@dataclass(frozen=True)
class RemoteFile:
    """One object of a remote source; ``problem`` says why nothing is known of one that is named there, ``said`` what
    its server says of its rights."""

    key: str
    size: int
    stamp: str
    problem: str | None = None
    said: SidecarRecord | None = None

    def digest(self, base: str) -> str:
        """Stands for the content until ingest has read it; another ETag, size or address gives another one."""
        return digest_of(["remote", base, self.key, self.size, self.stamp])


def is_remote(stated: str) -> bool:
    """Whether a source's place is an address and not a folder."""
    return stated.startswith(_SCHEMES)


def base_of(stated: str) -> str:
    """The address that keys are relative to."""
    if stated.startswith("s3://"):
        return stated.rstrip("/")
    return stated.rpartition("/")[0] if urlsplit(stated).path else stated


def address(stated: str, key: str) -> str:
    """The address of one object."""
    return f"{base_of(stated)}/{key if stated.startswith('s3://') else quote(key)}"


def _system(stated: str, seen: SeenHeaders | None = None) -> Any:
    import fsspec

    more = {"client_kwargs": {"trace_configs": [seen.trace()]}} if seen is not None else {}
    return fsspec.filesystem(stated.partition("://")[0], skip_instance_cache=True, use_listings_cache=False, **more)


@contextlib.contextmanager
def _in_words(stated: str) -> Iterator[None]:
    """What servers and libraries raise, as one line.

    Raises:
        AiprodError: the place does not exist, refuses, or does not answer.
    """
    try:
        yield
    except AiprodError:
        raise
    except FileNotFoundError as error:
        said = error.__cause__  # fsspec raises this one for whatever keeps it from describing an object
        if said is not None and _status(said) not in (404, 410):
            raise _unread(stated, said) from None
        raise AiprodError(f"{stated} does not exist", "fix the bucket, prefix or address of the source") from None
    except PermissionError:
        raise AiprodError(
            f"{stated} refuses this key",
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to one that may list and read",
        ) from None
    except Exception as error:  # botocore, aiohttp and fsspec share no base class
        raise _unread(stated, error) from None


def _status(error: BaseException) -> int | None:
    """The HTTP status that an error of aiohttp or botocore stands for."""
    answer = getattr(error, "response", {})
    found = answer.get("ResponseMetadata", {}).get("HTTPStatusCode") if isinstance(answer, dict) else None
    return getattr(error, "status", found)


def _unread(stated: str, error: BaseException) -> AiprodError:
    words = " ".join(str(error).split()) or type(error).__name__
    if "credentials" in words.lower():
        return AiprodError(f"there are no credentials for {stated}", "set AWS_ACCESS_KEY_ID, or run `aws configure`")
    if (status := _status(error)) in (401, 403):
        return AiprodError(f"{stated} refuses access ({status})", "check the credentials")
    return AiprodError(f"{stated} cannot be read ({words[:200]})", "check the address and the network")


def listed(stated: str) -> list[RemoteFile]:
    """Every object of a source, sorted by key. One that is named there and cannot be had comes with its problem.

    Raises:
        AiprodError: the place does not exist, refuses, or does not answer.
    """
    with _in_words(stated):
        if stated.startswith("s3://"):
            return _objects(_system(stated), base_of(stated))
        seen = SeenHeaders()
        system = _system(stated, seen)
        found_at, kind, content = _received(system, stated)
        found = entries(stated, found_at, kind, content)
        rules = site_rules(_asked(system, found_at, TDMREP), _asked(system, found_at, ROBOTS))
        of_all = [seen.of(stated), said_by_page(content) if "html" in kind.lower() else {}]
    files = [_described_or_not(system, stated, entry) for entry in found]
    places = [address(stated, file.key) for file in files]
    return [
        dataclasses.replace(file, said=record(*of_all, seen.of(place), rules.of(place)))
        for file, place in zip(files, places, strict=True)
    ]


def _asked(system: Any, stated: str, path: str) -> tuple[int, str, bytes]:
    """What a server answers where it may speak of all that it has: status (0 for none), type, content."""
    from fsspec.asyn import sync

    parts = urlsplit(stated)

    async def receive() -> tuple[int, str, bytes]:
        session = await system.set_session()
        async with session.get(f"{parts.scheme}://{parts.netloc}{path}") as answer:
            content = bytearray()
            while len(content) <= MAX_SAID and (piece := await answer.content.read(MAX_SAID)):
                content += piece
            return answer.status, str(answer.content_type), bytes(content)

    try:
        received: tuple[int, str, bytes] = sync(system.loop, receive)
    except Exception:  # whatever aiohttp raises: the server did answer before
        return 0, "", b""
    return received


def _objects(system: Any, base: str) -> list[RemoteFile]:
    prefix = base.removeprefix("s3://")
    system.ls(prefix, detail=False)  # says whether the place is there and may be seen; `find` gives nothing instead
    found = system.find(prefix, detail=True)
    files = [
        RemoteFile(name.removeprefix(prefix).removeprefix("/"), int(facts["size"]), _stamp(facts))
        for name, facts in found.items()
        if facts.get("type") == "file" and not name.endswith("/")
    ]
    if not files:
        raise FileNotFoundError(prefix)
    return sorted(files, key=lambda f: f.key)


def _received(system: Any, stated: str) -> tuple[str, str, bytes]:
    """What the server sends: the address that answered in the end, the content's type, and the content."""
    from fsspec.asyn import sync

    async def receive() -> tuple[str, str, bytes]:
        session = await system.set_session()
        async with session.get(system.encode_url(stated)) as answer:
            if answer.status in (404, 410):
                raise FileNotFoundError(stated)
            answer.raise_for_status()
            content = bytearray()
            async for piece in answer.content.iter_chunked(1 << 16):
                content += piece
                if len(content) > MAX_LIST:
                    break
            return str(answer.url), str(answer.content_type), bytes(content)

    received: tuple[str, str, bytes] = sync(system.loop, receive)
    return received


def _described(system: Any, stated: str, key: str) -> RemoteFile:
    facts = system.info(address(stated, key))
    return RemoteFile(key, int(facts["size"] if facts.get("size") is not None else -1), _stamp(facts))


def _described_or_not(system: Any, stated: str, entry: ListedFile) -> RemoteFile:
    """An entry with its size and stamp. A path of which nothing is found as it is written may be an encoded one."""
    if entry.problem is not None:
        return RemoteFile(entry.key, -1, "", entry.problem)
    try:
        with _in_words("it"):
            try:
                return _described(system, stated, entry.key)
            except FileNotFoundError:
                if (decoded := unquote(entry.key)) == entry.key or ".." in decoded.split("/"):
                    raise
                with contextlib.suppress(FileNotFoundError):
                    return _described(system, stated, decoded)
                raise
    except AiprodError as error:
        return RemoteFile(entry.key, -1, "", error.what)


def _stamp(facts: dict[str, Any]) -> str:
    return next((str(facts[name]).strip('"') for name in _STAMPS if facts.get(name)), "")


@contextlib.contextmanager
def sidecar_folder(stated: str, files: list[RemoteFile]) -> Iterator[tuple[Path, dict[str, str]]]:
    """A temporary folder laid out like the source, and keys of files whose content could not be had → why.

    Tables and JSON files are as they are, of other documents the first bytes are there, the rest is empty.
    """
    unread = {file.key: file.problem for file in files if file.problem is not None}
    with private_folder() as private:  # tables name films and say what is in them
        folder, system = private.resolve(), _system(stated)
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
            if file.problem is not None or not named_like_a_document(path):
                continue
            try:
                with _in_words("it"):
                    whole = path.suffix.lower() in _SIDECARS and file.size <= MAX_BYTES
                    place = address(stated, file.key)
                    path.write_bytes(system.cat_file(place) if whole else _head(system, place, file.size))
                    if not whole and path.suffix.lower() in _SIDECARS and not is_media(path):
                        raise AiprodError(f"it has {file.size} bytes, {MAX_BYTES} are read at most")
            except AiprodError as error:
                unread[file.key] = unread[key_of(path, folder)] = error.what
        yield folder, unread


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
        with _in_words(place):
            system = _system(stated)
            file = _described(system, stated, key)
            if file.digest(base_of(stated)) != digest:
                raise MediaError("unreadable", "the object changed since it was listed", "run again")
            _stream(system, place, file.size, part)
    except AiprodError as error:
        raise MediaError("unreadable", error.what, error.hint) from None
    got = part.stat().st_size
    if file.size >= 0 and got != file.size:
        if got > file.size:
            part.unlink()
        raise MediaError(
            "unreadable", f"the transfer ended after {got} of {file.size} bytes", "run again to go on with it"
        )
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


def described(stated: str, key: str) -> RemoteFile:
    """One object as it is now.

    Raises:
        AiprodError: it is not there, or the server refuses or does not answer.
    """
    with _in_words(address(stated, key)):
        return _described(_system(stated), stated, key)


@contextlib.contextmanager
def opened(stated: str, key: str, whole: bool = False) -> Iterator[io.RawIOBase]:
    """One object, to be read from any position by ranges; where the server knows none, skipped parts are received.

    Args:
        whole: whether long stretches are read, rather than a little here and there.

    Raises:
        AiprodError: it is not there, the server refuses or does not answer, or what is read breaks off.
    """
    place = address(stated, key)
    with _in_words(place):
        system = _system(stated)
        file = _Positioned(system, place, _described(system, stated, key).size, _CHUNK if whole else _BLOCK)
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
