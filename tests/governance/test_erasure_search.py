"""The search for what is left of a film: tables and databases by their cells, files with several names once."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from aiprod.data.rows import ClipRow, FilmRow
from aiprod.errors import AiprodError
from aiprod.governance.erasure import scan
from aiprod.governance.erasure.chosen_rows import chosen_rows, texts
from aiprod.governance.erasure.search_patterns import Needles
from aiprod.storage.crypto.film_encryption import Vault, is_private
from aiprod.storage.manifest.manifest import ROWS, read_rows
from tests.governance.erasable import NAME, Project

NEEDLES = Needles(names={b"Erika-Mustermann.mp4"}, hashes={b"ab" * 32}, pieces={bytes(range(64))})


def _in_cells(path: Path) -> tuple[str, ...]:
    """What is found beside what the file shows as it is stored."""
    with open(path, "rb") as file:
        return scan._search(NEEDLES, file).unpacked


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["sea", "Erika-Mustermann.mp4", None]),
        pa.array(["x", "see Erika-Mustermann.mp4", "y"], pa.large_string()),
        pa.array(["a", "Erika-Mustermann.mp4", "a"]).dictionary_encode(),
        pa.array([["a"], [], ["b", "Erika-Mustermann.mp4"]]),
        pa.array([{"name": "a", "of": ["b"]}, {"name": "Erika-Mustermann.mp4", "of": []}, None]),
        pa.array([[("key", "Erika-Mustermann.mp4")], [], []], pa.map_(pa.string(), pa.string())),
    ],
    ids=["string", "large", "dictionary", "list", "struct", "map"],
)
def test_text_is_found_in_a_table_however_it_is_nested(tmp_path: Path, column: pa.Array) -> None:
    table = pa.table({"n": pa.array(range(6000)), "text": pa.concat_arrays([column] * 2000)})
    pq.write_table(table, tmp_path / "t.parquet", compression="zstd", row_group_size=500)
    assert _in_cells(tmp_path / "t.parquet") == ("names",)
    assert scan.folder(NEEDLES, tmp_path).where[-1] == "t.parquet (names)"


def test_pieces_in_a_binary_column_are_found_and_two_cells_do_not_make_a_name(tmp_path: Path) -> None:
    blobs = pa.array([b"x" * 100, bytes(range(64)), b""], pa.binary())
    pq.write_table(pa.table({"blob": blobs}), tmp_path / "b.parquet", compression="zstd")
    assert _in_cells(tmp_path / "b.parquet") == ("pieces",)
    halves = pa.array(["Erika-Muster", "mann.mp4"])
    pq.write_table(pa.table({"halves": halves}), tmp_path / "b.parquet", compression="none", use_dictionary=False)
    assert _in_cells(tmp_path / "b.parquet") == ()


def test_what_lies_in_overflow_pages_of_a_database_is_found(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    for behind in range(4000, 4100, 16):  # somewhere there a page ends within it
        path.unlink(missing_ok=True)
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("create table entries (data blob, note text)")
            connection.execute("insert into entries values (?, 'x')", (b"." * 1000 + b"ab" * 32 + b"." * behind,))
        if b"ab" * 32 not in path.read_bytes():
            break
    else:
        pytest.fail("no page ends within it")
    assert _in_cells(path) == ("hashes",)
    assert scan.folder(NEEDLES, tmp_path).hashes == 1


def test_a_file_with_two_names_is_read_once_and_counts_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("tree", "cache"):
        (tmp_path / name).mkdir()
    (tmp_path / "tree/shard.tar").write_bytes(b"." * 100 + bytes(range(64)))
    os.link(tmp_path / "tree/shard.tar", tmp_path / "cache/0f")
    (tmp_path / "cache/alone").write_bytes(b"." * 10)
    read: list[Any] = []
    search = scan._search

    def counted(needles: Needles, file: Any) -> scan.Content:
        read.append(file.name)
        return search(needles, file)

    monkeypatch.setattr(scan, "_search", counted)
    links: scan.Links = {}
    tree, cache = (scan.folder(NEEDLES, tmp_path / name, links=links) for name in ("tree", "cache"))
    assert len(read) == 2
    assert (tree.objects, tree.bytes, tree.pieces, tree.where) == (1, 164, 1, ["shard.tar (pieces)"])
    assert (cache.objects, cache.bytes, cache.pieces, cache.where) == (2, 174, 1, ["0f (pieces)"])


def test_chosen_rows_are_those_of_the_whole_manifest_and_the_root_is_checked(project: Project) -> None:
    vault, folder = Vault(), project.data / "ingest/films"
    every = read_rows(folder, FilmRow, vault)
    private = list(chosen_rows(folder, FilmRow, lambda c: [is_private(f or "") for f in texts(c, "film_id")], vault))
    assert private == [row for row in every if is_private(row.film_id)] and {row.key for row in private} > {NAME}
    clips = project.data / "ingest/clips"
    mine = list(chosen_rows(clips, ClipRow, lambda c: [f == project.films[NAME] for f in texts(c, "film_id")], vault))
    assert [row.clip_id for row in mine] == [project.clip(NAME)]
    assert not list(chosen_rows(clips, ClipRow, lambda c: [False] * len(c["clip_id"]), vault))
    table = pq.read_table(folder / ROWS)
    place = table.schema.get_field_index("status")
    pq.write_table(table.set_column(place, "status", pa.array(["denied"] * len(table))), folder / ROWS)
    with pytest.raises(AiprodError, match="Merkle root"):
        list(chosen_rows(folder, FilmRow, lambda c: [False] * len(c["film_id"]), vault))
