"""What a web server says is there: an index page, read as browsers do, or a text with one path or address a line.

Every entry becomes a key relative to the folder of the stated address, decoded; what cannot be fetched under it becomes
one with its problem. Navigation of an index page (its own columns, the folder above, other hosts) is no entry.
"""

from __future__ import annotations

import posixpath
from html.parser import HTMLParser
from pathlib import PurePosixPath
from typing import NamedTuple
from urllib.parse import unquote, urljoin, urlsplit

from aiprod.errors import AiprodError
from aiprod.rights.licence_words import quoted

_QUERY = "its address has a query, by which nothing is fetched"
FOLDER = "it is a folder, which is not looked into: make it a source of its own, or list its films"
"""The problem of a link to a folder."""
MAX_LIST = 64 << 20  # bytes of a list or an index page
_TABLES = (".csv", ".tsv", ".json", ".jsonl", ".parquet", ".xlsx", ".yaml", ".yml")
_PAGE = ("<!doctype html", "<html", "<?xml", "<head", "<body")


class ListedFile(NamedTuple):
    """One entry: its key, and why it cannot be had, if that shows already."""

    key: str
    problem: str | None = None


def entries(stated: str, found_at: str, kind: str, content: bytes) -> list[ListedFile]:
    """The entries of what was received, sorted by key.

    Args:
        stated: the address that the source states; keys are relative to its folder.
        found_at: the address that answered, after any redirection.
        kind: the type that the server gave the content.

    Raises:
        AiprodError: the address is of a table, a list names what is outside of its folder, or the server sent on to
            another place.
    """
    if len(content) > MAX_LIST:
        raise AiprodError(f"{stated} has more than {MAX_LIST} bytes, which are read at most", "divide it")
    text = content.decode("utf-8-sig", "replace")
    page = "html" in kind.lower() or text.lstrip()[:20].lower().startswith(_PAGE)
    if not page and urlsplit(stated).path.lower().endswith(_TABLES):
        raise AiprodError(
            f"{stated} is a table, and no list of films",
            "state the folder in which it is, whose page links to it and to the films, or a text with one path a line",
        )
    expected = {_folder(stated), unquote(urlsplit(stated).path).rstrip("/") + "/"}
    if _folder(found_at) not in expected:
        raise AiprodError(f"{stated} sends on to {found_at}", "state that address, if it is the right one")
    return sorted(set(_of_page(stated, found_at, text) if page else _of_list(stated, found_at, text)))


def _of_page(stated: str, found_at: str, text: str) -> list[ListedFile]:
    """What an index page links to."""
    reader = _Links()
    reader.feed(text)
    reader.close()
    here = urljoin(found_at, reader.base) if reader.base else found_at
    files = []
    for link in reader.links:
        address = _address(here, link)
        if address is None:
            continue
        key = _key(stated, found_at, address)
        if key is None or (urlsplit(address).query and address.partition("?")[0].rstrip("/") == here.rstrip("/")):
            continue
        if urlsplit(address).query:
            files.append(ListedFile(f"{key}?{urlsplit(address).query}", _QUERY))
        elif key.endswith("/"):
            files.append(ListedFile(key, FOLDER))
        elif key:
            files.append(ListedFile(key))
    return files


def _of_list(stated: str, found_at: str, text: str) -> list[ListedFile]:
    """What a text names: paths as they are, or whole addresses, which are encoded."""
    files = []
    for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        name = line.strip()
        if not name or name.startswith("#"):
            continue
        if "://" in name or name.startswith("/"):
            address = _address(found_at, name)
            key = _key(stated, found_at, address) if address is not None else None
            if address is not None and key and urlsplit(address).query:
                files.append(ListedFile(f"{key}?{urlsplit(address).query}", _QUERY))
                continue
        else:
            path = posixpath.normpath(name)
            key = None if path.split("/")[0] == ".." else path.removeprefix(".") if path == "." else path
        if key is None:
            what = f"{stated} names {quoted(name)}, which is outside it"
            raise AiprodError(what, "list paths relative to the list")
        if key and not name.endswith("/"):
            files.append(ListedFile(key))
    folders = {str(parent) for entry in files for parent in PurePosixPath(entry.key).parents}
    return [entry for entry in files if entry.key not in folders]  # `find .` prints folders, too


def _address(here: str, link: str) -> str | None:
    """Where a link leads, as a browser follows it; None where that is no page on the web."""
    try:
        address = urljoin(here, link.strip("\t\n\f\r "))
        parts = urlsplit(address)
    except ValueError:
        return None
    if parts.scheme not in ("http", "https"):
        return None
    return address.partition("#")[0]


def _key(stated: str, found_at: str, address: str) -> str | None:
    """The path of an address relative to the stated folder, decoded; None where it is outside of it.

    A server that sends from http to https, or from ``films`` to ``films/``, still means the same folder.
    """
    parts, allowed = urlsplit(address), {_host(stated), _host(found_at)}
    folder, path = _folder(stated), unquote(parts.path)
    if _host(address) not in allowed or not path.startswith(folder):
        return None
    key = path[len(folder) :]
    return None if ".." in key.split("/") else key


def _folder(address: str) -> str:
    return unquote(urlsplit(address).path.rpartition("/")[0]) + "/"


def _host(address: str) -> str:
    return urlsplit(address).netloc.lower().removesuffix(":443").removesuffix(":80")


class _Links(HTMLParser):
    """The addresses that a page's links lead to, character references resolved."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.links: list[str] = []
        self.base: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        target = dict(attrs).get("href")
        if target is None:
            return
        if tag == "a":
            self.links.append(target)
        elif tag == "base" and self.base is None:
            self.base = target
