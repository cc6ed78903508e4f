"""Stage manifests: validated rows in Parquet and a JSON head with counts and the Merkle root of the rows.

A manifest never holds a time, a host or an absolute path: the same inputs give the same bytes. What identifies a film
with personal data is not in the rows but encrypted beside them (``encrypted_columns``).
"""

from __future__ import annotations

import hashlib
import itertools
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from aiprod.base.files import atomic_path, read_json, write_json
from aiprod.errors import AiprodError
from aiprod.storage.crypto.film_encryption import Vault, is_private
from aiprod.storage.manifest.arrow import from_numpy, taken
from aiprod.storage.manifest.canonical_rows import Columns, RootHash, root_of, row_leaves
from aiprod.storage.manifest.carried import Carried, keeping, merged, merged_order
from aiprod.storage.manifest.encrypted_columns import (
    SEALED_ROOT,
    Sealed,
    open_rows,
    seal_rows,
    sealed_root,
    write_sealed,
)
from aiprod.storage.manifest.parquet_reader import ParquetReader
from aiprod.storage.manifest.row_columns import RowColumns

HEAD = "manifest.json"
ROWS = "manifest.parquet"
FORMAT = 2
"""The canonical row is RFC 8785 JSON, and figures are columns. Format 1 is read, not written."""
_RELEASED = 8  # parts after which what is free goes back to the system: each time costs as much as it frees
_PART = 4096  # rows whose text is in memory at a time when writing, a row group of the file


class Row(BaseModel):
    """Base of every manifest row. Each row has an opaque id, a status and the reasons for it."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    PRIVATE: ClassVar[frozenset[str]] = frozenset()
    """Fields that are encrypted in rows of films with personal data (rows with such fields have a ``film_id``)."""
    FIGURES: ClassVar[str | None] = None
    """The field that holds measurements by name, each figure of which is a column of its own."""


R = TypeVar("R", bound=Row)
T = TypeVar("T")


class Head(BaseModel):
    """What a manifest says about itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = Field(
        default=1, ge=1, description="of the table and its canonical rows; 1 = before there were formats"
    )
    stage: str
    row_model: str
    rows: int
    counts: dict[str, int] = Field(description="rows by status")
    merkle_root: str = Field(
        description="RFC 6962 root (SHA-256, hex) over the canonical rows (RFC 8785 JSON) in order"
    )
    params_digest: str
    inputs: dict[str, str] = Field(description="name → Merkle root or digest of what this stage read")
    facts: dict[str, Any] = Field(default_factory=dict, description="stage-specific figures, deterministic ones only")


def merkle_root(leaves: Sequence[bytes]) -> str:
    """RFC 6962 section 2.1 tree hash (hex)."""
    return root_of([hashlib.sha256(b"\x00" + leaf).digest() for leaf in leaves])


class TablePart(Protocol):
    """Some rows that are columns already."""

    @property
    def ids(self) -> Sequence[str]:
        """The id of each row."""

    def statuses(self) -> Sequence[str]:
        """The status of each row."""

    def columns(self) -> Mapping[str, pa.Array]:
        """The columns, nested ones as JSON text."""

    def row(self, place: int) -> Row:
        """One row."""

    def put(self, place: int, row: Any) -> None:
        """Take over one row's status and texts."""


class ColumnTable(Protocol):
    """Rows in parts, sorted by their ids, of which one part is in memory at a time."""

    @property
    def schema(self) -> pa.Schema:
        """The columns, nested ones as JSON text."""

    def parts(self, rows: int) -> Iterator[TablePart]:
        """The rows, so many at a time, in order; one part without rows where there is none."""


def write_manifest(
    folder: Path | str,
    rows: Iterable[Row],
    *,
    row_model: type[Row],
    stage: str,
    key: Callable[[Any], str],
    params_digest: str,
    inputs: dict[str, str],
    facts: dict[str, Any] | None = None,
    expect_ids: Iterable[str] | None = None,
    vault: Vault | None = None,
    carried: Carried | None = None,
) -> Head:
    """Write ``manifest.parquet`` and ``manifest.json`` into ``folder``, rows sorted by ``key``.

    Args:
        key: the row's unique id (rows are sorted by it).
        expect_ids: ids that must appear, no more and no fewer: a row is never lost.
        vault: encrypts what is private and turns rows of erased films into tombstones.
        carried: further rows, taken over from an earlier run. What the next one may take over is kept.

    Raises:
        AiprodError: an id appears twice, ids went in that did not come out, or private rows came without a vault.
    """
    ordered = sorted(rows, key=key)
    ids, carried = [key(row) for row in ordered], carried or Carried(None, "")
    _check_ids([*carried.ids, *ids], stage, expect_ids)
    ordered, sealed = seal_rows(ordered, vault)
    columns = RowColumns(row_model, ordered, row_model.FIGURES, carried.kinds())
    statuses = [str(getattr(row, "status", "ok")) for row in ordered]
    counts = Counter(statuses)
    counts.update(str(status) for status in carried.field("status"))
    order = merged_order(carried.ids, ids)
    numbers = np.flatnonzero(order >= len(carried.ids)).tolist()
    sealed = {numbers[place]: blob for place, blob in sealed.items()}
    fit = [status in carried.statuses and not is_private(name) for name, status in zip(ids, statuses, strict=True)]
    with keeping(carried, columns.schema, columns.mixed) as writer:
        parts = merged(
            columns, carried, order, ids=ids, fit=fit, figures=row_model.FIGURES, writer=writer, at_once=_PART
        )
        root = _write_leaved(Path(folder), columns.schema, parts)
    about = {"stage": stage, "row_model": row_model.__name__, "params_digest": params_digest}
    return _write_head(Path(folder), about, counts=counts, root=root, inputs=inputs, facts=facts, sealed=sealed)


def write_table(
    folder: Path | str,
    table: ColumnTable,
    *,
    row_model: type[Row],
    stage: str,
    params_digest: str,
    inputs: dict[str, str],
    expect_ids: Iterable[str] = (),
    vault: Vault | None = None,
) -> Head:
    """The same of a table; rows of films with personal data are changed in its parts as :func:`write_manifest` does.

    Args:
        expect_ids: likewise, and sorted.

    Raises:
        AiprodError: as :func:`write_manifest`.
    """
    counts: Counter[str] = Counter()
    sealed: Sealed = {}
    came = _Expected(stage, expect_ids)

    def columns() -> Iterator[Mapping[str, pa.Array]]:
        start = 0
        for part in table.parts(_PART):
            came.check(part.ids)
            for place in [i for i, name in enumerate(part.ids) if is_private(name)]:
                [shown], taken = seal_rows([part.row(place)], vault)
                part.put(place, shown)
                if taken:
                    sealed[start + place] = taken[0]
            counts.update(part.statuses())
            start += len(part.ids)
            yield part.columns()
        came.end()

    root = _write_parts(Path(folder), table.schema, columns(), None)
    about = {"stage": stage, "row_model": row_model.__name__, "params_digest": params_digest}
    return _write_head(Path(folder), about, counts=counts, root=root, inputs=inputs, facts=None, sealed=sealed)


class _Expected:
    """Compares ids that come sorted with those that have to come, and keeps none of them."""

    def __init__(self, stage: str, wanted: Iterable[str]) -> None:
        self._stage, self._wanted = stage, iter(wanted)
        self._next = next(self._wanted, None)
        self._before: str | None = None
        self._lost: list[str] = []
        self._extra: list[str] = []

    def check(self, ids: Sequence[str]) -> None:
        """Take the next ids.

        Raises:
            AiprodError: one comes twice, or before one that it is sorted after.
        """
        for name in ids:
            if self._before is not None and name <= self._before:
                what = "two rows for" if name == self._before else "out of its order comes the row of"
                raise AiprodError(f"stage {self._stage}: {what} {name}", "report this as a defect")
            self._before = name
            while self._next is not None and self._next < name:
                self._lose()
            if self._next == name:
                self._next = next(self._wanted, None)
            else:
                self._extra.append(name) if len(self._extra) < 3 else None

    def end(self) -> None:
        """No more ids come.

        Raises:
            AiprodError: some did not come, or came unexpected.
        """
        while self._next is not None:
            self._lose()
        if self._lost or self._extra:
            what = f"stage {self._stage}: rows lost {self._lost} or invented {self._extra}"
            raise AiprodError(what, "report this as a defect")

    def _lose(self) -> None:
        self._lost += [self._next] if self._next is not None and len(self._lost) < 3 else []
        self._next = next(self._wanted, None)


def _check_ids(ids: Sequence[str], stage: str, expected: Iterable[str] | None) -> None:
    known = set(ids)
    if len(known) != len(ids):
        twice = next(a for a, b in itertools.pairwise(sorted(ids)) if a == b)
        raise AiprodError(f"stage {stage}: two rows for {twice}", "report this as a defect")
    if expected is not None:
        wanted = set(expected)
        if wanted != known:
            lost, extra = sorted(wanted - known)[:3], sorted(known - wanted)[:3]
            raise AiprodError(f"stage {stage}: rows lost {lost} or invented {extra}", "report this as a defect")


def _write_head(
    folder: Path,
    about: Mapping[str, str],
    *,
    counts: Counter[str],
    root: str,
    inputs: dict[str, str],
    facts: dict[str, Any] | None,
    sealed: Sealed,
) -> Head:
    head = Head(
        **about,
        format=FORMAT,
        rows=counts.total(),
        counts=dict(sorted(counts.items())),
        merkle_root=root,
        inputs=dict(sorted(inputs.items())),
        facts={**(facts or {}), **({SEALED_ROOT: sealed_root(sealed)} if sealed else {})},
    )
    write_sealed(folder, sealed)
    write_json(folder / HEAD, head.model_dump(mode="json"))
    return head


def _write_parts(folder: Path, schema: pa.Schema, parts: Iterable[Mapping[str, pa.Array]], figures: str | None) -> str:
    """Write the table a part at a time, so that the text of all rows is never in memory; return the Merkle root."""
    return _write_leaved(folder, schema, ((columns, row_leaves(columns, figures)) for columns in parts))


def _write_leaved(
    folder: Path, schema: pa.Schema, parts: Iterable[tuple[Mapping[str, pa.Array], Sequence[bytes]]]
) -> str:
    """The same of parts with their Merkle leaves."""
    folder.mkdir(parents=True, exist_ok=True)
    root = RootHash()
    with (
        atomic_path(folder / ROWS) as temporary,
        pq.ParquetWriter(temporary, schema, compression="zstd") as writer,
        ThreadPoolExecutor(1) as aside,
    ):
        writing: Future[None] | None = None
        for number, (columns, leaves) in enumerate(parts, start=1):
            root.add(leaves)
            table = pa.table([columns[field.name] for field in schema], schema=schema)
            if writing is not None:
                writing.result()
            writing = aside.submit(writer.write_table, table)  # compresses while the next part is made
            if number % _RELEASED == 0:
                pa.default_memory_pool().release_unused()
        if writing is not None:
            writing.result()
    return root.hex()


def read_head(folder: Path | str) -> Head:
    """The head of a manifest.

    Raises:
        AiprodError: missing or invalid.
    """
    path = Path(folder) / HEAD
    try:
        head = Head.model_validate(read_json(path))
    except ValidationError as error:
        raise AiprodError(f"{path} is not a manifest ({error.errors()[0]['msg']})", "run `dvc repro`") from None
    if head.format > FORMAT:
        what = f"{path} is of manifest format {head.format}, which this version does not know"
        raise AiprodError(what, "update the code, or run `dvc repro`")
    return head


def read_rows(
    folder: Path | str, row_model: type[R], vault: Vault | None = None, *, without: Collection[str] = ()
) -> list[R]:
    """The rows of a manifest, validated, and checked against the Merkle root of its head.

    Args:
        vault: fills in what is private, and gives tombstones (status ``erased``) for erased films. Without one, private
            fields read as ``sealed`` or empty: what is meant to be shown or published reads them so.
        without: fields that are checked against the root and left at their defaults: what is large and not needed
            costs no memory.

    Raises:
        AiprodError: missing, unreadable, a row that does not validate, bytes that do not match the root, or no key.
    """
    return list(iter_rows(folder, row_model, vault, without=without))


def iter_rows(
    folder: Path | str, row_model: type[R], vault: Vault | None = None, *, without: Collection[str] = ()
) -> Iterator[R]:
    """The same rows one by one, for tables that are large in memory. The root is checked after the last row: nothing
    may be made of the rows before the iteration has ended.

    Raises:
        AiprodError: as :func:`read_rows`.
    """
    folder = Path(folder)
    rows = _checked(folder, row_model, lambda reader: reader.rows(row_model, without=without))
    yield from rows if vault is None else opened_rows(folder, rows, vault)


def iter_columns(folder: Path | str, row_model: type[Row], names: Sequence[str]) -> Iterator[dict[str, list[Any]]]:
    """Some fields of the same rows, as they may be shown, as columns: some rows at a time, for tables of very many.

    Raises:
        AiprodError: as :func:`read_rows`; after the last columns.
    """
    yield from _checked(Path(folder), row_model, lambda reader: reader.columns(names))


def iter_batches(folder: Path | str, row_model: type[Row]) -> Iterator[Columns]:
    """The same rows as Arrow columns, nested fields as JSON text and figures by ``<measurement>.<figure>``.

    Raises:
        AiprodError: as :func:`read_rows`; after the last columns.
    """
    yield from _checked(Path(folder), row_model, ParquetReader.batches)


def opened_rows(
    folder: Path | str, rows: Iterable[R], vault: Vault, numbers: Iterable[int] | None = None
) -> Iterator[R]:
    """Rows that were read without a vault, with what is private filled in.

    Args:
        numbers: of the rows in the table, ascending; all of them if left out.
    """
    return open_rows(Path(folder), rows, read_head(folder).facts.get(SEALED_ROOT), vault, numbers)


class LeavedTable(Generic[R]):
    """A manifest of very many rows, of which few are wanted as rows: ids, Merkle leaves, columns as they are.

    Raises:
        AiprodError: as :func:`read_rows`.
    """

    def __init__(self, folder: Path | str, row_model: type[R], key: str, vault: Vault | None = None) -> None:
        self._folder, self._model, self._vault = Path(folder), row_model, vault
        self._reader = _reader(self._folder, row_model)
        self._parts: list[Columns] = []
        self._starts: list[int] = []
        self.leaves: list[bytes] = []
        for columns, leaves in _checked(self._folder, row_model, ParquetReader.leaved):
            self._parts.append(columns)
            self._starts.append(len(self.leaves))
            self.leaves += leaves
        self.ids: list[str] = self.cells(key)

    def cells(self, name: str) -> list[Any]:
        """The cells of a column that is not nested; None where it is not in the table."""
        cells: list[Any] = []
        for columns in self._parts:
            values = columns.get(name)
            cells += [None] * len(next(iter(columns.values()))) if values is None else values.to_pylist()
        return cells

    def without(self, ids: Sequence[str]) -> list[R]:
        """The rows but those of these ids."""
        left_out = set(ids)
        return self.rows([place for place, name in enumerate(self.ids) if name not in left_out])

    def of(self, ids: Collection[str]) -> list[R]:
        """The rows of these ids."""
        return self.rows([place for place, name in enumerate(self.ids) if name in ids])

    def rows(self, places: Sequence[int]) -> list[R]:
        """Some rows, by their numbers in the table, which are ascending."""
        rows: list[R] = []
        for start, columns in zip(self._starts, self._parts, strict=True):
            end = start + len(next(iter(columns.values())))
            inside = list(places[bisect_left(places, start) : bisect_left(places, end)])
            if inside:
                at = from_numpy(np.array(inside, np.int64) - start)
                some = columns if len(inside) == end - start else {n: taken(c, at) for n, c in columns.items()}
                rows += self._reader.rows_of(some, self._model)
        return rows if self._vault is None else list(opened_rows(self._folder, rows, self._vault, places))


def _reader(folder: Path, row_model: type[Row]) -> ParquetReader:
    former = read_head(folder).format < FORMAT
    return ParquetReader(folder / ROWS, row_model, figures=row_model.FIGURES, former=former)


def _checked(folder: Path, row_model: type[Row], read: Callable[[ParquetReader], Iterator[T]]) -> Iterator[T]:
    """What is read of a manifest; after the last of it, the leaf hashes are compared with the root in the head."""
    head = read_head(folder)
    reader = _reader(folder, row_model)
    yield from read(reader)
    if reader.root.hex() != head.merkle_root:
        raise AiprodError(
            f"{folder / ROWS} does not match the Merkle root in its head", "restore it with `dvc checkout`"
        )
