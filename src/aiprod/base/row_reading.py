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
from aiprod.base.row_text import RowText

_READ_PART = 1024

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
        without: nested fields that are hashed and left at their defaults.

    Raises:
        AiprodError: missing, unreadable, or a row that does not validate.
    """
    text = RowText(row_model)
    with _readable(path), pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=_READ_PART, row_groups=groups):
            columns = batch.to_pydict()
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


def _validated(
    columns: dict[str, list[Any]], row_model: type[M], text: RowText, path: Path, without: Collection[str]
) -> Iterator[M]:
    whole = columns.keys() == text.all_names
    names = [name for name in columns if name not in without]
    cells = [map(_parsed, columns[name]) if name in text.nested else columns[name] for name in names]
    try:
        for values in zip(*cells, strict=True):
            row = row_model.model_validate(dict(zip(names, values, strict=True)))
            if whole:  # one set for all rows: each row's own would be most of its memory
                object.__setattr__(row, "__pydantic_fields_set__", text.all_names)
            yield row
    except ValidationError as error:
        raise AiprodError(f"{path}: a row does not validate: {error.errors()[0]}", "run `dvc repro`") from None


def _parsed(cell: Any) -> Any:
    if not isinstance(cell, str):
        return cell
    try:
        return [] if cell == "[]" else {} if cell == "{}" else from_json(cell)
    except ValueError as error:
        raise pa.ArrowInvalid(f"a cell is not JSON: {error}") from None
