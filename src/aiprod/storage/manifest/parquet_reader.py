"""The one reader of manifests' tables: columns of a batch of rows at a time, the leaf hash of each row, and rows."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
from collections.abc import Collection, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, create_model

from aiprod.base.canonical_json import former_canonical_json
from aiprod.errors import AiprodError
from aiprod.storage.manifest.arrow import readable, to_numpy
from aiprod.storage.manifest.canonical_rows import Columns, RootHash, row_leaves
from aiprod.storage.manifest.measurement_columns import measurements_of, parsed
from aiprod.storage.manifest.row_columns import nested_fields

_AT_ONCE = 4096

M = TypeVar("M", bound=BaseModel)


class ParquetReader:
    """Reads the table of one manifest. ``root`` is that of the rows that were read so far.

    Args:
        figures: the field that is measurements by name, if the model has one.
        former: whether the manifest is of format 1, of which the canonical row was another.
    """

    def __init__(self, path: Path, model: type[BaseModel], *, figures: str | None = None, former: bool = False) -> None:
        self._path, self._model, self._former = path, model, former
        self._figures = None if former else figures
        self._nested = nested_fields(model)
        self.root = RootHash()

    def batches(self) -> Iterator[Columns]:
        """The columns of some rows at a time, nested fields as JSON text.

        Raises:
            AiprodError: missing, unreadable, or with a column that the model does not know.
        """
        for columns, _ in self.leaved():
            yield columns

    def leaved(self) -> Iterator[tuple[Columns, list[bytes]]]:
        """The same, and the Merkle leaf of each row.

        Raises:
            AiprodError: as :meth:`batches`.
        """
        with readable(self._path), pq.ParquetFile(self._path) as file:
            threads = file.metadata.num_rows > _AT_ONCE  # for one batch, starting them takes longer than reading it
            # Row groups one by one: over all of them, Arrow reads ahead further than memory allows for.
            groups = range(file.num_row_groups)
            each = (file.iter_batches(_AT_ONCE, row_groups=[group], use_threads=threads) for group in groups)
            for batch in itertools.chain.from_iterable(each):
                batch.validate(full=True)  # Parquet does not ask whether a text is UTF-8
                columns = dict(zip(batch.schema.names, batch.columns, strict=True))
                self._refuse_unknown(columns)
                columns = {name: self._typed(name, values) for name, values in columns.items()}
                leaves = self._leaves(columns)
                self.root.add(leaves)
                yield columns, leaves

    def rows(self, model: type[M], *, without: Collection[str] = ()) -> Iterator[M]:
        """The rows, validated.

        Args:
            without: fields that are hashed and left at their defaults.

        Raises:
            AiprodError: as :meth:`batches`, or a row does not validate.
        """
        for columns in self.batches():
            yield from self.rows_of(columns, model, without=without)

    def rows_of(self, columns: Columns, model: type[M], *, without: Collection[str] = ()) -> list[M]:
        """The rows of these columns.

        Raises:
            AiprodError: one does not validate.
        """
        with self._valid():
            values = self._values(columns, [name for name in self._fields(columns) if name not in without])
            count = len(next(iter(columns.values())))
            cells = zip(*values.values(), strict=True) if values else [()] * count
            rows = _adapter(model).validate_python([dict(zip(values, row, strict=True)) for row in cells])
        every = _every(model)
        for row in rows:  # one set for all rows: each row's own would be most of its memory
            object.__setattr__(row, "__pydantic_fields_set__", every)
        return rows

    def columns(self, names: Sequence[str]) -> Iterator[dict[str, list[Any]]]:
        """Some fields as lists of values, each valid by itself, some rows at a time.

        Raises:
            AiprodError: as :meth:`rows`.
        """
        kind = _columns_of(self._model, tuple(names))
        for columns in self.batches():
            with self._valid():
                yield kind.model_validate(self._values(columns, names, shared=True)).__dict__

    def _fields(self, columns: Columns) -> list[str]:
        return [n for n in self._model.model_fields if n in columns or n == self._figures]

    def _values(self, columns: Columns, names: Sequence[str], *, shared: bool = False) -> dict[str, list[Any]]:
        """The values of some fields.

        Args:
            shared: whether values that are equal may be one object.
        """
        count = len(next(iter(columns.values())))
        by_field: dict[str, list[Any]] = {}
        for name in names:
            if name == self._figures:
                by_field[name] = measurements_of({n: v for n, v in columns.items() if "." in n}, count)
            elif name in columns:
                read = _shared_cells if shared else _cells
                by_field[name] = read(columns[name], nested=name in self._nested)
            else:
                field = self._model.model_fields[name]
                by_field[name] = [None if field.is_required() else field.get_default(call_default_factory=True)] * count
        return by_field

    def _leaves(self, columns: Columns) -> list[bytes]:
        if self._former:
            return self._former_leaves(columns)
        return row_leaves(columns, self._figures)

    def _former_leaves(self, columns: Columns) -> list[bytes]:
        known = self._values(columns, list(columns))
        lacking = {
            name: field.get_default(call_default_factory=True)
            for name, field in self._model.model_fields.items()
            if name not in known and not field.is_required()
        }
        rows = (dict(zip(known, cells, strict=True)) | lacking for cells in zip(*known.values(), strict=True))
        return [hashlib.sha256(b"\0" + former_canonical_json(row)).digest() for row in rows]

    def _typed(self, name: str, values: pa.Array) -> pa.Array:
        if name in self._nested and not isinstance(values.type, pa.JsonType):
            return pa.ExtensionArray.from_storage(pa.json_(), values.cast(pa.string()))
        return values

    def _refuse_unknown(self, columns: Columns) -> None:
        known = set(self._model.model_fields)
        odd = [n for n in columns if n not in known and not ("." in n and self._figures)]
        if odd:
            what = f"{self._path}: a row does not validate: {odd[0]}: Extra inputs are not permitted"
            raise AiprodError(what, "run `dvc repro`")

    @contextlib.contextmanager
    def _valid(self) -> Iterator[None]:
        try:
            yield
        except ValidationError as error:
            what = f"{self._path}: a row does not validate: {error.errors()[0]}"
            raise AiprodError(what, "run `dvc repro`") from None
        except (pa.ArrowException, UnicodeDecodeError) as error:
            raise AiprodError(f"{self._path} is damaged ({error})", "restore it with `dvc checkout`") from None


@cache
def _adapter(model: type[M]) -> TypeAdapter[list[M]]:
    return TypeAdapter(list[model])  # type: ignore[valid-type]


@cache
def _every(model: type[BaseModel]) -> set[str]:
    return set(model.model_fields)


@cache
def _columns_of(model: type[BaseModel], names: tuple[str, ...]) -> type[BaseModel]:
    """A model of columns: for each field of ``model`` a list of what that field takes."""
    fields: dict[str, Any] = {}
    for name in names:
        field = model.model_fields[name]
        kind: Any = Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
        fields[name] = (list[kind], ...)
    config = ConfigDict(extra="forbid", protected_namespaces=())
    return create_model(f"{model.__name__}Columns", __config__=config, **fields)


def _cells(values: pa.Array, *, nested: bool) -> list[Any]:
    cells: list[Any] = values.to_pylist()
    return [_value(cell) for cell in cells] if nested else cells


def _shared_cells(values: pa.Array, *, nested: bool) -> list[Any]:
    """The same, equal ones being one object."""
    texts = values.storage if isinstance(values.type, pa.BaseExtensionType) else values
    if not pa.types.is_string(texts.type):
        return _cells(values, nested=nested)
    whole = texts.dictionary_encode()
    known = [*_cells(whole.dictionary, nested=nested), None]
    return [known[i] for i in to_numpy(whole.indices, -1).tolist()]


def _value(cell: str | None) -> Any:
    if cell == "[]":  # most lists of most rows are empty
        return []
    return None if cell is None else parsed(cell)
