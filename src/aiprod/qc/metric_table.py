"""The figures of many clips as columns: what rules read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from aiprod.base.canonical_json import canonical_json
from aiprod.storage.manifest.arrow import to_numpy
from aiprod.storage.manifest.canonical_rows import texts_of
from aiprod.storage.manifest.measurement_columns import Measured, figure_columns, figure_kinds, figure_types, parsed

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
STATUSES = ("ok", "error", "unmeasurable", "not_evaluated")
NO_REASON = "the measurement gives no reason"


class FigureColumns:
    """The figures of one measurement, a column each; a figure that no clip has is a column without values."""

    def __init__(self, columns: Mapping[str, pa.Array], count: int) -> None:
        self.count = count
        self._columns = dict(columns)
        self._numbers: dict[str, Floats] = {}
        self._flags: dict[str, Mask] = {}

    def columns(self) -> Mapping[str, pa.Array]:
        """The columns by figure."""
        return self._columns

    def release(self, name: str) -> None:
        """Drop a column; the figure reads as if no clip had it."""
        self._columns.pop(name, None)

    def has(self, name: str) -> Mask:
        """Where there is a value."""
        column = self._columns.get(name)
        return np.zeros(self.count, np.bool_) if column is None else to_numpy(column.is_valid(), False)

    def values(self, name: str) -> list[Any]:
        """The values as JSON has them; None where there is none. Equal texts and lists may be one object."""
        column = self._columns.get(name)
        if column is None:
            return [None] * self.count
        if _is_text(column.type):
            known, which = self._encoded(column)
            return list(known[which])
        cells: list[Any] = column.to_pylist()
        return cells

    @staticmethod
    def _encoded(column: pa.Array) -> tuple[NDArray[np.object_], NDArray[np.int64]]:
        """The different values of a column of text or JSON, None the last of them, and which each clip has."""
        as_json = isinstance(column.type, pa.JsonType)
        plain = column.storage if as_json else column
        whole = plain if pa.types.is_dictionary(plain.type) else plain.dictionary_encode()
        texts = whole.dictionary.to_pylist()
        known = np.empty(len(texts) + 1, object)
        for i, text in enumerate(texts):
            known[i] = parsed(text) if as_json else text
        return known, to_numpy(whole.indices, len(texts)).astype(np.int64)

    def number(self, name: str) -> Floats:
        """The values as numbers, NaN where there is none."""
        if name not in self._numbers:
            self._numbers[name] = compact(self._number(name))
        return self._numbers[name]

    def flag(self, name: str) -> Mask:
        """Whether there is a value that is true, as Python has it."""
        if name not in self._flags:
            self._flags[name] = compact(self._flag(name))
        return self._flags[name]

    def _number(self, name: str) -> Floats:
        column = self._columns.get(name)
        if column is None:
            return np.full(self.count, np.nan)
        if pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_boolean(column.type):
            numbers = to_numpy(column.cast(pa.float64()), np.nan)
            negative = np.signbit(numbers[numbers == 0]).any()  # in JSON there is no negative zero
            return numbers + 0.0 if negative else numbers  # else the memory of the column itself
        cells = self.values(name)
        return np.array([float(v) if isinstance(v, int | float) else np.nan for v in cells], np.float64) + 0.0

    def _flag(self, name: str) -> Mask:
        column = self._columns.get(name)
        if column is None:
            return np.zeros(self.count, np.bool_)
        if pa.types.is_boolean(column.type):
            return to_numpy(column, False)
        return np.array([bool(v) for v in self.values(name)], np.bool_)

    def text(self, name: str) -> NDArray[np.object_]:
        """The values as text, None where there is none."""
        known, which = self.distinct(name)
        texts = np.empty(len(known), object)
        texts[:] = known
        return texts[which]

    def distinct(self, name: str) -> tuple[list[str | None], NDArray[np.int64]]:
        """The different texts of a figure, and which of them each clip has."""
        column = self._columns.get(name)
        if column is None:
            return [None], np.zeros(self.count, np.int64)
        if not _is_text(column.type):
            column = texts_of(column)
        known, which = self._encoded(column)
        return [v if v is None or type(v) is str else canonical_json(v).decode() for v in known], which

    @cached_property
    def status(self) -> NDArray[np.int8]:
        """Places in ``STATUSES``; without a status, or with another one, it is an error."""
        known, which = self.distinct("status")
        codes = np.array([STATUSES.index(s) if s in STATUSES else 1 for s in known] or [1], np.int8)
        return compact(codes[which])

    @cached_property
    def ok(self) -> Mask:
        """Where it could be measured."""
        return self.status == 0

    @cached_property
    def reason(self) -> NDArray[np.object_]:
        """Why it could not be measured."""
        known, which = self.distinct("reason")
        return compact(np.array([reason or NO_REASON for reason in known], object)[which])


class FigureTable:
    """The figures of some clips.

    Args:
        columns: by ``<measurement>.<figure>``.
    """

    def __init__(self, columns: Mapping[str, pa.Array], count: int) -> None:
        self.count = count
        grouped: dict[str, dict[str, pa.Array]] = {}
        for name, values in columns.items():
            section, _, figure = name.partition(".")
            grouped.setdefault(section, {})[figure] = values
        self._sections = {name: FigureColumns(members, count) for name, members in grouped.items()}

    @classmethod
    def of(cls, rows: Sequence[Measured]) -> Self:
        """The table of measurements by row."""
        return cls(figure_columns(rows, figure_types(figure_kinds(rows))), len(rows))

    def columns(self) -> dict[str, pa.Array]:
        """All columns, by ``<measurement>.<figure>``."""
        sections = self._sections.items()
        return {f"{name}.{figure}": v for name, section in sections for figure, v in section.columns().items()}

    def release(self, measurement: str, figure: str) -> None:
        """Drop a large figure that nobody asks for any more."""
        if measurement in self._sections:
            self._sections[measurement].release(figure)

    def __getitem__(self, measurement: str) -> FigureColumns:
        if measurement not in self._sections:
            self._sections[measurement] = FigureColumns({}, self.count)
        return self._sections[measurement]


def _is_text(kind: pa.DataType) -> bool:
    return isinstance(kind, pa.JsonType) or pa.types.is_string(kind) or pa.types.is_dictionary(kind)


def compact(values: NDArray[Any]) -> NDArray[Any]:
    """The same values; where they are all the same, one that stands for all (to be read only)."""
    if values.size < 2 or not any(values.strides):
        return values
    bits = values.view(np.int64) if values.dtype == np.float64 else values  # zero has a sign, and nothing equals NaN
    if values.dtype.kind == "O" and not isinstance(values[0], str):
        return values
    return np.broadcast_to(values[:1].copy(), values.shape) if (bits == bits[0]).all() else values
