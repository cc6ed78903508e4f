"""Names that mean one film compare equal, whoever wrote them."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiprod.base.names import caseless_name, film_name, is_hidden, leaves_its_folder

SPELLINGS = [
    "sub/café.mp4",
    "./sub/café.mp4",
    "sub//café.mp4",
    "sub\\café.mp4",
    ".//sub/./café.mp4",
    "sub/x/../café.mp4",
    unicodedata.normalize("NFD", "sub/café.mp4"),
    " sub/café.mp4\t",
    "\ufeffsub/café.mp4",
    ".\\sub\\café.mp4",
]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_spellings_of_one_name_compare_equal(spelling: str) -> None:
    assert film_name(spelling) == "sub/café.mp4"
    assert caseless_name(spelling.upper()) == "sub/café.mp4"


@given(st.text(st.sampled_from("aé́./\\ \ufeff\u200bÅ\udcff\n"), max_size=12) | st.text(max_size=30))
def test_the_form_is_its_own_form(text: str) -> None:
    name = film_name(text)
    assert film_name(name) == name
    assert film_name(unicodedata.normalize("NFD", text)) == name
    assert caseless_name(caseless_name(text)) == caseless_name(text)


def test_what_is_hidden_and_what_lies_outside() -> None:
    assert all(is_hidden(name) for name in ("._SOURCES.csv", ".#SOURCES.csv", ".git/a.csv", "a/.b/c.mp4", "./.x"))
    assert not any(is_hidden(name) for name in ("./a.mp4", "../a.mp4", "a.b/c", ""))
    assert all(leaves_its_folder(name) for name in ("/a.mp4", "../a.mp4", "a/../../b", "\\\\host\\a", "//a"))
    assert not any(leaves_its_folder(name) for name in ("a.mp4", "..a/b.mp4", "a/../b"))
