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
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from aiprod.base.addresses import split_address
from aiprod.base.files import digest_of
from aiprod.data.sources.web_lists import MAX_LIST, ListedFile, entries
from aiprod.data.sources.web_reservations import (
    MAX_SAID,
    ROBOTS,
    TDMREP,
    SeenHeaders,
    record,
    site_rules,
    statement_from_page,
)
from aiprod.errors import AiprodError
from aiprod.rights.declarations import SidecarRecord

_SCHEMES = ("s3://", "http://", "https://")
_STAMPS = ("ETag", "etag", "Last-Modified", "LastModified", "last_modified")


@dataclass(frozen=True)
class RemoteFile:
    """One object of a remote source.

    Attributes:
        problem: why nothing is known of an object that a list names.
        statement: what its server says of its rights.
    """

    key: str
    size: int
    stamp: str
    problem: str | None = None
    statement: SidecarRecord | None = None

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
    return stated.rpartition("/")[0] if split_address(stated).path else stated


def address(stated: str, key: str) -> str:
    """The address of one object."""
    return f"{base_of(stated)}/{key if stated.startswith('s3://') else quote(key)}"


def system_of(stated: str, seen: SeenHeaders | None = None) -> Any:
    """The file system that a source is in, without caches: what is there now counts."""
    import fsspec

    more = {"client_kwargs": {"trace_configs": [seen.trace()]}} if seen is not None else {}
    return fsspec.filesystem(stated.partition("://")[0], skip_instance_cache=True, use_listings_cache=False, **more)


@contextlib.contextmanager
def in_words(stated: str) -> Iterator[None]:
    """What servers and libraries raise, as one line.

    Raises:
        AiprodError: the place does not exist, refuses, or does not answer.
    """
    try:
        yield
    except AiprodError:
        raise
    except FileNotFoundError as error:
        cause = error.__cause__  # fsspec raises this one for whatever keeps it from describing an object
        if cause is not None and _status(cause) not in (404, 410):
            raise _unread(stated, cause) from None
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
    status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode") if isinstance(answer, dict) else None
    return getattr(error, "status", status)


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
        AiprodError: the address names no bucket or host, or the place does not exist, refuses, or does not answer.
    """
    if not split_address(stated).netloc:
        kind, wanted = ("bucket", "s3://BUCKET/PREFIX") if stated.startswith("s3://") else ("host", "https://HOST/PATH")
        raise AiprodError(f"{stated} names no {kind}", f"write {wanted}")
    with in_words(stated):
        if stated.startswith("s3://"):
            return _objects(system_of(stated), base_of(stated))
        seen = SeenHeaders()
        system = system_of(stated, seen)
        found_at, kind, content = _received(system, stated)
        listed_files = entries(stated, found_at, kind, content)
        rules = site_rules(_request(system, found_at, TDMREP), _request(system, found_at, ROBOTS))
        of_all = [seen.of(stated), statement_from_page(content) if "html" in kind.lower() else {}]
    files = [_described_or_not(system, stated, entry) for entry in listed_files]
    places = [address(stated, file.key) for file in files]
    return [
        dataclasses.replace(file, statement=record(*of_all, seen.of(place), rules.of(place)))
        for file, place in zip(files, places, strict=True)
    ]


def _request(system: Any, stated: str, path: str) -> tuple[int, str, bytes]:
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
    objects = system.find(prefix, detail=True)
    files = [
        RemoteFile(name.removeprefix(prefix).removeprefix("/"), int(facts["size"]), _stamp(facts))
        for name, facts in objects.items()
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


def describe(system: Any, stated: str, key: str) -> RemoteFile:
    """One object as its server describes it."""
    facts = system.info(address(stated, key))
    return RemoteFile(key, int(facts["size"] if facts.get("size") is not None else -1), _stamp(facts))


def _described_or_not(system: Any, stated: str, entry: ListedFile) -> RemoteFile:
    """An entry with its size and stamp. A path of which nothing is found as it is written may be an encoded one."""
    if entry.problem is not None:
        return RemoteFile(entry.key, -1, "", entry.problem)
    try:
        with in_words("it"):
            try:
                return describe(system, stated, entry.key)
            except FileNotFoundError:
                if (decoded := unquote(entry.key)) == entry.key or ".." in decoded.split("/"):
                    raise
                with contextlib.suppress(FileNotFoundError):
                    return describe(system, stated, decoded)
                raise
    except AiprodError as error:
        return RemoteFile(entry.key, -1, "", error.what)


def _stamp(facts: dict[str, Any]) -> str:
    return next((str(facts[name]).strip('"') for name in _STAMPS if facts.get(name)), "")


def described(stated: str, key: str) -> RemoteFile:
    """One object as it is now.

    Raises:
        AiprodError: it is not there, or the server refuses or does not answer.
    """
    with in_words(address(stated, key)):
        return describe(system_of(stated), stated, key)
