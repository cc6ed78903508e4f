"""Names of files as people see them: one line, no control of the terminal, and text that can be written anywhere."""

from __future__ import annotations

import json
import os
import pickle
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiprod.base import progress
from aiprod.errors import AiprodError
from aiprod.printable import escape_controls, json_text

NAMES = st.binary(max_size=40).map(os.fsdecode) | st.text(st.characters(codec=None), max_size=40)


@given(NAMES)
def test_any_name_is_one_line_of_text_without_controls(name: str) -> None:
    said = escape_controls(name)
    said.encode()
    assert len(said.splitlines()) <= 1
    assert not [c for c in said if unicodedata.category(c) in ("Cc", "Cs")]
    assert escape_controls(said) == said


@pytest.mark.parametrize(
    "name", ["a b.mp4", "Überfahrt – 2.mov", "東京.mkv", "می‌خواهم.mp4", "👨‍👩‍👧.mp4", "a\xa0b", "c:\\n"]
)
def test_ordinary_names_of_any_script_stay(name: str) -> None:
    assert escape_controls(name) == name


def test_what_would_deceive_is_written_out() -> None:
    assert escape_controls("a\nb.mp4") == r"a\nb.mp4"
    assert escape_controls("\x1b[31mred\x9b0m") == r"\x1b[31mred\x9b0m"
    assert escape_controls(os.fsdecode(b"caf\xe9.mp4")) == r"caf\xe9.mp4"
    assert escape_controls("film\u202e4pm.exe") == r"film\u202e4pm.exe"


@given(st.binary(max_size=40).filter(lambda b: b"\0" not in b))
def test_json_is_utf8_and_gives_the_very_name_back(name: bytes) -> None:
    text = json_text(json.dumps({"file": os.fsdecode(name)}, ensure_ascii=False))
    assert os.fsencode(json.loads(text.encode())["file"]) == name


def test_errors_and_messages_show_names_so(capsys: pytest.CaptureFixture[str]) -> None:
    error = AiprodError(os.fsdecode(b"\xff\x1b[2J is gone"), "bring\tit back")
    assert str(error) == r"\xff\x1b[2J is gone → bring it back"
    assert str(pickle.loads(pickle.dumps(error))).startswith(r"\xff\x1b[2J is gone")
    progress.log(os.fsdecode(b"took \xff\x1b[2J in\nand more"))
    assert capsys.readouterr().err == "took \\xff\\x1b[2J in\nand more\n"
