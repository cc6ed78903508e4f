"""A few rows of a manifest of a million: columns stay in Arrow, and only the cells that are asked for become Python."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from aiprod.governance.dataset.lazy_rows import RowView, Table
from aiprod.storage.manifest.arrow import column
from aiprod.storage.manifest.row_columns import is_nested


class SparseTable(Table):
    """The same table, whose columns are not made into lists. Its bytes are taken to be what dvc.lock records."""

    def arrow(self, name: str) -> pa.Array:
        """A column; JSON as its text. One that an older file lacks has its default in every row."""
        if name not in self._present:
            about = self._model.model_fields[name]
            default = None if about.is_required() else about.get_default(call_default_factory=True)
            text = json.dumps(default) if is_nested(about.annotation) and default is not None else default
            return pa.repeat(pa.scalar(text, pa.string() if text is None else None), self.count)
        whole = self._columns([name]).column(0).combine_chunks()
        found = whole.chunk(0) if isinstance(whole, pa.ChunkedArray) else whole
        return found.storage if isinstance(found.type, pa.BaseExtensionType) else found

    def _read(self, name: str) -> Any:
        about = self._model.model_fields.get(name)
        if about is None or (name not in self._present):
            return super()._read(name)
        return _Cells(self.arrow(name), nested=is_nested(about.annotation))


class _Cells:
    """A column whose cells are read one by one."""

    def __init__(self, values: pa.Array, *, nested: bool) -> None:
        self._values, self._nested = values, nested

    def __getitem__(self, index: int) -> Any:
        value = self._values[index].as_py()
        return json.loads(value) if self._nested and isinstance(value, str) else value


class ById(Mapping[str, Any]):
    """Rows by id. Looking one up reads the ids from the first on: meant for few of many.

    Args:
        key: the column of ids.
        other: rows that are not as the table has them.
    """

    def __init__(self, table: SparseTable, key: str, other: Mapping[str, Any] | None = None) -> None:
        self.table, self._other = table, dict(other or {})
        self.ids = table.arrow(key)

    def __getitem__(self, name: str) -> Any:
        if name in self._other:
            return self._other[name]
        place = pc.index(self.ids, column([name], pa.string())[0]).as_py()
        if place < 0:
            raise KeyError(name)
        return RowView(self.table, place)

    def __iter__(self) -> Iterator[str]:
        return iter(self.ids.to_pylist())

    def __len__(self) -> int:
        return len(self.ids)
