"""Stage manifests: validated rows in Parquet and a JSON head with counts and the Merkle root of the rows.

A manifest never holds a time, a host or an absolute path: the same inputs give the same bytes.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from aiprod.base.errors import AiprodError
from aiprod.base.files import atomic_path, canonical_json, read_json, write_json

HEAD = "manifest.json"
ROWS = "manifest.parquet"


class Row(BaseModel):
    """Base of every manifest row. Each row has an opaque id, a status and the reasons for it."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


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
    if not leaves:
        return hashlib.sha256(b"").hexdigest()
    level = [hashlib.sha256(b"\x00" + leaf).digest() for leaf in leaves]
    while len(level) > 1:  # pairing from the left and promoting an odd last node equals the recursive definition
        paired = [hashlib.sha256(b"\x01" + level[i] + level[i + 1]).digest() for i in range(0, len(level) - 1, 2)]
        level = paired + ([level[-1]] if len(level) % 2 else [])
    return level[0].hex()


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
) -> Head:
    """Write ``manifest.parquet`` and ``manifest.json`` into ``folder``, rows sorted by ``key``.

    Args:
        key: the row's unique id (rows are sorted by it).
        expect_ids: ids that must appear, no more and no fewer: a row is never lost.

    Raises:
        AiprodError: an id appears twice, or ids went in that did not come out.
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
    values = [row.model_dump(mode="json") for row in ordered]
    counts: dict[str, int] = {}
    for value in values:
        status = str(value.get("status", "ok"))
        counts[status] = counts.get(status, 0) + 1
    head = Head(
        stage=stage,
        row_model=row_model.__name__,
        rows=len(values),
        counts=dict(sorted(counts.items())),
        merkle_root=merkle_root([canonical_json(v) for v in values]),
        params_digest=params_digest,
        inputs=dict(sorted(inputs.items())),
        facts=facts or {},
    )
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    columns = {name: [_cell(v.get(name)) for v in values] for name in row_model.model_fields}
    table = pa.table({name: _array(cells) for name, cells in columns.items()})
    with atomic_path(folder / ROWS) as temporary:
        pq.write_table(table, temporary, compression="zstd")
    write_json(folder / HEAD, head.model_dump(mode="json"))
    return head


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


def read_rows(folder: Path | str, row_model: type[R]) -> list[R]:
    """The rows of a manifest, validated, and checked against the Merkle root of its head.

    Raises:
        AiprodError: missing, unreadable, a row that does not validate, or bytes that do not match the root.
    """
    folder = Path(folder)
    head = read_head(folder)
    path = folder / ROWS
    try:
        table = pq.read_table(path)
    except FileNotFoundError:
        raise AiprodError(f"{path} does not exist", "run `dvc repro` to make it") from None
    except (pa.ArrowInvalid, OSError) as error:
        raise AiprodError(f"{path} is damaged ({error})", "restore it with `dvc checkout`") from None
    nested = {name for name, field in row_model.model_fields.items() if _is_nested(field.annotation)}
    rows: list[R] = []
    for value in table.to_pylist():
        for name in nested & set(value):
            if isinstance(value[name], str):
                value[name] = json.loads(value[name])
        try:
            rows.append(row_model.model_validate(value))
        except ValidationError as error:
            raise AiprodError(f"{path}: a row does not validate: {error.errors()[0]}", "run `dvc repro`") from None
    root = merkle_root([canonical_json(row.model_dump(mode="json")) for row in rows])
    if root != head.merkle_root:
        raise AiprodError(f"{path} does not match the Merkle root in its head", "restore it with `dvc checkout`")
    return rows


def _is_nested(annotation: Any) -> bool:
    """Whether values of this type are stored as JSON text (lists, mappings and models are)."""
    import types
    import typing

    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return issubclass(annotation, BaseModel | dict | list | tuple)
    origin = typing.get_origin(annotation)
    if origin in (list, dict, tuple, set):
        return True
    return any(_is_nested(a) for a in typing.get_args(annotation)) if origin is not typing.Literal else False


def _cell(value: Any) -> Any:
    return canonical_json(value).decode() if isinstance(value, dict | list) else value


def _array(cells: list[Any]) -> pa.Array:
    """An Arrow column; an all-empty one gets a string type, so that the schema does not depend on the data."""
    if all(cell is None for cell in cells):
        return pa.array(cells, type=pa.string())
    if any(isinstance(cell, float) for cell in cells):
        return pa.array([None if c is None else float(c) for c in cells], type=pa.float64())
    return pa.array(cells)
