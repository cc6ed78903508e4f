"""Lists and index pages of web servers are read as browsers read them, and every entry has a row."""

from __future__ import annotations

import contextlib
import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiprod.data.sources.remote import address, listed
from aiprod.data.sources.web_lists import ListedFile, entries
from aiprod.errors import AiprodError

HERE = "http://host/films/"
ODD = [
    "a&b.mp4",
    "it's.mp4",
    "what?.mp4",
    "100%.mp4",
    "a b.mp4",
    'quo"te.mp4',
    "hash#.mp4",
    "ä ö.mp4",
    "<b>.mp4",
    "a;b,c.mp4",
]


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    folder = tmp_path / "www" / "films"
    folder.mkdir(parents=True)
    for name in ODD:
        (folder / name).write_bytes(name.encode())
    with serving(tmp_path / "www") as root:
        yield root, folder


def test_odd_names_of_an_index_page_are_the_files_names(site: tuple[str, Path]) -> None:
    root, folder = site
    found = listed(f"{root}/films/")
    assert {file.key for file in found} == set(ODD)
    assert {file.key: (file.size, file.problem) for file in found} == {
        name: ((folder / name).stat().st_size, None) for name in ODD
    }


def test_an_address_without_its_slash_is_read_as_browsers_do(site: tuple[str, Path]) -> None:
    root, _ = site
    found = listed(f"{root}/films")
    assert {file.key for file in found} == {f"films/{name}" for name in ODD}
    assert not any(file.problem for file in found)
    assert [(file.key, "folder" in (file.problem or "")) for file in listed(root)] == [("films/", True)]


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("form", ["plain", "find", "addresses", "encoded", "absolute"])
def test_lists_of_every_form_name_the_same_files(site: tuple[str, Path], form: str, newline: str, mark: str) -> None:
    root, folder = site
    names = [name for name in ODD if form == "plain" or not name.startswith("#")]
    lines = {
        "plain": names,
        "find": [".", *(f"./{name}" for name in names)],
        "addresses": [f"{root}/films/{quote(name)}" for name in names],
        "encoded": [quote(name) for name in names],
        "absolute": [f"/films/{quote(name)}" for name in names],
    }[form]
    (folder / "list.txt").write_bytes((mark + newline.join(lines) + newline).encode())
    found = listed(f"{root}/films/list.txt")
    assert sorted(file.key for file in found) == sorted(names)
    assert all(file.problem is None for file in found)


def test_folders_and_queries_have_a_row_and_navigation_has_none() -> None:
    page = (
        "<html><a href='?C=N;O=D'>Name</a><a href='/'>Parent</a><a href='../'>Up</a><a href='#top'>Top</a>"
        "<a href='mailto:x@y'>x</a><a href='https://elsewhere/films/x.mp4'>x</a><a href=''>here</a>"
        "<A HREF='a.mp4'>a</A><a href='sub/'>sub/</a><a href='b.mp4?key=1'>b</a><a href='a.mp4#t=3'>again</a>"
    )
    found = {entry.key: entry.problem for entry in entries(HERE, HERE, "text/html", page.encode())}
    assert set(found) == {"a.mp4", "sub/", "b.mp4?key=1"}
    assert found["a.mp4"] is None and "folder" in (found["sub/"] or "") and "query" in (found["b.mp4?key=1"] or "")


def test_a_page_where_a_list_was_asked_for_is_no_list_of_lines() -> None:
    page = b"<!DOCTYPE html>\n<html>\n<body>\n<a href='a.mp4'>a</a>\n</body>\n</html>\n"
    assert entries(HERE + "list.txt", HERE + "list.txt", "text/plain", page) == [ListedFile("a.mp4")]


def test_a_server_that_sends_on_elsewhere_is_named() -> None:
    with pytest.raises(AiprodError, match="sends on to"):
        entries(HERE, "http://host/login/", "text/html", b"<a href='x.mp4'>x</a>")
    assert entries(HERE, "https://host/films/", "text/html", b"<a href='x.mp4'>x</a>") == [ListedFile("x.mp4")]


@pytest.mark.parametrize(
    "line", ["../a.mp4", "/other/a.mp4", "http://elsewhere/films/a.mp4", "x/../../a.mp4", "file:///etc/a"]
)
def test_what_lies_outside_of_a_list_is_refused(line: str) -> None:
    with pytest.raises(AiprodError, match="outside"):
        entries(HERE + "list.txt", HERE + "list.txt", "text/plain", line.encode())


@settings(deadline=None)
@given(
    st.text(
        st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"], exclude_characters="/\\"), min_size=1, max_size=20
    )
)
def test_any_name_on_a_page_comes_back(name: str) -> None:
    if name in (".", ".."):
        return
    page = f'<html><a href="{quote(name)}">x</a>'.encode()
    assert entries(HERE, HERE, "text/html", page) == [ListedFile(name)]
    assert address(HERE, name) == HERE + quote(name)


@pytest.mark.parametrize("place", ["s3://", "https://", "http:///films/"])
def test_an_address_without_bucket_or_host_is_refused_in_own_words(place: str) -> None:
    with pytest.raises(AiprodError, match=r"names no (bucket|host) → write (s3|https)://"):
        listed(place)


@pytest.mark.parametrize("name", ["films.csv", "metadata.JSONL", "films.parquet"])
def test_the_lines_of_a_table_are_not_taken_for_films(name: str) -> None:
    table = b"file;licence\na.mp4;CC BY 4.0\n"
    with pytest.raises(AiprodError, match="is a table, and no list of films → state the folder"):
        entries(HERE + name, HERE + name, "text/csv", table)
    assert entries(HERE + "list.txt", HERE + "list.txt", "text/plain", b"a.mp4\n") == [ListedFile("a.mp4")]
