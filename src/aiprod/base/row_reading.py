"""Validated rows out of a manifest's table, a batch at a time, with the leaf hashes of what was stored."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from aiprod.base.errors import AiprodError
from aiprod.base.files import canonical_json
from aiprod.base.row_building import RowBuilder, is_buildable
from aiprod.base.row_text import RowText

_READ_PART = 1024
_LONG = 256  # bytes a cell from which on text is left as bytes: it is hashed and parsed as such

M = TypeVar("M", bound=BaseModel)


def rows_of(
    path: Path,
    row_model: type[M],
    leaves: list[bytes],
    *,
    without: Collection[str] = (),
    groups: list[int] | None = None,
) -> Iterator[M]:
    """The rows of a table, or of some of the parts that it is stored in; ``leaves`` grows by theirs as they are read.

    Args:
        without: fields that are hashed and left at their defaults.

    Raises:
        AiprodError: missing, unreadable, or a row that does not validate.
    """
    text = RowText(row_model)
    with _readable(path), pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=_READ_PART, row_groups=groups):
            columns = _cells(batch, text.nested)
            if text.joinable and columns.keys() == text.all_names:
                leaves += text.leaves(columns)
                yield from _validated(columns, row_model, text, path, without)
            else:  # another version wrote fewer fields
                for row in _validated(columns, row_model, text, path, ()):
                    leaves.append(hashlib.sha256(b"\0" + canonical_json(row.model_dump(mode="json"))).digest())
                    yield row


def group_sizes(path: Path) -> list[int]:
    """Rows of each part that a table is stored in.

    Raises:
        AiprodError: missing or unreadable.
    """
    with _readable(path), pq.ParquetFile(path) as file:
        return [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise AiprodError(f"{path} does not exist", "run `dvc repro` to make it") from None
    except (pa.ArrowInvalid, OSError) as error:
        raise AiprodError(f"{path} is damaged ({error})", "restore it with `dvc checkout`") from None


def _cells(batch: pa.RecordBatch, nested: Collection[str]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for name, values in zip(batch.schema.names, batch.columns, strict=True):
        long = name in nested and pa.types.is_string(values.type) and values.nbytes > _LONG * len(values)
        found[name] = (values.view(pa.binary()) if long else values).to_pylist()
    return found


def _validated(
    columns: dict[str, list[Any]], row_model: type[M], text: RowText, path: Path, without: Collection[str]
) -> Iterator[M]:
    whole = columns.keys() == text.all_names
    wanted = {
        name: [_parsed(cell) for cell in cells] if name in text.nested else cells
        for name, cells in columns.items()
        if name not in without
    }
    try:
        built = _built(wanted, row_model) if whole and is_buildable(row_model) else None
        if built is not None:
            yield from built
            return
        for values in zip(*wanted.values(), strict=True):
            row = row_model.model_validate(dict(zip(wanted, values, strict=True)))
            if whole:  # one set for all rows: each row's own would be most of its memory
                object.__setattr__(row, "__pydantic_fields_set__", text.all_names)
            yield row
    except ValidationError as error:
        raise AiprodError(f"{path}: a row does not validate: {error.errors()[0]}", "run `dvc repro`") from None


def _built(columns: dict[str, list[Any]], row_model: type[M]) -> list[M] | None:
    """The rows of these columns; None where some value is not valid, so that the row to blame can be looked for."""
    try:
        return list(RowBuilder(row_model, list(columns)).rows(columns))
    except ValidationError:
        return None


def _parsed(cell: Any) -> Any:
    if not isinstance(cell, str | bytes):
        return cell
    try:
        return [] if cell == "[]" else {} if cell == "{}" else from_json(cell)
    except ValueError as error:
        raise pa.ArrowInvalid(f"a cell is not JSON: {error}") from None
