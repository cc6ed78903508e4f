"""A few rows of a manifest of a million: columns stay in Arrow, and only the cells that are asked for become Python."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import accumulate
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from aiprod.governance.dataset.lazy_rows import LazyTable, RowView
from aiprod.storage.manifest.arrow import column
from aiprod.storage.manifest.row_columns import is_nested


class SparseTable(LazyTable):
    """The same table. A cell is read with its row group, and no column is made into a list."""

    def arrow(self, name: str, groups: Sequence[int] | None = None) -> pa.Array:
        """A whole column; JSON as its text. One that an older file lacks has its default in every row.

        Args:
            groups: the row groups of which it is wanted; None: all.
        """
        if name in self._present:
            return _plain(self._columns([name], groups))
        about = self._model.model_fields[name]
        default = None if about.is_required() else about.get_default(call_default_factory=True)
        text = json.dumps(default) if is_nested(about.annotation) and default is not None else default
        sizes = [self._file.metadata.row_group(group).num_rows for group in groups] if groups is not None else []
        count = self.count if groups is None else sum(sizes)
        return pa.repeat(pa.scalar(text, pa.string() if text is None else None), count)

    def groups_beside(self, name: str, value: str) -> list[int]:
        """Row groups in which, by what the file says of the least and greatest, a column may hold another value."""
        about = self._file.metadata
        if name not in self._present:
            return list(range(about.num_row_groups))
        place, found = self._file.schema_arrow.names.index(name), []
        for group in range(about.num_row_groups):
            said = about.row_group(group).column(place).statistics
            if said is None or not said.has_min_max or {said.min, said.max} != {value}:
                found.append(group)
        return found

    def place(self, key: str, name: str) -> int | None:
        """The row with this id, by what the file says of the first and last id of each row group."""
        first, last = self._bounds(key)
        group = bisect_right(first, name) - 1
        if group < 0 or name > last[group]:
            return None
        ids = _plain(self._file.read_row_group(group, columns=[key]))
        index = pc.index(ids, column([name], pa.string())[0]).as_py()
        return None if index < 0 else self._starts[group] + index

    def is_sorted(self, key: str) -> bool:
        """Whether the file says of its row groups that they follow each other by this id, as manifests are written."""
        flat = [name for pair in zip(*self._bounds(key), strict=True) for name in pair]
        return len(flat) == 2 * self._file.metadata.num_row_groups and flat == sorted(flat)

    def _bounds(self, key: str) -> tuple[list[str], list[str]]:
        """The first and the last id of each row group, as far as the file says."""
        if key not in self._known_bounds:
            about, place = self._file.metadata, self._file.schema_arrow.names.index(key)
            statistics = [about.row_group(group).column(place).statistics for group in range(about.num_row_groups)]
            bounds = [(one.min, one.max) for one in statistics if one is not None and one.has_min_max]
            self._known_bounds[key] = ([one for one, _ in bounds], [one for _, one in bounds])
        return self._known_bounds[key]

    @cached_property
    def _known_bounds(self) -> dict[str, tuple[list[str], list[str]]]:
        return {}

    def cell(self, name: str, index: int) -> Any:
        """One value as it stands in the file."""
        group = bisect_right(self._starts, index) - 1
        return _plain(self._file.read_row_group(group, columns=[name]))[index - self._starts[group]].as_py()

    @cached_property
    def _starts(self) -> list[int]:
        """The first row of each row group."""
        about = self._file.metadata
        sizes = [about.row_group(group).num_rows for group in range(about.num_row_groups)]
        return list(accumulate(sizes[:-1], initial=0))

    def _read(self, name: str) -> Any:
        about = self._model.model_fields.get(name)
        if about is None or name not in self._present:
            return super()._read(name)
        return _Cells(self, name, nested=is_nested(about.annotation))


class _Cells:
    """A column whose cells are read one by one."""

    def __init__(self, table: SparseTable, name: str, *, nested: bool) -> None:
        self._table, self._name, self._nested = table, name, nested

    def __getitem__(self, index: int) -> Any:
        value = self._table.cell(self._name, index)
        return json.loads(value) if self._nested and isinstance(value, str) else value


class ById(Mapping[str, Any]):
    """Rows by id, for few of many.

    Args:
        key: the column of ids, by which the table is sorted.
        other: rows that are not as the table has them.
    """

    def __init__(self, table: SparseTable, key: str, other: Mapping[str, Any] | None = None) -> None:
        self._table, self._key, self._other = table, key, dict(other or {})

    def __getitem__(self, name: str) -> Any:
        if name in self._other:
            return self._other[name]
        place = self._table.place(self._key, name)
        if place is None:
            raise KeyError(name)
        return RowView(self._table, place)

    def __iter__(self) -> Iterator[str]:
        return iter(self._table.arrow(self._key).to_pylist())

    def __len__(self) -> int:
        return self._table.count


def _plain(table: pa.Table) -> pa.Array:
    """The only column of a table in one piece, JSON as text."""
    whole = table.column(0).combine_chunks()
    array = whole.chunk(0) if isinstance(whole, pa.ChunkedArray) else whole
    return array.storage if isinstance(array.type, pa.BaseExtensionType) else array
