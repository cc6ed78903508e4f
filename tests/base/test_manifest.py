"""A manifest never loses a row, is the same bytes for the same rows, and shows every change."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aiprod.errors import AiprodError
from aiprod.storage.manifest.manifest import HEAD, ROWS, Row, merkle_root, read_head, read_rows, write_manifest


class Fact(Row):
    """A nested value."""

    x: float
    words: list[str] = []


class Example(Row):
    """A row with every kind of field that manifests use."""

    id: str
    status: str = "ok"
    number: float | None = None
    count: int = 0
    reasons: list[str] = []
    facts: dict[str, float | str | None] | None = None
    nested: Fact | None = None
    label: str | None = None


text = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=8)
rows = st.lists(
    st.builds(
        Example,
        id=st.text("abcdef0123", min_size=1, max_size=6),
        status=st.sampled_from(["ok", "error"]),
        number=st.none() | st.floats(allow_nan=False, allow_infinity=False),
        count=st.integers(0, 2**40),
        reasons=st.lists(text, max_size=3),
        label=st.none() | text,
        facts=st.none() | st.dictionaries(text, st.none() | text | st.floats(-1e6, 1e6), max_size=3),
        nested=st.none() | st.builds(Fact, x=st.floats(-1, 1), words=st.lists(text, max_size=2)),
    ),
    max_size=8,
    unique_by=lambda r: r.id,
)


def _write(folder: Path, values: list[Example], **more: object) -> str:
    head = write_manifest(
        folder, values, row_model=Example, stage="t", key=lambda r: r.id, params_digest="p", inputs={"i": "0"}, **more
    )
    return head.merkle_root


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows)
def test_round_trip_and_order_independence(tmp_path: Path, values: list[Example]) -> None:
    _write(tmp_path / "a", values)
    _write(tmp_path / "b", list(reversed(values)))
    assert read_rows(tmp_path / "a", Example) == sorted(values, key=lambda r: r.id)
    for name in (HEAD, ROWS):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def _root_by_definition(leaves: list[bytes]) -> bytes:
    """RFC 6962 section 2.1, as the standard writes it: split at the largest power of two below n."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    left, right = _root_by_definition(leaves[:k]), _root_by_definition(leaves[k:])
    return hashlib.sha256(b"\x01" + left + right).digest()


@given(st.lists(st.binary(max_size=5), max_size=70))
def test_merkle_root_follows_the_standard(leaves: list[bytes]) -> None:
    assert merkle_root(leaves) == _root_by_definition(leaves).hex()


def test_a_lost_or_invented_row_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AiprodError, match="lost"):
        _write(tmp_path, [Example(id="a")], expect_ids=["a", "b"])
    with pytest.raises(AiprodError, match="invented"):
        _write(tmp_path, [Example(id="a"), Example(id="c")], expect_ids=["a"])
    with pytest.raises(AiprodError, match="two rows"):
        _write(tmp_path, [Example(id="a"), Example(id="a")])


def test_rows_that_do_not_match_their_head_are_refused(tmp_path: Path) -> None:
    _write(tmp_path / "a", [Example(id="a", number=1.0)])
    _write(tmp_path / "b", [Example(id="a", number=2.0)])
    (tmp_path / "b" / ROWS).replace(tmp_path / "a" / ROWS)
    with pytest.raises(AiprodError, match="Merkle"):
        read_rows(tmp_path / "a", Example)


def test_a_text_that_is_no_utf_8_is_damage(tmp_path: Path) -> None:
    """A flipped bit in a text leaves a Parquet file that its library reads."""
    _write(tmp_path, [Example(id="clip-of-a-name-that-stands-once")])
    data = (tmp_path / ROWS).read_bytes()
    assert b"stands-once" in data, "stored uncompressed, or as statistics"
    (tmp_path / ROWS).write_bytes(data.replace(b"stands-once", b"stands\xffonce"))
    with pytest.raises(AiprodError, match="damaged"):
        read_rows(tmp_path, Example)


def test_damage_and_absence_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(AiprodError, match="does not exist"):
        read_head(tmp_path)
    _write(tmp_path, [Example(id="a")])
    (tmp_path / ROWS).write_bytes(b"PAR1 not really")
    with pytest.raises(AiprodError, match="damaged"):
        read_rows(tmp_path, Example)
    (tmp_path / ROWS).unlink()
    with pytest.raises(AiprodError, match="does not exist"):
        read_rows(tmp_path, Example)
    (tmp_path / HEAD).write_text("{}")
    with pytest.raises(AiprodError, match="not a manifest"):
        read_head(tmp_path)


def test_counts_by_status(tmp_path: Path) -> None:
    _write(tmp_path, [Example(id="a"), Example(id="b", status="error"), Example(id="c")])
    assert read_head(tmp_path).counts == {"error": 1, "ok": 2}
