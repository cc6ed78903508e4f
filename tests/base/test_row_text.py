"""The canonical row: a leaf put together from columns is the hash of the row's RFC 8785 JSON; parts change nothing."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import rfc8785
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import model_validator

from aiprod.base.canonical_json import canonical_json
from aiprod.errors import AiprodError
from aiprod.storage.manifest import manifest, parquet_reader
from aiprod.storage.manifest.arrow import from_numpy, to_numpy
from aiprod.storage.manifest.canonical_rows import row_leaves
from aiprod.storage.manifest.manifest import Row, iter_columns, iter_rows, merkle_root, read_rows, write_manifest
from aiprod.storage.manifest.row_columns import RowColumns


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


whole = st.integers(-(2**53) + 1, 2**53 - 1)
values = st.none() | st.booleans() | whole | st.floats(allow_nan=False, allow_infinity=False) | st.text()
nested = st.dictionaries(st.text(), values | st.lists(values, max_size=3), max_size=3)
things = st.builds(
    Thing,
    thing_id=st.text(),
    status=st.sampled_from(["ok", "error"]),
    size=whole,
    weight=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    fine=st.booleans(),
    note=st.none() | st.text(),
    words=st.lists(st.text(), max_size=3),
    checks=st.lists(st.builds(Check, name=st.text(), value=values), max_size=3),
    figures=nested,
    more=st.none() | nested,
)


class Measure(Row):
    FIGURES: ClassVar[str | None] = "found"

    clip_id: str
    found: dict[str, dict[str, Any]] = {}


names = st.text(st.characters(exclude_characters=".", exclude_categories=["Cs"]), min_size=1, max_size=3)
present = values.filter(lambda value: value is not None) | st.lists(values, max_size=3) | nested
measures = st.builds(
    Measure,
    clip_id=st.text(),
    found=st.dictionaries(names, st.dictionaries(st.text(max_size=3), present, min_size=1, max_size=3), max_size=3),
)


def leaf(row: Row) -> bytes:
    """By a plain implementation of the standard."""
    return hashlib.sha256(b"\0" + rfc8785.dumps(row.model_dump(mode="json"))).digest()


def same(row: Row) -> bytes:
    """What tells rows apart; a double that is a whole number may be read as one."""
    return canonical_json(row.model_dump(mode="json"))


@given(st.lists(things, min_size=1, max_size=6))
def test_the_leaf_is_the_hash_of_the_canonical_row(rows: list[Thing]) -> None:
    columns = RowColumns(Thing, rows, None)
    assert row_leaves(columns.part(0, len(rows)), None) == list(map(leaf, rows))


@given(st.lists(measures, min_size=1, max_size=6))
def test_figures_in_columns_have_the_leaf_of_the_row_that_they_are_of(rows: list[Measure]) -> None:
    columns = RowColumns(Measure, rows, "found")
    assert row_leaves(columns.part(0, len(rows)), "found") == list(map(leaf, rows))


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(measures, min_size=1, max_size=6, unique_by=lambda row: row.clip_id))
def test_figures_come_back_as_they_were(tmp_path: Path, rows: list[Measure]) -> None:
    write_manifest(
        tmp_path, rows, row_model=Measure, stage="t", key=lambda row: row.clip_id, params_digest="", inputs={}
    )
    back = read_rows(tmp_path, Measure)
    assert sorted(map(same, back)) == sorted(map(same, rows))


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
    monkeypatch.setattr(parquet_reader, "_AT_ONCE", 3)
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


def test_a_number_that_readers_would_round_is_refused(tmp_path: Path) -> None:
    for row in (Thing(thing_id="a", size=2**53 + 1), Thing(thing_id="a", figures={"n": 2**60 + 1})):
        with pytest.raises(AiprodError, match="canonical JSON cannot hold"):
            write(tmp_path, [row])


NESTED = {"words", "checks", "figures", "more"}


def test_a_manifest_of_format_1_is_read_and_checked(tmp_path: Path) -> None:
    rows = many()
    text = [
        json.dumps(r.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), ensure_ascii=False) for r in rows
    ]
    write(tmp_path, rows)
    head = json.loads((tmp_path / "manifest.json").read_text())
    head["merkle_root"] = merkle_root([t.encode() for t in text])
    del head["format"]
    (tmp_path / "manifest.json").write_text(json.dumps(head))
    cells = [
        {
            n: v if n not in {"words", "checks", "figures", "more"} or v is None else json.dumps(v)
            for n, v in row.items()
        }
        for row in map(json.loads, text)
    ]
    pq.write_table(pa.Table.from_pylist(cells), tmp_path / "manifest.parquet")
    assert read_rows(tmp_path, Thing) == rows
    cells[3]["size"] = 77
    pq.write_table(pa.Table.from_pylist(cells), tmp_path / "manifest.parquet")
    with pytest.raises(AiprodError, match="Merkle root"):
        read_rows(tmp_path, Thing)


def test_a_manifest_of_a_later_format_is_refused(tmp_path: Path) -> None:
    write(tmp_path, many())
    head = json.loads((tmp_path / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps({**head, "format": 99}))
    with pytest.raises(AiprodError, match="format 99"):
        read_rows(tmp_path, Thing)


@given(st.lists(st.none() | st.integers(-(2**31), 2**31 - 1) | st.booleans()), st.integers(0, 9), st.integers(0, 9))
def test_columns_and_arrays_hold_the_same(cells: list[int | None], start: int, stop: int) -> None:
    missing = np.array([cell is None for cell in cells], np.bool_)
    for kind in (np.int64, np.int32, np.float64, np.bool_):
        values = np.array([cell or 0 for cell in cells]).astype(kind)
        made = from_numpy(values, missing)
        assert made.to_pylist() == [None if gone else v for v, gone in zip(values.tolist(), missing, strict=True)]
        made.validate(full=True)
        part = made.slice(start, stop)
        wanted = [1 if cell is None else cell for cell in part.to_pylist()]
        assert to_numpy(part, 1).tolist() == wanted


def test_a_manifest_is_written_and_read_without_loading_pandas(tmp_path: Path) -> None:
    """Which PyArrow imports at the first value that it is given by Python: longer than reading most manifests."""
    program = """
import sys
from typing import Any
from aiprod.storage.manifest.manifest import Row, read_rows, write_manifest
class Thing(Row):
    thing_id: str
    size: int = 0
    weight: float | None = None
    note: str | None = None
    words: list[str] = []
    figures: dict[str, Any] = {}
rows = [
    Thing(thing_id=f"t{n}", size=n, weight=n / 3 if n % 2 else None, note="é" if n % 3 else 'a "b"',
          words=["w"] * (n % 2), figures={"a": {"b": n * 1e-9}} if n % 2 else {})
    for n in range(9)
]
write_manifest("m", rows, row_model=Thing, stage="s", key=lambda row: row.thing_id, params_digest="", inputs={})
assert read_rows("m", Thing) == rows
assert "pandas" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
