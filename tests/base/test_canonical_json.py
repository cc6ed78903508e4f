"""Canonical JSON against a plain implementation of RFC 8785, and against the examples of the standard."""

from __future__ import annotations

import math
import struct
from typing import Any

import pyarrow as pa
import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st

from aiprod.base.canonical_json import canonical_json, former_canonical_json
from aiprod.errors import AiprodError
from aiprod.storage.manifest.canonical_rows import texts_of

doubles = st.floats(allow_nan=False, allow_infinity=False) | st.decimals(
    min_value=-(10**20), max_value=10**20, places=8
).map(float)
exact = st.integers(-(2**53) + 1, 2**53 - 1)
scalars = st.none() | st.booleans() | exact | doubles | st.text()
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=10,
)


@given(values)
@example({"\U0001f600": 1, "\ue000": 2})  # sorted by UTF-16: the first comes first
@example(["1.0", "a\\", "1e5", 'x":1.0,', 24.0, -0.0, 1e16, 1e-5, 1e21, 1e-7])
@example(["-0.0", -0.0, "1.0,-0,1e5", -0.05, -10.0, "1234567890123456", 1.0, -1e-7])
@example({'a":-0.0,"': "\\", "\\": -0.0, "": ['"', 0.0, '\\"'], "é": 1.5e300})
def test_it_is_the_form_of_the_standard(value: Any) -> None:
    assert canonical_json(value) == rfc8785.dumps(value)


@pytest.mark.parametrize(
    ("bits", "text"),  # RFC 8785, appendix B
    [
        (0x0000000000000000, "0"),
        (0x8000000000000000, "0"),
        (0x0000000000000001, "5e-324"),
        (0x8000000000000001, "-5e-324"),
        (0x7FEFFFFFFFFFFFFF, "1.7976931348623157e+308"),
        (0x4340000000000000, "9007199254740992"),
        (0x4430000000000000, "295147905179352830000"),
        (0x44B52D02C7E14AF5, "9.999999999999997e+22"),
        (0x44B52D02C7E14AF6, "1e+23"),
        (0x444B1AE4D6E2EF4E, "999999999999999700000"),
        (0x444B1AE4D6E2EF50, "1e+21"),
        (0x3EB0C6F7A0B5ED8C, "9.999999999999997e-7"),
        (0x3EB0C6F7A0B5ED8D, "0.000001"),
        (0x41B3DE4355555553, "333333333.3333332"),
        (0xBECBF647612F3696, "-0.0000033333333333333333"),
        (0x43143FF3C1CB0959, "1424953923781206.2"),
    ],
)
def test_numbers_are_written_as_the_standard_shows(bits: int, text: str) -> None:
    [number] = struct.unpack(">d", bits.to_bytes(8, "big"))
    assert canonical_json(number).decode() == text == texts_of(pa.array([number, 0.5]))[0].as_py()


@given(st.lists(st.none() | doubles, max_size=8), st.lists(st.none() | st.text(), max_size=8))
def test_a_column_has_the_text_of_each_of_its_values(numbers: list[float | None], words: list[str | None]) -> None:
    for cells, kind in ((numbers, pa.float64()), (words, pa.string())):
        expected = [None if cell is None else canonical_json(cell).decode() for cell in cells]
        assert texts_of(pa.array(cells, kind)).to_pylist() == expected


def test_what_readers_would_round_is_refused_and_what_is_no_number_too() -> None:
    assert canonical_json(2**60) == b"1152921504606847000"
    with pytest.raises(AiprodError, match="canonical JSON cannot hold"):
        canonical_json({"n": 2**60 + 1})
    for number in (math.nan, math.inf):
        with pytest.raises(ValueError):
            canonical_json([number])
        with pytest.raises(ValueError):
            texts_of(pa.array([0.5, number]))


@pytest.mark.parametrize("text", ["\udcff", "1e5 \udcff", "\U0001f3ac\ud83c"])
def test_what_is_no_utf_8_is_refused_in_words(text: str) -> None:
    with pytest.raises(AiprodError, match=r"holds?.*\\u?x?.*write the text in UTF-8"):
        canonical_json({"name": text})


def test_the_former_form_is_kept_for_what_was_signed_in_it() -> None:
    assert former_canonical_json({"b": 1.0, "a": 1e-05}) == b'{"a":1e-05,"b":1.0}'
