"""Rows of a stage's last manifest, kept beside what each was made from, so that the next run need not make them again.

A stage that has a hundred thousand known clips and a new one would read every result again, make a row of it and turn
that into columns and into its canonical text. What a row was made from is one digest: of its rows in the tables that
the stage reads (their Merkle leaves), and of whatever else decides it; what all rows share (code, parameters) is the
context. Where both are the same, the cells and the leaf are taken over as they are, and the manifest has the same
bytes.

The file is in the state folder, for DVC removes a stage's outputs before it runs. It appears by rename and ends with
its SHA-256; one that is damaged, or of another context, counts as absent. Only rows that are settled are in it, and
none of a film with personal data, so that nothing that can be erased is kept here; an erasure removes it all the same.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import mmap
from bisect import bisect_left
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from aiprod.base.canonical_json import canonical_json
from aiprod.base.files import atomic_path
from aiprod.errors import AiprodError
from aiprod.storage.manifest.arrow import column, from_numpy, taken
from aiprod.storage.manifest.canonical_rows import row_leaves, texts_of
from aiprod.storage.manifest.row_columns import RowColumns

_ID, _MADE_FROM, _LEAF, _NOTE = "_id", "_made_from", "_leaf", "_note"
_OWN = (_ID, _MADE_FROM, _LEAF, _NOTE)
_FORMAT = "1"
_DIGEST = 32  # bytes of SHA-256
_KIND = {"string": str, "int64": int, "double": float, "bool": bool}

Cells = Mapping[str, pa.Array]


class Carried:
    """Rows that an earlier run kept, and those that this one keeps.

    Args:
        path: the file; None where nothing is to be taken over or kept.
        context: digest of what all rows share.
        statuses: of the rows that may be taken over.
    """

    def __init__(self, path: Path | None, context: str, statuses: Collection[str] = ("ok",)) -> None:
        self._path, self._context, self.statuses = path, context, frozenset(statuses)
        self._table = None if path is None else _read(path, context)
        self._place: dict[str, int] = {}
        self._made_from, self._leaves, self._json, self._raw = b"", b"", frozenset[str](), frozenset[str]()
        if self._table is not None:
            said = json.loads(self._table.schema.metadata[b"columns"])
            self._json, self._raw = frozenset(said["json"]), frozenset(said["raw"])
            ids = _texts(self._table, _ID)
            self._place = {name: place for place, name in enumerate(ids)}
            self._made_from, self._leaves = (_fixed(self._table, name) for name in (_MADE_FROM, _LEAF))
        self.ids: list[str] = []
        """Of the rows that are taken over, sorted."""
        self._places: list[int] = []
        self.made_from: dict[str, bytes] = {}
        """Id → what the row was made from, of rows that may be taken over by the next run: set by :meth:`take_over`."""
        self.notes: dict[str, str] = {}
        """Id → what the stage wants to know of the row again, set by the stage."""

    def same(self, made_from: Mapping[str, bytes]) -> dict[str, str]:
        """Id → note of each row that was made from the same."""
        size, kept = _DIGEST, self._made_from
        same = {
            name: place
            for name, digest in made_from.items()
            if (place := self._place.get(name)) is not None and kept[size * place : size * (place + 1)] == digest
        }
        if self._table is None or not same:
            return {}
        notes = _texts(self._table, _NOTE)
        return {name: notes[place] for name, place in same.items()}

    def origins(self) -> dict[bytes, list[tuple[str, str]]]:
        """What rows were made from → id and note of each of them."""
        rows: dict[bytes, list[tuple[str, str]]] = {}
        if self._table is not None:
            for (name, place), note in zip(self._place.items(), _texts(self._table, _NOTE), strict=True):
                rows.setdefault(self._made_from[_DIGEST * place : _DIGEST * (place + 1)], []).append((name, note))
        return rows

    def take_over(self, notes: Mapping[str, str], made_from: Mapping[str, bytes]) -> None:
        """Take over these rows; what :meth:`same` said of them is kept for the next run.

        Args:
            made_from: of every row of this run.
        """
        self.ids = sorted(notes)
        self._places = [self._place[name] for name in self.ids]
        self.made_from, self.notes = dict(made_from), dict(notes)

    def forget(self) -> None:
        """Remove the file."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    # What the writer of a manifest asks.

    def kinds(self) -> dict[str, frozenset[type]]:
        """Field or figure → the Python types of its cells in the rows that are taken over; none where all are empty."""
        if self._table is None or not self.ids:
            return {}
        every = len(self.ids) == self._table.num_rows
        wanted = None if every else from_numpy(np.array(self._places, np.int64))
        kinds: dict[str, frozenset[type]] = {}
        for name in self._columns():
            cells = self._table.column(name)
            cells = cells if wanted is None else cells.take(wanted)
            if name in self._raw:
                kinds[name] = frozenset(type(v) for v in _parsed(cells.to_pylist())) - {type(None)}
            elif cells.null_count < len(cells):
                kinds[name] = frozenset({list if name in self._json else _KIND[str(cells.type)]})
        return kinds

    def cells(self, start: int, stop: int, schema: pa.Schema) -> dict[str, pa.Array]:
        """The columns of some of the rows that are taken over."""
        places = np.array(self._places[start:stop], np.int64)
        part = self._slice(places)
        return {f.name: self._typed(f.name, part, len(places), f.type) for f in schema}

    def raw(self, start: int, stop: int, name: str) -> list[Any]:
        """The values of a figure, told apart by their types, in some of those rows."""
        if start == stop:
            return []
        part = self._slice(np.array(self._places[start:stop], np.int64))
        if name not in part.column_names:
            return [None] * (stop - start)
        cells = part.column(name).to_pylist()
        return _parsed(cells) if name in self._raw or name in self._json else cells

    def leaves(self, start: int, stop: int) -> list[bytes]:
        """Their Merkle leaves."""
        size, kept = _DIGEST, self._leaves
        return [kept[size * place : size * (place + 1)] for place in self._places[start:stop]]

    def field(self, name: str) -> list[Any]:
        """The cells of a column of all rows that are taken over, for what is counted over a table."""
        if self._table is None or name not in self._table.column_names or not self.ids:
            return [None] * len(self.ids)
        cells = self._table.column(name).to_pylist()
        cells = _parsed(cells) if name in self._raw else cells
        return [cells[place] for place in self._places]

    def _columns(self) -> list[str]:
        assert self._table is not None
        return [name for name in self._table.column_names if name not in _OWN]

    def _slice(self, places: np.ndarray) -> pa.Table:
        assert self._table is not None
        first = int(places[0])
        return self._table.slice(first, int(places[-1]) + 1 - first).take(from_numpy(places - first)).combine_chunks()

    def _typed(self, name: str, part: pa.Table, count: int, kind: pa.DataType) -> pa.Array:
        if name not in part.column_names:
            return column([None] * count, kind)
        [cells] = part.column(name).chunks
        if isinstance(kind, pa.JsonType):
            if name in self._raw:
                cells = column([None if v is None else canonical_json(v).decode() for v in _values(cells)], pa.string())
            elif name not in self._json:
                cells = texts_of(cells)
            return pa.ExtensionArray.from_storage(kind, cells)
        if name in self._raw:
            return column(_values(cells), kind)
        if cells.type == kind:
            return cells
        return column([None] * count, kind) if cells.null_count == count else cells.cast(kind)


class CarriedWriter:
    """Writes the rows of a manifest that the next run may take over, as they come.

    Args:
        mixed: figures whose values have several types, which a column would make equal.
    """

    def __init__(self, carried: Carried, temporary: Path, schema: pa.Schema, mixed: frozenset[str]) -> None:
        self._carried, self._mixed, self._temporary = carried, mixed, temporary
        nested = [field.name for field in schema if isinstance(field.type, pa.JsonType) and field.name not in mixed]
        kinds = [(f.name, pa.string() if f.name in (*nested, *mixed) else f.type) for f in schema]
        own = [(_ID, pa.string()), (_MADE_FROM, pa.binary(_DIGEST)), (_LEAF, pa.binary(_DIGEST)), (_NOTE, pa.string())]
        said = json.dumps({"json": sorted(nested), "raw": sorted(mixed)})
        about = {"format": _FORMAT, "context": carried._context, "columns": said}
        self._schema = pa.schema([*own, *kinds], metadata=about)
        self._writer = pa.ipc.new_stream(str(temporary), self._schema)

    def write(
        self,
        ids: Sequence[str],
        fit: Sequence[bool],
        leaves: Sequence[bytes],
        cells: Cells,
        raw: Mapping[str, list[Any]],
    ) -> None:
        """Keep those rows of a part that fit and of which is known what they were made from.

        Args:
            raw: the values of each mixed figure.
        """
        made_from, notes = self._carried.made_from, self._carried.notes
        places = [i for i, name in enumerate(ids) if fit[i] and name in made_from]
        if not places:
            return
        chosen = from_numpy(np.array(places, np.int64))
        names = [ids[i] for i in places]
        columns: dict[str, pa.Array] = {
            _ID: column(names, pa.string()),
            _MADE_FROM: _digests([made_from[name] for name in names]),
            _LEAF: _digests([leaves[i] for i in places]),
            _NOTE: column([notes.get(name, "") for name in names], pa.string()),
        }
        for name, values in cells.items():
            if name in self._mixed:
                texts = [None if raw[name][i] is None else json.dumps(raw[name][i]) for i in places]
                columns[name] = column(texts, pa.string())
            else:
                stored = values.storage if isinstance(values.type, pa.BaseExtensionType) else values
                columns[name] = stored.take(chosen)
        self._writer.write_batch(pa.record_batch([columns[f.name] for f in self._schema], schema=self._schema))

    def close(self) -> None:
        """End the file with its digest."""
        self._writer.close()
        with open(self._temporary, "r+b") as file:
            digest = hashlib.file_digest(file, "sha256").digest()
            file.seek(0, 2)
            file.write(digest)


@contextlib.contextmanager
def keeping(carried: Carried | None, schema: pa.Schema, mixed: frozenset[str]) -> Iterator[CarriedWriter | None]:
    """A writer of what the next run takes over, whose file replaces the one before when the block ends well."""
    if carried is None or carried._path is None:
        yield None
        return
    with atomic_path(carried._path) as temporary:
        writer = CarriedWriter(carried, temporary, schema, mixed)
        yield writer
        writer.close()


def _read(path: Path, context: str) -> pa.Table | None:
    """The table of a file, where that is whole and of the same context."""
    try:
        with open(path, "rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        whole = pa.py_buffer(data)
        with pa.ipc.open_stream(whole) as reader:
            about = reader.schema.metadata or {}
            if about.get(b"format") != _FORMAT.encode() or about.get(b"context") != context.encode():
                return None
            size = len(data) - _DIGEST
            if hashlib.sha256(memoryview(data)[:size]).digest() != data[size:]:
                return None
            return reader.read_all()
    except (OSError, ValueError, KeyError, pa.ArrowException, AiprodError):
        return None


def _texts(table: pa.Table, name: str) -> list[str]:
    texts: list[str] = table.column(name).to_pylist()
    return texts


def _fixed(table: pa.Table, name: str) -> bytes:
    """The digests of a column, one after the other."""
    chunks = table.column(name).chunks
    return b"".join(
        chunk.buffers()[1][_DIGEST * chunk.offset : _DIGEST * (chunk.offset + len(chunk))].to_pybytes()
        for chunk in chunks
    )


def _digests(values: Sequence[bytes]) -> pa.Array:
    return pa.Array.from_buffers(pa.binary(_DIGEST), len(values), [None, pa.py_buffer(b"".join(values))])


def _values(cells: pa.Array) -> list[Any]:
    return _parsed(cells.to_pylist())


def _parsed(texts: Sequence[str | None]) -> list[Any]:
    return [None if text is None else json.loads(text) for text in texts]


def merged_order(ids: Sequence[str], others: Sequence[str]) -> np.ndarray:
    """Where each row of two sorted lists comes when they are one: numbers of the first, then of the second."""
    places = np.array([bisect_left(ids, name) for name in others], np.int64)
    order = np.empty(len(ids) + len(others), np.int64)
    at = places + np.arange(len(others))
    taken = np.zeros(len(order), np.bool_)
    taken[at] = True
    order[at] = len(ids) + np.arange(len(others))
    order[~taken] = np.arange(len(ids))
    return order


def merged(
    columns: RowColumns,
    carried: Carried,
    order: np.ndarray,
    *,
    ids: Sequence[str],
    fit: Sequence[bool],
    figures: str | None,
    writer: CarriedWriter | None,
    at_once: int,
) -> Iterator[tuple[Mapping[str, pa.Array], list[bytes]]]:
    """Columns and leaves of new rows and of those that are taken over, a part at a time.

    Args:
        order: the number of each row, those that are taken over first.
        ids: of the new rows.
        fit: whether the next run may take a new row over.
        at_once: rows of a part.
    """
    old = new = 0
    for start in range(0, max(1, len(order)), at_once):
        fresh = order[start : start + at_once] >= len(carried.ids)
        old_end, new_end = old + int(np.count_nonzero(~fresh)), new + int(np.count_nonzero(fresh))
        places = np.where(fresh, old_end - old + np.cumsum(fresh) - 1, np.cumsum(~fresh) - 1)
        parts: list[Mapping[str, pa.Array]] = []
        leaves: list[bytes] = []
        if old_end > old:
            parts.append(carried.cells(old, old_end, columns.schema))
            leaves += carried.leaves(old, old_end)
        if new_end > new or not parts:
            parts.append(columns.part(new, new_end))
            leaves += row_leaves(parts[-1], figures)
        whole = parts[0] if len(parts) == 1 else _interleaved(parts, from_numpy(places), columns.schema)
        leaves = [leaves[place] for place in places.tolist()]
        if writer is not None:
            names, fits = [*carried.ids[old:old_end], *ids[new:new_end]], [True] * (old_end - old) + [*fit[new:new_end]]
            raw = {
                name: [*carried.raw(old, old_end, name), *columns.values(new, new_end, name)] for name in columns.mixed
            }
            at = places.tolist()
            writer.write(
                [names[i] for i in at],
                [fits[i] for i in at],
                leaves,
                whole,
                {name: [values[i] for i in at] for name, values in raw.items()},
            )
        old, new = old_end, new_end
        yield whole, leaves


def _interleaved(parts: Sequence[Mapping[str, pa.Array]], places: pa.Array, schema: pa.Schema) -> dict[str, pa.Array]:
    """The rows of both, in order."""
    columns: dict[str, pa.Array] = {}
    for field in schema:
        cells = [part[field.name] for part in parts]
        if isinstance(field.type, pa.JsonType):
            cells = [pa.ExtensionArray.from_storage(field.type, pa.concat_arrays([cell.storage for cell in cells]))]
        columns[field.name] = taken(pa.concat_arrays(cells) if len(cells) > 1 else cells[0], places)
    return columns
