"""Rows of a manifest read column by column, on demand: for walking a hundred thousand clips in seconds.

This reader neither validates rows nor recomputes their Merkle root. It is for manifests whose bytes were just found to
be those that dvc.lock records; everything else goes through ``aiprod.storage.manifest.manifest.read_rows``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from aiprod.storage.manifest.arrow import readable
from aiprod.storage.manifest.manifest import Row
from aiprod.storage.manifest.measurement_columns import measurements_of
from aiprod.storage.manifest.row_columns import is_nested


class LazyTable:
    """A Parquet file of rows of ``model``; a column that an older file lacks takes the model's default."""

    def __init__(self, path: Path, model: type[Row]) -> None:
        with readable(path):
            self._file = pq.ParquetFile(path)
        self._path, self._model = path, model
        self._present = set(self._file.schema_arrow.names)
        self.known: dict[str, list[Any]] = {}
        self._groups: dict[tuple[str, ...], list[list[Any]]] = {}
        self.count = self._file.metadata.num_rows

    def rows(self) -> list[RowView]:
        """All rows."""
        return [RowView(self, index) for index in range(self.count)]

    def column(self, name: str) -> list[Any]:
        """The values of a column.

        Raises:
            AttributeError: rows have no such field.
        """
        if name not in self.known:
            self.known[name] = self._read(name)
        return self.known[name]

    def columns(self, names: tuple[str, ...]) -> list[list[Any]]:
        """The values of several columns."""
        if names not in self._groups:
            self._groups[names] = [self.column(name) for name in names]
        return self._groups[names]

    def _read(self, name: str) -> list[Any]:
        about = self._model.model_fields.get(name)
        if about is None:
            raise AttributeError(f"{self._model.__name__} has no field {name!r}")
        if name not in self._present and name == self._model.FIGURES:
            return self._figures()
        if name not in self._present:
            return [None if about.is_required() else about.get_default(call_default_factory=True)] * self.count
        values: list[Any] = self._columns([name]).column(0).to_pylist()
        if is_nested(about.annotation):
            known: dict[str, Any] = {}  # most cells of a column repeat (proofs, obligations, labels)
            for index, text in enumerate(values):
                if isinstance(text, str):
                    if text not in known:
                        known[text] = json.loads(text)
                    values[index] = known[text]
        return values

    def _figures(self) -> list[Any]:
        names = [column for column in self._file.schema_arrow.names if "." in column]
        table = self._columns(names).combine_chunks()
        columns = {n: values.chunk(0) for n, values in zip(names, table.columns, strict=True) if values.num_chunks}
        return list(measurements_of(columns, self.count))

    def _columns(self, names: list[str], groups: Sequence[int] | None = None) -> pa.Table:
        """These columns, of all rows or of those of some row groups."""
        with readable(self._path):
            if groups is None:
                table = self._file.read(columns=names)
            else:
                table = self._file.read_row_groups(groups, columns=names)
            table.validate(full=True)  # Parquet does not ask whether a text is UTF-8
        return table


def fields(row: Any, names: tuple[str, ...]) -> list[Any]:
    """Several fields of a row, a view or a pydantic model; of a view faster than one by one."""
    if isinstance(row, RowView) and not row._other:
        index = row._index
        return [column[index] for column in row._table.columns(names)]
    return [getattr(row, name) for name in names]


class RowView:
    """One row; attributes are the fields of its model. Equal nested values may be one object: do not change them."""

    __slots__ = ("_index", "_other", "_table")

    def __init__(self, table: LazyTable, index: int, other: dict[str, Any] | None = None) -> None:
        self._table, self._index, self._other = table, index, other or {}

    def __getattr__(self, name: str) -> Any:
        if self._other and name in self._other:
            return self._other[name]
        try:
            return self._table.known[name][self._index]
        except KeyError:
            return self._table.column(name)[self._index]

    def model_copy(self, *, update: dict[str, Any]) -> RowView:
        """The same row with other values in some fields, as of a pydantic model."""
        return RowView(self._table, self._index, {**self._other, **update})
