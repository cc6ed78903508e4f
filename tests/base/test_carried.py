"""Rows taken over from an earlier run: the manifest has the bytes that it has without them, whatever changed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aiprod.qc.rows import MeasureRow
from aiprod.storage.manifest import manifest
from aiprod.storage.manifest.carried import Carried
from aiprod.storage.manifest.manifest import Head, LeavedTable, read_rows, write_manifest

FIGURES = ("a.x", "a.status", "b.list", "b.odd")
VALUE = st.one_of(
    st.none(), st.integers(-3, 3), st.floats(-4, 4), st.just(2.0), st.booleans(), st.text(max_size=3), st.just([1, 2.5])
)
WORLD = st.dictionaries(
    st.integers(0, 40).map(lambda n: f"c{n:02d}".replace("0", "a")),
    st.fixed_dictionaries({"status": st.sampled_from(["ok", "ok", "ok", "error"]), **dict.fromkeys(FIGURES, VALUE)}),
    max_size=25,
)


def row(clip_id: str, told: Mapping[str, Any]) -> MeasureRow:
    measured: dict[str, dict[str, Any]] = {}
    for name in FIGURES:
        section, _, figure = name.partition(".")
        measured.setdefault(section, {})[figure] = told[name]
    reasons = ["why \u2603"] if told["status"] == "error" else []
    return MeasureRow(clip_id=clip_id, film_id="fa", status=told["status"], reasons=reasons, measurements=measured)


def write(folder: Path, rows: list[MeasureRow], carried: Carried | None = None) -> Head:
    return write_manifest(
        folder,
        rows,
        row_model=MeasureRow,
        stage="s",
        key=lambda r: r.clip_id,
        params_digest="p",
        inputs={},
        expect_ids=None,
        carried=carried,
    )


def run(folder: Path, kept: Path, world: Mapping[str, Mapping[str, Any]], context: str = "x") -> int:
    """One run of a stage; how many rows were taken over."""
    carried = Carried(kept, context)
    made_from = {name: hashlib.sha256(repr(sorted(told.items())).encode()).digest() for name, told in world.items()}
    carried.take_over(carried.same(made_from), made_from)
    known = set(carried.ids)
    write(folder, [row(name, told) for name, told in world.items() if name not in known], carried)
    return len(known)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(worlds=st.lists(WORLD, min_size=2, max_size=4), part=st.sampled_from([3, 7, 4096]))
def test_every_run_writes_what_a_run_from_nothing_writes(
    tmp_path_factory: pytest.TempPathFactory, worlds: list[dict[str, Any]], part: int
) -> None:
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest, "_PART", part)
        before: dict[str, Any] = {}
        for number, world in enumerate(worlds):
            taken = run(folder / f"again{number}", folder / "kept", world)
            assert taken == sum(told["status"] == "ok" and before.get(name) == told for name, told in world.items())
            write(folder / f"new{number}", [row(name, told) for name, told in world.items()])
            assert files(folder / f"again{number}") == files(folder / f"new{number}")
            before = world


def told(number: int) -> dict[str, Any]:
    return {"status": "ok", "a.x": number, "a.status": "ok", "b.list": [number], "b.odd": None}


WHOLE = {f"c{letter}": told(number) for number, letter in enumerate("bdfh")}


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    run(tmp_path / "first", tmp_path / "kept", WHOLE)
    return tmp_path / "kept"


def test_another_context_and_a_flipped_bit_count_as_absent(tmp_path: Path, kept: Path) -> None:
    whole = kept.read_bytes()
    assert run(tmp_path / "same", kept, WHOLE) == 4
    assert kept.read_bytes() == whole
    assert run(tmp_path / "other", kept, WHOLE, context="y") == 0
    for place in range(0, len(whole), 97):
        kept.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        assert not Carried(kept, "x").ids and not Carried(kept, "x").origins(), place
    for size in (0, 10, 40, len(whole) // 2, len(whole) - 1):
        kept.write_bytes(whole[:size])
        assert not Carried(kept, "x").origins(), size


def test_a_run_that_breaks_off_leaves_what_there_was(tmp_path: Path, kept: Path) -> None:
    whole = kept.read_bytes()
    broken = {**WHOLE, "ck": told(9)}

    carried = Carried(kept, "x")
    made_from = dict.fromkeys(broken, b"\x01" * 32)
    carried.take_over({}, made_from)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("aiprod.storage.manifest.carried.row_leaves", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            write(tmp_path / "broken", [row(name, each) for name, each in broken.items()], carried)
    assert kept.read_bytes() == whole
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_table_gives_the_rows_that_are_asked_for(tmp_path: Path, kept: Path) -> None:
    table = LeavedTable(tmp_path / "first", MeasureRow, "clip_id")
    rows = {r.clip_id: r for r in read_rows(tmp_path / "first", MeasureRow)}
    assert table.ids == sorted(WHOLE)
    assert table.of({"cd", "ch"}) == [rows["cd"], rows["ch"]]
    assert table.without(["cd", "ch"]) == [rows["cb"], rows["cf"]]
    assert len(set(table.leaves)) == 4
