"""JSON and YAML from outside: any text gives a value or one line, never a library's exception."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiprod.base.files import read_json
from aiprod.base.structured import DEPTH_MAX, parse_json, parse_yaml, read_json_mapping
from aiprod.base.yaml_file import read_yaml
from aiprod.errors import AiprodError, CheckpointError
from aiprod.models.checkpoint.json_files import read_json_object
from aiprod.repo.dvc_lock import Lock

# Deep, but shallow enough for any parser's stack.
DEEP = ["[" * 900 + "]" * 900, '{"a":' * 900 + "1" + "}" * 900, "- " * 900 + "x", "[" * 900]
ALIASES = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)
ODD = [
    "a: 2024-13-45",
    "a: " + "9" * 5000,
    "a: *x",
    "&a [*a]",
    "a: &a {b: *a}",
    "!!binary x",
    "!!timestamp x",
    "!!python/name:os.system ''",
    "a: 1\na: 2",
    "\x00",
    "%YAML 9.9\n---\na",
    "? [a]\n: b",
    "{[1]: 2}",
    "!!set {a, b}",
    "<<: 1",
    "\t- a",
]
LOCKS = ["[]", "stages: 1", "stages: {a: 1}", "stages: {a: {outs: [1]}}", "stages: {a: {outs: {}}}"]


@pytest.mark.parametrize("text", [*DEEP, ALIASES, *ODD])
def test_what_overflows_a_parser_or_surprises_it_is_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    for read in (read_yaml, read_json, read_json_mapping):
        try:
            json.dumps(read(path), default=str, skipkeys=True)  # what is read can be walked
        except AiprodError as error:
            assert str(path) in str(error) and "\n" not in str(error) and error.hint
    try:
        read_json_object(path)
    except CheckpointError as error:
        assert str(path) in str(error)


@pytest.mark.parametrize("text", [*DEEP, ALIASES])
def test_what_is_deep_or_stands_for_too_much_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(AiprodError, match=r"deeper|expands to more"):
        parse_yaml(text, "given")
    (tmp_path / "dvc.lock").write_text(f"stages:\n  {text}" if text[0] in "[{" else f"stages:\n{text}")
    with pytest.raises(AiprodError, match=r"dvc\.lock"):
        Lock(tmp_path)


@given(st.integers(1, 300), st.sampled_from(["[]", "{}"]))
@settings(max_examples=40, deadline=None)
def test_depth_is_counted_the_same_in_both(depth: int, kind: str) -> None:
    text = ("[" if kind == "[]" else '{"a": ') * depth + "1" + kind[1] * depth
    for parse in (parse_json, parse_yaml):
        if depth <= DEPTH_MAX:
            assert parse(text) is not None
        else:
            with pytest.raises(AiprodError, match="deeper"):
                parse(text)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,
)


@given(values)
@settings(max_examples=80, deadline=None)
def test_whatever_json_holds_is_read_as_it_is(value: object) -> None:
    text = json.dumps(value)
    assert parse_json(text) == value == parse_json(text.encode())


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda t: t.encode("utf-8", "surrogatepass")))
@settings(max_examples=200, deadline=None)
def test_any_bytes_give_a_value_or_one_line(data: bytes) -> None:
    for parse in (parse_json, parse_yaml):
        try:
            parse(data, "given")
        except AiprodError as error:
            assert str(error).startswith("given") and "\n" not in str(error)


def test_size_is_bounded_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aiprod.base.files.JSON_BYTES_MAX", 1 << 20)
    path = tmp_path / "huge.json"
    with open(path, "wb") as file:
        file.truncate(1 << 40)  # sparse: it could never be read whole
    with pytest.raises(AiprodError, match="larger than"):
        read_json(path)
    with pytest.raises(AiprodError, match="larger than"):
        read_yaml(path)


def test_what_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(AiprodError, match="cannot be read"):
        read_json(tmp_path)
    with pytest.raises(AiprodError, match="does not exist"):
        read_json(tmp_path / "none.json")
    (tmp_path / "list.json").write_text("[1]")
    with pytest.raises(AiprodError, match="no JSON object, but a list"):
        read_json_mapping(tmp_path / "list.json")
    with pytest.raises(CheckpointError, match="no JSON object"):
        read_json_object(tmp_path / "list.json")
    with pytest.raises(CheckpointError, match="does not exist"):
        read_json_object(tmp_path / "none.json")


@pytest.mark.parametrize("text", LOCKS)
def test_a_lock_of_another_shape_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "dvc.lock").write_text(text)
    try:
        assert Lock(tmp_path).stages == {}
    except AiprodError as error:
        assert "dvc.lock" in str(error)
