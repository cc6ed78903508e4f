"""Stage manifests: validated rows in Parquet and a JSON head with counts and the Merkle root of the rows.

A manifest never holds a time, a host or an absolute path: the same inputs give the same bytes. What identifies a film
with personal data is not in the rows but encrypted beside them (``base.sealed_rows``).
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from aiprod.base.errors import AiprodError
from aiprod.base.files import atomic_path, canonical_json, read_json, write_json
from aiprod.base.row_text import RowText, root_of
from aiprod.base.sealed_rows import SEALED_ROOT, open_rows, seal_rows, sealed_root, write_sealed
from aiprod.base.vault import Vault

HEAD = "manifest.json"
ROWS = "manifest.parquet"
_PART = 16_384  # rows whose text is in memory at a time when writing, a row group of the file
_READ_PART = 1024


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
) -> Head:
    """Write ``manifest.parquet`` and ``manifest.json`` into ``folder``, rows sorted by ``key``.

    Args:
        key: the row's unique id (rows are sorted by it).
        expect_ids: ids that must appear, no more and no fewer: a row is never lost.
        vault: encrypts what is private and turns rows of erased films into tombstones.

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
        merkle_root=_write_rows(folder / ROWS, ordered, RowText(row_model)),
        params_digest=params_digest,
        inputs=dict(sorted(inputs.items())),
        facts={**(facts or {}), **({SEALED_ROOT: sealed_root(sealed)} if sealed else {})},
    )
    write_sealed(folder, sealed)
    write_json(folder / HEAD, head.model_dump(mode="json"))
    return head


def _write_rows(path: Path, rows: Sequence[Row], text: RowText) -> str:
    """Write the table a part at a time, so that the text of all rows is never in memory; return the Merkle root."""
    plain = [name for name in text.names if name not in text.nested]
    types = {name: _array([text.plain(row, name) for row in rows]).type for name in plain}
    schema = pa.schema([(name, types.get(name, pa.string())) for name in text.names])
    leaves: list[bytes] = []
    with atomic_path(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
        for start in range(0, max(1, len(rows)), _PART):
            cells = [text.cells(row) for row in rows[start : start + _PART]]
            leaves += [text.leaf(row) for row in cells]
            arrays = [pa.array([_typed(row[f.name], f.type) for row in cells], type=f.type) for f in schema]
            writer.write_table(pa.table(arrays, schema=schema))
    return root_of(leaves)


def _typed(value: Any, kind: pa.DataType) -> Any:
    return float(value) if value is not None and pa.types.is_floating(kind) else value


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


def read_rows(folder: Path | str, row_model: type[R], vault: Vault | None = None) -> list[R]:
    """The rows of a manifest, validated, and checked against the Merkle root of its head.

    Args:
        vault: fills in what is private, and gives tombstones (status ``erased``) for erased films. Without one, private
            fields read as ``sealed`` or empty: what is meant to be shown or published reads them so.

    Raises:
        AiprodError: missing, unreadable, a row that does not validate, bytes that do not match the root, or no key.
    """
    return list(iter_rows(folder, row_model, vault))


def iter_rows(folder: Path | str, row_model: type[R], vault: Vault | None = None) -> Iterator[R]:
    """The same rows one by one, for tables that are large in memory. The root is checked after the last row: nothing
    may be made of the rows before the iteration has ended.

    Raises:
        AiprodError: as :func:`read_rows`.
    """
    folder = Path(folder)
    rows = _checked_rows(folder, row_model)
    yield from rows if vault is None else open_rows(folder, rows, read_head(folder).facts.get(SEALED_ROOT), vault)


def _checked_rows(folder: Path, row_model: type[R]) -> Iterator[R]:
    head = read_head(folder)
    path = folder / ROWS
    text = RowText(row_model)
    leaves: list[bytes] = []
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_READ_PART):
                for value in batch.to_pylist():
                    joined = text.leaf(value) if text.joinable and value.keys() == text.all_names else None
                    row = _row(value, row_model, text, path)
                    leaves.append(joined or _leaf_of(row))
                    yield row
    except FileNotFoundError:
        raise AiprodError(f"{path} does not exist", "run `dvc repro` to make it") from None
    except (pa.ArrowInvalid, OSError) as error:
        raise AiprodError(f"{path} is damaged ({error})", "restore it with `dvc checkout`") from None
    if root_of(leaves) != head.merkle_root:
        raise AiprodError(f"{path} does not match the Merkle root in its head", "restore it with `dvc checkout`")


def _row(value: dict[str, Any], row_model: type[R], text: RowText, path: Path) -> R:
    try:
        for name in text.nested & value.keys():
            stored = value[name]
            if isinstance(stored, str):
                value[name] = [] if stored == "[]" else {} if stored == "{}" else json.loads(stored)
        row = row_model.model_validate(value)
    except ValidationError as error:
        raise AiprodError(f"{path}: a row does not validate: {error.errors()[0]}", "run `dvc repro`") from None
    if value.keys() == text.all_names:  # one set for all rows: each row's own would be most of its memory
        object.__setattr__(row, "__pydantic_fields_set__", text.all_names)
    return row


def _leaf_of(row: Row) -> bytes:
    return hashlib.sha256(b"\x00" + canonical_json(row.model_dump(mode="json"))).digest()


def _array(cells: list[Any]) -> pa.Array:
    """An Arrow column; an all-empty one gets a string type, so that the schema does not depend on the data."""
    if all(cell is None for cell in cells):
        return pa.array(cells, type=pa.string())
    if any(isinstance(cell, float) for cell in cells):
        return pa.array([None if c is None else float(c) for c in cells], type=pa.float64())
    return pa.array(cells)
