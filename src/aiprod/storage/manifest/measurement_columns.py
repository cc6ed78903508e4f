"""Measurements as typed columns: the figure ``fps`` of the measurement ``timing`` is the column ``timing.fps``.

A figure without a value is absent. A column of numbers is one of doubles where one of them is no whole number; figures
that are lists, or of several kinds, are JSON text (``pa.json_()``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

import orjson
import pyarrow as pa

from aiprod.base.canonical_json import canonical_json
from aiprod.storage.manifest.arrow import column

Measured = Mapping[str, Mapping[str, Any]]
_KINDS = {
    frozenset({bool}): pa.bool_(),
    frozenset({int}): pa.int64(),
    frozenset({float}): pa.float64(),
    frozenset({int, float}): pa.float64(),
    frozenset({str}): pa.string(),
}


def without_absent(measured: Measured) -> dict[str, dict[str, Any]]:
    """The measurements without figures that have no value."""
    present = {name: {n: v for n, v in figures.items() if v is not None} for name, figures in measured.items()}
    return {name: figures for name, figures in present.items() if figures}


def figure_kinds(rows: Iterable[Measured]) -> dict[str, set[type]]:
    """Each figure that some row has, and the types of its values; sorted."""
    kinds: dict[str, dict[str, set[type]]] = {}
    for row in rows:
        for section, figures in row.items():
            known = kinds.setdefault(section, {})
            for name, value in figures.items():
                known.setdefault(name, set()).add(type(value))
    types = {
        f"{section}.{name}": seen - {type(None)} for section, names in kinds.items() for name, seen in names.items()
    }
    return {name: seen for name, seen in sorted(types.items()) if seen}


def figure_types(kinds: Mapping[str, Set[type]]) -> dict[str, pa.DataType]:
    """The type of each figure's column; sorted."""
    return {name: _KINDS.get(frozenset(seen), pa.json_()) for name, seen in sorted(kinds.items())}


def figure_columns(rows: Sequence[Measured], types: Mapping[str, pa.DataType]) -> dict[str, pa.Array]:
    """The columns of some rows; ``types`` is that of all rows."""
    grouped: dict[str, list[str]] = {}
    for name in types:
        section, _, figure = name.partition(".")
        grouped.setdefault(section, []).append(figure)
    columns: dict[str, pa.Array] = {}
    for section, names in grouped.items():
        parts = [row.get(section, {}) for row in rows]
        for figure in names:
            kind = types[f"{section}.{figure}"]
            cells = [part.get(figure) for part in parts]
            if isinstance(kind, pa.JsonType):
                cells = [None if cell is None else canonical_json(cell).decode() for cell in cells]
            columns[f"{section}.{figure}"] = column(cells, kind)
    return columns


def measurements_of(columns: Mapping[str, pa.Array], count: int) -> list[dict[str, dict[str, Any]]]:
    """The measurements of each row, from its columns."""
    rows: list[dict[str, dict[str, Any]]] = [{} for _ in range(count)]
    for name, values in columns.items():
        section, _, figure = name.partition(".")
        cells = values.to_pylist()
        if isinstance(values.type, pa.JsonType):
            cells = [None if cell is None else parsed(cell) for cell in cells]
        for row, cell in zip(rows, cells, strict=True):
            if cell is not None:
                row.setdefault(section, {})[figure] = cell
    return rows


def parsed(text: str) -> Any:
    """The value of JSON text; a whole number of more than 64 bits, which no row has, comes as floating point.

    Raises:
        pyarrow.ArrowInvalid: it is not JSON.
    """
    try:
        return orjson.loads(text)
    except ValueError as error:
        raise pa.ArrowInvalid(f"a cell is not JSON: {error}") from None
