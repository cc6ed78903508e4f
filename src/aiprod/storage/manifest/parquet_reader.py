"""Validated rows out of a manifest's table, a batch at a time, with the leaf hashes of what was stored."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ValidationError

from aiprod.base.files import canonical_json
from aiprod.errors import AiprodError
from aiprod.storage.manifest.canonical_rows import RowText
from aiprod.storage.manifest.row_validation import RowBuilder, is_buildable, valid_columns

_READ_PART = 1024
_ROWS_PART = 256  # what a row holds is parsed, and used while it is near the processor
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
    with _readable(path):
        for columns in _read(path, text, _ROWS_PART, groups):
            if text.joinable and columns.keys() == text.all_names:
                leaves += text.leaves(columns)
                yield from _validated(columns, row_model, text, path, without)
            else:  # another version wrote fewer fields
                for row in _validated(columns, row_model, text, path, ()):
                    leaves.append(_leaf(row))
                    yield row


def columns_of(
    path: Path, row_model: type[BaseModel], leaves: list[bytes], names: Sequence[str]
) -> Iterator[dict[str, list[Any]]]:
    """Some fields of the rows as columns, a batch of rows at a time; ``leaves`` as for :func:`rows_of`.

    Raises:
        AiprodError: missing, unreadable, or a value that does not validate.
    """
    text = RowText(row_model)
    with _readable(path):
        for columns in _read(path, text, _READ_PART):
            whole = text.joinable and columns.keys() == text.all_names and is_buildable(row_model)
            valid = _valid({name: _cells_of(columns, name, text) for name in names}, row_model) if whole else None
            if valid is not None:
                leaves += text.leaves(columns)
                yield valid
            else:
                rows = list(_validated(columns, row_model, text, path, ()))
                leaves += map(_leaf, rows)
                yield {name: [getattr(row, name) for row in rows] for name in names}


def _leaf(row: BaseModel) -> bytes:
    return hashlib.sha256(b"\0" + canonical_json(row.model_dump(mode="json"))).digest()


def _read(path: Path, text: RowText, at_once: int, groups: list[int] | None = None) -> Iterator[dict[str, list[Any]]]:
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=at_once, row_groups=groups):
            yield _cells(batch, text.nested)


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
    wanted = {name: _cells_of(columns, name, text) for name in columns if name not in without}
    try:
        valid = _valid(wanted, row_model) if whole and is_buildable(row_model) else None
        if valid is not None:
            yield from RowBuilder(row_model, list(valid)).rows(valid)
            return
        for values in zip(*wanted.values(), strict=True):
            row = row_model.model_validate(dict(zip(wanted, values, strict=True)))
            if whole:  # one set for all rows: each row's own would be most of its memory
                object.__setattr__(row, "__pydantic_fields_set__", text.all_names)
            yield row
    except ValidationError as error:
        raise AiprodError(f"{path}: a row does not validate: {error.errors()[0]}", "run `dvc repro`") from None


def _valid(columns: dict[str, list[Any]], row_model: type[BaseModel]) -> dict[str, list[Any]] | None:
    """The columns, validated; None where some value is not valid, so that the row to blame can be looked for."""
    free = {
        name: cells
        for name, cells in columns.items()
        if row_model.model_fields[name].annotation == dict[str, Any] and set(map(type, cells)) == {dict}
    }  # names in JSON are text, so nothing is left to be validated, and validating would copy what is large
    try:
        return {**valid_columns(row_model, {n: c for n, c in columns.items() if n not in free}), **free}
    except ValidationError:
        return None


def _cells_of(columns: dict[str, list[Any]], name: str, text: RowText) -> list[Any]:
    if name not in text.nested:
        return columns[name]
    return [[] if cell == "[]" else _parsed(cell) for cell in columns[name]]  # most lists of most rows are empty


def _parsed(cell: Any) -> Any:
    """The value of a cell; a whole number of more than 64 bits, which no row has, comes as floating point."""
    if not isinstance(cell, str | bytes):
        return cell
    try:
        return {} if cell == "{}" else orjson.loads(cell)
    except ValueError as error:
        raise pa.ArrowInvalid(f"a cell is not JSON: {error}") from None
