"""Whatever lies beside a film and may speak of it is understood, or is named and never taken for silence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aiprod.data.sources.sidecars import read_sidecars
from aiprod.errors import AiprodError
from aiprod.rights.effective_right import effective_right
from tests.rights.test_statements import SOURCE

H = "file,licence\n"
FILM = b"\0\0\0\x18ftypmp42" + b"\0" * 40


def outcome(folder: Path, name: str, content: str | bytes, film: str = "a.mp4") -> tuple[str, str]:
    """``refused`` (the whole scan), ``problem`` (of the film), ``unread``, or the film's right; and the words."""
    (folder / film).write_bytes(FILM)
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    try:
        found = read_sidecars(folder)
    except AiprodError as error:
        return "refused", error.what
    record, problem = found.of(film)
    if problem is not None:
        return "problem", problem
    right = effective_right(SOURCE, record)
    if right.right != "deny" and found.unread:
        return "unread", str(found.unread)
    return right.right, str(right.reasons)


@pytest.mark.parametrize(
    "name", ["a", "а.mp4", "a\u200b.mp4", "https://x.org/v/a.mp4", "file:///x/a.mp4", "/data/a.mp4"]
)
def test_a_name_that_comes_near_is_a_problem_of_its_film(name: str, tmp_path: Path) -> None:
    assert outcome(tmp_path, "t.csv", f"{H}{name},CC-BY-NC-4.0\n")[0] == "problem"


def test_an_address_names_the_film_that_it_encodes(tmp_path: Path) -> None:
    assert outcome(tmp_path, "t.csv", f"{H}b%20c.mp4,CC-BY-NC-4.0\n", film="b c.mp4")[0] == "problem"


def test_a_name_of_another_film_is_none(tmp_path: Path) -> None:
    for name in ("b.mp4", "a2.mp4", "x/a.mp4", "aa.mp4"):
        assert outcome(tmp_path, "t.csv", f"{H}{name},CC-BY-NC-4.0\n")[0] == "train_with_obligations", name


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", f"{H}*.mp4,CC-BY-NC-4.0\n"),
        ("t.csv", f"{H}./,CC-BY-NC-4.0\n"),
        ("t.csv", f"{H}a.mp4,CC0-1.0\n\n# none of these may be used for AI\n"),
        ("t.csv", (H + "a.mp4,CC-BY-NC-4.0\n").encode("utf-16-le")),
        ("t.csv", "file,licence,withdrawn\na.mp4,CC0-1.0,yes\n"),
        ("t.csv", "file,licence,approved\na.mp4,CC0-1.0,no\n"),
        ("t.csv", "file,licence,valid_until\na.mp4,CC0-1.0,2001-01-01\n"),
        ("t.csv", "file,licence,expires\na.mp4,CC0-1.0,2001-01-01\n"),
    ],
)
def test_a_table_that_cannot_be_followed_is_refused_by_name(name: str, content: str | bytes, tmp_path: Path) -> None:
    assert outcome(tmp_path, name, content)[0] == "refused"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", "file,licence,status\na.mp4,CC0-1.0,Rejected\n"),
        ("t.csv", "file,licence,state\na.mp4,CC0-1.0,do not use!\n"),
        ("l.json", json.dumps({"a.mp4": {"license": "CC-BY-NC-4.0"}})),
        ("l.json", json.dumps({"films": [{"file": "a.mp4", "license": "CC-BY-NC-4.0"}]})),
        ("a.info.json", json.dumps({"webpage_url": "https://www.youtube.com/watch?v=1", "license": "CC BY 4.0"})),
    ],
)
def test_it_denies(name: str, content: str, tmp_path: Path) -> None:
    assert outcome(tmp_path, name, content)[0] == "deny"


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.txt", "All rights reserved\n", "problem"),
        ("a.mp4.txt", "Please do not train on this", "problem"),
        ("a.yaml", "license: CC-BY-NC-4.0\n", "problem"),
        ("LICENSE.txt", "CC BY-NC 4.0", "unread"),
        ("README.md", "These films are not for AI training.", "unread"),
        ("README.md", "Films of bees, made in 2020.", "train_with_obligations"),
        ("a.txt", "a bee on a flower", "train_with_obligations"),
        ("l.json", json.dumps({"images": [{"file_name": "a.mp4", "id": 1, "caption": "bees"}]}), "unread"),
    ],
)
def test_texts_are_named_where_they_speak_against_training(
    name: str, content: str, expected: str, tmp_path: Path
) -> None:
    assert outcome(tmp_path, name, content)[0] == expected
