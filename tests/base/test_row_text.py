"""Rows as text: the leaf put together from cells is the hash of the row's canonical JSON; parts change nothing."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import model_validator
from pydantic_core import from_json

from aiprod.base.files import canonical_json
from aiprod.errors import AiprodError
from aiprod.storage.manifest import manifest, parquet_reader
from aiprod.storage.manifest.arrow import column, kind_of
from aiprod.storage.manifest.canonical_rows import RowText, scalar_text
from aiprod.storage.manifest.manifest import Row, iter_columns, iter_rows, merkle_root, read_rows, write_manifest


class Check(Row):
    name: str
    value: Any = None


class Thing(Row):
    thing_id: str
    status: Literal["ok", "error"] = "ok"
    size: int = 0
    weight: float | None = None
    fine: bool = True
    note: str | None = None
    words: list[str] = []
    checks: list[Check] = []
    figures: dict[str, Any] = {}
    more: dict[str, Any] | None = None


values = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
nested = st.dictionaries(st.text(), values | st.lists(values, max_size=3), max_size=3)
things = st.builds(
    Thing,
    thing_id=st.text(),
    status=st.sampled_from(["ok", "error"]),
    size=st.integers(-(2**60), 2**60),
    weight=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    fine=st.booleans(),
    note=st.none() | st.text(),
    words=st.lists(st.text(), max_size=3),
    checks=st.lists(st.builds(Check, name=st.text(), value=values), max_size=3),
    figures=nested,
    more=st.none() | nested,
)


@given(things)
def test_the_leaf_is_the_hash_of_the_canonical_row(thing: Thing) -> None:
    text = RowText(Thing)
    assert text.joinable
    leaf = hashlib.sha256(b"\0" + canonical_json(thing.model_dump(mode="json"))).digest()
    assert text.leaves(text.columns([thing, thing])) == [leaf, leaf]


def many() -> list[Thing]:
    shared = Check(name="same", value=[1, 2.5])
    return [
        Thing(
            thing_id=f"{n:03d}",
            size=n,
            weight=n / 3 if n > 20 else None,
            words=["ä"] * (n % 3),
            checks=[shared, Check(name="own", value=n)],
            figures={"b": n, "a": None},
        )
        for n in range(50)
    ]


def write(folder: Path, rows: list[Thing]) -> str:
    return write_manifest(
        folder, rows, row_model=Thing, stage="t", key=lambda row: row.thing_id, params_digest="", inputs={}
    ).merkle_root


def test_writing_and_reading_in_parts_changes_neither_rows_nor_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = many()
    root = merkle_root([canonical_json(row.model_dump(mode="json")) for row in rows])
    assert write(tmp_path / "whole", rows) == root
    monkeypatch.setattr(manifest, "_PART", 7)
    monkeypatch.setattr(parquet_reader, "_READ_PART", 3)
    assert write(tmp_path / "parts", rows) == root
    assert pq.ParquetFile(tmp_path / "parts/manifest.parquet").num_row_groups == 8
    assert read_rows(tmp_path / "whole", Thing) == rows == list(iter_rows(tmp_path / "parts", Thing))
    copied = read_rows(tmp_path / "parts", Thing)[3].model_copy(update={"size": 9})
    assert copied.model_dump()["size"] == 9 and copied.model_fields_set == set(Thing.model_fields)


def test_a_changed_figure_is_noticed_when_the_last_row_was_read(tmp_path: Path) -> None:
    write(tmp_path, many())
    table = pq.read_table(tmp_path / "manifest.parquet").to_pylist()
    table[1]["figures"] = table[1]["figures"].replace(":1}", ":2}")
    pq.write_table(pa.Table.from_pylist(table), tmp_path / "manifest.parquet")
    rows = iter_rows(tmp_path, Thing)
    assert next(rows).thing_id == "000"
    with pytest.raises(AiprodError, match="Merkle root"):
        list(rows)


@given(st.lists(things, max_size=8))
def test_rows_come_back_from_their_cells_as_they_were(rows: list[Thing]) -> None:
    text = RowText(Thing)
    columns = text.columns(rows)
    kinds = {name: kind_of(text.plain(rows, name)) for name in ("size", "weight", "fine", "note", "thing_id")}
    for name, kind in kinds.items():
        assert column(columns[name], kind).equals(pa.array(columns[name], type=kind))
    for name in text.nested:
        cells = [cell for cell in columns[name] if cell is not None]
        assert [from_json(cell) for cell in cells] == [json.loads(cell) for cell in cells]


def test_what_is_left_out_is_checked_all_the_same(tmp_path: Path) -> None:
    write(tmp_path, many())
    short = read_rows(tmp_path, Thing, without={"figures", "checks"})
    assert [row.size for row in short] == list(range(50)) and not any(row.figures or row.checks for row in short)
    table = pq.read_table(tmp_path / "manifest.parquet").to_pylist()
    table[1]["figures"] = table[1]["figures"].replace(":1}", ":2}")
    pq.write_table(pa.Table.from_pylist(table), tmp_path / "manifest.parquet")
    with pytest.raises(AiprodError, match="Merkle root"):
        read_rows(tmp_path, Thing, without={"figures", "checks"})


def test_a_cell_that_is_no_json_is_one_line(tmp_path: Path) -> None:
    write(tmp_path, many())
    table = pq.read_table(tmp_path / "manifest.parquet").to_pylist()
    table[1]["figures"] = "{"
    pq.write_table(pa.Table.from_pylist(table), tmp_path / "manifest.parquet")
    with pytest.raises(AiprodError, match="damaged"):
        read_rows(tmp_path, Thing)


def test_a_row_that_does_not_validate_is_named_also_among_good_ones(tmp_path: Path) -> None:
    write(tmp_path, many())
    table = pq.read_table(tmp_path / "manifest.parquet").to_pylist()
    for name, value, said in (("status", "perhaps", "status"), ("words", "[1]", "words"), ("size", None, "size")):
        changed = [{**row, name: value} if place == 7 else row for place, row in enumerate(table)]
        pq.write_table(pa.Table.from_pylist(changed), tmp_path / "manifest.parquet")
        with pytest.raises(AiprodError, match=f"does not validate.*{said}"):
            read_rows(tmp_path, Thing)
        with pytest.raises(AiprodError, match=f"does not validate.*{said}"):
            list(iter_columns(tmp_path, Thing, ["thing_id", name]))


def test_a_field_that_the_model_does_not_know_is_refused(tmp_path: Path) -> None:
    write(tmp_path, many())
    table = pq.read_table(tmp_path / "manifest.parquet")
    pq.write_table(table.append_column("more_yet", pa.array(["x"] * len(table))), tmp_path / "manifest.parquet")
    for read in (lambda: read_rows(tmp_path, Thing), lambda: list(iter_columns(tmp_path, Thing, ["size"]))):
        with pytest.raises(AiprodError, match="Extra inputs are not permitted"):
            read()


def test_columns_are_those_of_the_rows_and_are_checked_against_the_root(tmp_path: Path) -> None:
    write(tmp_path, many())
    [columns] = iter_columns(tmp_path, Thing, ["size", "words", "figures"])
    assert columns == {name: [getattr(row, name) for row in many()] for name in ("size", "words", "figures")}
    table = pq.read_table(tmp_path / "manifest.parquet").to_pylist()
    table[1]["note"] = "another"
    pq.write_table(pa.Table.from_pylist(table), tmp_path / "manifest.parquet")
    with pytest.raises(AiprodError, match="Merkle root"):
        list(iter_columns(tmp_path, Thing, ["size"]))


class Ranged(Row):
    thing_id: str
    low: int = 0
    high: int = 0

    @model_validator(mode="after")
    def _ordered(self) -> Ranged:
        if self.low > self.high:
            raise ValueError("low is above high")
        return self


def test_a_model_that_looks_at_whole_rows_still_does(tmp_path: Path) -> None:
    rows = [Ranged(thing_id="a", high=1), Ranged.model_construct(thing_id="b", low=2, high=1)]
    write_manifest(
        tmp_path, rows, row_model=Ranged, stage="t", key=lambda row: row.thing_id, params_digest="", inputs={}
    )
    with pytest.raises(AiprodError, match="low is above high"):
        read_rows(tmp_path, Ranged)


@given(values | nested)
def test_quick_text_is_canonical_json(value: Any) -> None:
    assert scalar_text(value).encode() == canonical_json(value)
