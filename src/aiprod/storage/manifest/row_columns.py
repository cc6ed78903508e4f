"""Rows of one model as columns: scalars as they are, what is nested as JSON text, figures as columns of their own."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
from pydantic import BaseModel

from aiprod.base.canonical_json import canonical_json
from aiprod.storage.manifest.arrow import column, kind_of
from aiprod.storage.manifest.measurement_columns import figure_columns, figure_kinds, figure_types

_SCALARS = (str, int, float, bool, type(None))


def is_nested(annotation: Any) -> bool:
    """Whether values of this type are stored as JSON text (lists, mappings and models are)."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return issubclass(annotation, BaseModel | dict | list | tuple)
    origin = typing.get_origin(annotation)
    if origin in (list, dict, tuple, set):
        return True
    return any(is_nested(a) for a in typing.get_args(annotation)) if origin is not typing.Literal else False


def nested_fields(model: type[BaseModel]) -> set[str]:
    """The fields of a model that are stored as JSON text."""
    return {name for name, field in model.model_fields.items() if is_nested(field.annotation)}


def _is_plain(annotation: Any) -> bool:
    """Whether values of this type are JSON strings, numbers, booleans or null as they are."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return annotation in _SCALARS
    if typing.get_origin(annotation) is typing.Literal:
        return all(type(value) in _SCALARS for value in typing.get_args(annotation))
    arguments = typing.get_args(annotation)
    return typing.get_origin(annotation) in (typing.Union, types.UnionType) and all(map(_is_plain, arguments))


class RowColumns:
    """The columns of some rows, a part at a time.

    Args:
        figures: the field that is measurements by name, if the model has one.
        others: field or figure → the types of its cells in further rows of the same table.
    """

    def __init__(
        self,
        model: type[BaseModel],
        rows: Sequence[BaseModel],
        figures: str | None,
        others: Mapping[str, frozenset[type]] | None = None,
    ) -> None:
        self._rows, self._figures, others = rows, figures, others or {}
        self._names = [name for name in model.model_fields if name != figures]
        self._nested = nested_fields(model)
        self._plain = {name for name in self._names if _is_plain(model.model_fields[name].annotation)}
        kinds = {
            name: pa.json_() if name in self._nested else kind_of(self._values(rows, name), others.get(name, ()))
            for name in self._names
        }
        found: dict[str, set[type]] = figure_kinds(getattr(row, figures) for row in rows) if figures else {}
        for name, seen in others.items():
            if seen and name not in self._names:
                found[name] = found.get(name, set()) | seen
        self._figure_types = figure_types(found)
        self.mixed = frozenset(name for name, seen in found.items() if len(seen) > 1)
        """Figures whose values have several types."""
        self.schema = pa.schema([*kinds.items(), *self._figure_types.items()])

    def values(self, start: int, stop: int, figure: str) -> list[Any]:
        """The values of a figure in those rows, None where it is absent."""
        section, _, name = figure.partition(".")
        return [getattr(row, str(self._figures)).get(section, {}).get(name) for row in self._rows[start:stop]]

    def part(self, start: int, stop: int) -> dict[str, pa.Array]:
        """The columns of the rows from ``start`` on up to ``stop``."""
        rows = self._rows[start:stop]
        nested = self._nested & set(self._names)
        dumped = [row.model_dump(mode="json", include=nested) for row in rows] if nested else []
        columns: dict[str, pa.Array] = {}
        for name in self._names:
            cells = [_cell(row[name]) for row in dumped] if name in nested else self._values(rows, name)
            columns[name] = column(cells, self.schema.field(name).type)
        if self._figures is not None:
            columns |= figure_columns([getattr(row, self._figures) for row in rows], self._figure_types)
        return columns

    def _values(self, rows: Sequence[BaseModel], name: str) -> list[Any]:
        if name in self._plain:
            return [row.__dict__[name] for row in rows]
        return [row.model_dump(mode="json", include={name})[name] for row in rows]


def _cell(value: Any) -> str | None:
    if value is None:
        return None
    if value == []:  # most lists of most rows are empty
        return "[]"
    return canonical_json(value).decode()
