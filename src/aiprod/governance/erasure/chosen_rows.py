"""Some rows of a manifest of very many: every row is hashed and compared with the head, and only these are validated
and opened with their keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from aiprod.storage.crypto.film_encryption import Vault
from aiprod.storage.manifest.arrow import from_numpy, readable
from aiprod.storage.manifest.canonical_rows import Columns
from aiprod.storage.manifest.manifest import ROWS, Row, iter_batches, opened_rows
from aiprod.storage.manifest.measurement_columns import parsed

R = TypeVar("R", bound=Row)


def chosen_rows(folder: Path, model: type[R], wanted: Callable[[Columns], Sequence[bool]], vault: Vault) -> Iterator[R]:
    """The rows for whose columns ``wanted`` says so, what is private filled in. Models with figures are not read.

    Raises:
        AiprodError: as :func:`~aiprod.storage.manifest.manifest.read_rows`; after the last row.
    """
    unread: Any = SimpleNamespace()  # belongs to nobody, so that there is nothing to open

    def rows() -> Iterator[R]:
        for columns in iter_batches(folder, model):
            chosen = wanted(columns)
            validated = iter(_validated(model, columns, np.flatnonzero(np.array(chosen, np.bool_))))
            yield from (next(validated) if is_wanted else unread for is_wanted in chosen)

    return (row for row in opened_rows(folder, rows(), vault) if row is not unread)


def texts(columns: Columns, name: str) -> list[str | None]:
    """A column of text; of a manifest that is older than the field, no text in any row."""
    if name not in columns:
        return [None] * len(next(iter(columns.values())))
    column: list[str | None] = columns[name].to_pylist()
    return column


def unchecked_columns(folder: Path, names: Sequence[str]) -> Iterator[Columns]:
    """Columns of text of a manifest whose rows were compared with its head before.

    Raises:
        AiprodError: it cannot be read.
    """
    with readable(folder / ROWS), pq.ParquetFile(folder / ROWS) as file:
        there = [name for name in names if name in file.schema_arrow.names]
        for batch in file.iter_batches(columns=there):
            yield dict(zip(batch.schema.names, batch.columns, strict=True))


def _validated(model: type[R], columns: Columns, places: np.ndarray) -> list[R]:
    if not len(places):
        return []
    taken = from_numpy(places.astype(np.int64))
    cells = {name: _cells(values.take(taken)) for name, values in columns.items()}
    return [model.model_validate(dict(zip(cells, row, strict=True))) for row in zip(*cells.values(), strict=True)]


def _cells(values: pa.Array) -> list[Any]:
    if isinstance(values.type, pa.JsonType):
        return [None if text is None else parsed(text) for text in values.storage.to_pylist()]
    cells: list[Any] = values.to_pylist()
    return cells
