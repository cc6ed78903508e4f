"""Stage manifests: validated rows in Parquet and a JSON head with counts and the Merkle root of the rows.

A manifest never holds a time, a host or an absolute path: the same inputs give the same bytes. What identifies a film
with personal data is not in the rows but encrypted beside them (``base.sealed_rows``).
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from aiprod.base.files import atomic_path, read_json, write_json
from aiprod.errors import AiprodError
from aiprod.storage.crypto.film_encryption import Vault
from aiprod.storage.manifest.arrow import column, kind_of
from aiprod.storage.manifest.canonical_rows import Ready, RowText, root_of
from aiprod.storage.manifest.encrypted_columns import SEALED_ROOT, open_rows, seal_rows, sealed_root, write_sealed
from aiprod.storage.manifest.parquet_reader import columns_of, rows_of

HEAD = "manifest.json"
ROWS = "manifest.parquet"
_PART = 16_384  # rows whose text is in memory at a time when writing, a row group of the file


class Row(BaseModel):
    """Base of every manifest row. Each row has an opaque id, a status and the reasons for it."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    PRIVATE: ClassVar[frozenset[str]] = frozenset()
    """Fields that are encrypted in rows of films with personal data (rows with such fields have a ``film_id``)."""


R = TypeVar("R", bound=Row)


class Head(BaseModel):
    """What a manifest says about itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    stage: str
    row_model: str
    rows: int
    counts: dict[str, int] = Field(description="rows by status")
    merkle_root: str = Field(description="RFC 6962 root (SHA-256, hex) over the canonical JSON of the rows in order")
    params_digest: str
    inputs: dict[str, str] = Field(description="name → Merkle root or digest of what this stage read")
    facts: dict[str, Any] = Field(default_factory=dict, description="stage-specific figures, deterministic ones only")


def merkle_root(leaves: Sequence[bytes]) -> str:
    """RFC 6962 section 2.1 tree hash (hex)."""
    return root_of([hashlib.sha256(b"\x00" + leaf).digest() for leaf in leaves])


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
    ready: Mapping[str, Ready] | None = None,
) -> Head:
    """Write ``manifest.parquet`` and ``manifest.json`` into ``folder``, rows sorted by ``key``.

    Args:
        key: the row's unique id (rows are sorted by it).
        expect_ids: ids that must appear, no more and no fewer: a row is never lost.
        vault: encrypts what is private and turns rows of erased films into tombstones.
        ready: nested field → a function that gives its canonical JSON of some rows, where that is known already.

    Raises:
        AiprodError: an id appears twice, ids went in that did not come out, or private rows came without a vault.
    """
    ordered = sorted(rows, key=key)
    ids = [key(row) for row in ordered]
    if len(set(ids)) != len(ids):
        twice = next(a for a, b in itertools.pairwise(ids) if a == b)
        raise AiprodError(f"stage {stage}: two rows for {twice}", "report this as a defect")
    if expect_ids is not None:
        wanted = set(expect_ids)
        if wanted != set(ids):
            lost, extra = sorted(wanted - set(ids))[:3], sorted(set(ids) - wanted)[:3]
            raise AiprodError(f"stage {stage}: rows lost {lost} or invented {extra}", "report this as a defect")
    ordered, sealed = seal_rows(ordered, vault)
    counts: dict[str, int] = {}
    for row in ordered:
        status = str(getattr(row, "status", "ok"))
        counts[status] = counts.get(status, 0) + 1
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    head = Head(
        stage=stage,
        row_model=row_model.__name__,
        rows=len(ordered),
        counts=dict(sorted(counts.items())),
        merkle_root=_write_rows(folder / ROWS, ordered, RowText(row_model), ready),
        params_digest=params_digest,
        inputs=dict(sorted(inputs.items())),
        facts={**(facts or {}), **({SEALED_ROOT: sealed_root(sealed)} if sealed else {})},
    )
    write_sealed(folder, sealed)
    write_json(folder / HEAD, head.model_dump(mode="json"))
    return head


def _write_rows(path: Path, rows: Sequence[Row], text: RowText, ready: Mapping[str, Ready] | None) -> str:
    """Write the table a part at a time, so that the text of all rows is never in memory; return the Merkle root."""
    plain = [name for name in text.names if name not in text.nested]
    types = {name: kind_of(text.plain(rows, name)) for name in plain}
    schema = pa.schema([(name, types.get(name, pa.string())) for name in text.names])
    leaves: list[bytes] = []
    with (
        atomic_path(path) as temporary,
        pq.ParquetWriter(temporary, schema, compression="zstd") as writer,
        ThreadPoolExecutor(1) as aside,
    ):
        writing: Future[None] | None = None
        for start in range(0, max(1, len(rows)), _PART):
            columns = text.columns(rows[start : start + _PART], ready)
            leaves += text.leaves(columns)
            table = pa.table([column(columns.pop(f.name), f.type) for f in schema], schema=schema)
            if writing is not None:
                writing.result()
            writing = aside.submit(writer.write_table, table)  # compresses while the next part is made
        if writing is not None:
            writing.result()
    return root_of(leaves)


def read_head(folder: Path | str) -> Head:
    """The head of a manifest.

    Raises:
        AiprodError: missing or invalid.
    """
    path = Path(folder) / HEAD
    try:
        return Head.model_validate(read_json(path))
    except ValidationError as error:
        raise AiprodError(f"{path} is not a manifest ({error.errors()[0]['msg']})", "run `dvc repro`") from None


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
    rows = _checked_rows(folder, row_model, without)
    yield from rows if vault is None else opened_rows(folder, rows, vault)


def iter_columns(folder: Path | str, row_model: type[Row], names: Sequence[str]) -> Iterator[dict[str, list[Any]]]:
    """Some fields of the same rows, as they may be shown, as columns: some rows at a time, for tables of very many.

    Raises:
        AiprodError: as :func:`read_rows`; after the last columns.
    """
    folder = Path(folder)
    read_head(folder)
    leaves: list[bytes] = []
    yield from columns_of(folder / ROWS, row_model, leaves, names)
    check_leaves(folder, leaves)


def opened_rows(folder: Path | str, rows: Iterable[R], vault: Vault, *, first: int = 0) -> Iterator[R]:
    """Rows that were read without a vault, with what is private filled in.

    Args:
        first: number of the first of these rows in the manifest.
    """
    return open_rows(Path(folder), rows, read_head(folder).facts.get(SEALED_ROOT), vault, first=first)


def read_group(folder: Path | str, row_model: type[R], group: int) -> tuple[Iterator[R], list[bytes]]:
    """The rows of one part, one by one, and a list that then holds their leaf hashes.

    Nothing may be made of the rows before :func:`check_leaves` has seen the leaves of all parts.

    Raises:
        AiprodError: missing, unreadable, or a row that does not validate.
    """
    leaves: list[bytes] = []
    return rows_of(Path(folder) / ROWS, row_model, leaves, groups=[group]), leaves


def check_leaves(folder: Path | str, leaves: Sequence[bytes]) -> None:
    """Compare the leaf hashes of all rows, in order, with the root in the head.

    Raises:
        AiprodError: they do not match.
    """
    if root_of(leaves) != read_head(folder).merkle_root:
        path = Path(folder) / ROWS
        raise AiprodError(f"{path} does not match the Merkle root in its head", "restore it with `dvc checkout`")


def _checked_rows(folder: Path, row_model: type[R], without: Collection[str]) -> Iterator[R]:
    read_head(folder)
    leaves: list[bytes] = []
    yield from rows_of(folder / ROWS, row_model, leaves, without=without)
    check_leaves(folder, leaves)
