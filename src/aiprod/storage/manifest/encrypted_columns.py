"""The private side of a manifest: fields of films with personal data, encrypted one blob a row, beside the rows.

A row of such a film keeps in the clear what the pipeline and its reports need (opaque id, status, reasons, right);
what could identify it is blanked there, also inside sentences, and encrypted under the film's key. A manifest without
such films has no such file, and the same bytes as if there were no encryption.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel

from aiprod.base.addresses import host_of
from aiprod.base.canonical_json import canonical_json
from aiprod.base.files import atomic_path
from aiprod.errors import AiprodError
from aiprod.storage.crypto.film_encryption import Vault, is_private
from aiprod.storage.crypto.tombstones import REASON
from aiprod.storage.manifest.canonical_rows import RootHash, root_of

SEALED = "manifest.sealed.parquet"
SEALED_ROOT = "sealed_root"
BLANK = "sealed"
_AT_ONCE, _BUFFER = 256, 1 << 20  # rows and bytes of what is encrypted in memory
_QUOTED = re.compile("“[^”]*”")
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://[^\s/]+", re.IGNORECASE)
_WORTH_REDACTING = 4  # characters; shorter values would blank parts of ordinary words

M = TypeVar("M", bound=BaseModel)
Sealed = dict[int, tuple[str, bytes]]  # number of the row → label, blob


def seal_rows(rows: Sequence[M], vault: Vault | None) -> tuple[list[M], Sealed]:
    """Rows as they may be shown, and what was taken out of them. Rows of erased films become tombstones.

    Raises:
        AiprodError: a row is of a film with personal data and there is no vault.
    """
    shown: list[M] = []
    sealed: Sealed = {}
    for number, row in enumerate(rows):
        owner = _owner(row)
        if owner is None or not is_private(owner):
            shown.append(row)
            continue
        if vault is None:
            raise AiprodError("a film with personal data came to a manifest without keys", "report this as a defect")
        if vault.erased(owner):
            shown.append(_tombstone(row))
            continue
        blank = _blanked(row)
        taken = {n: v for n, v in row.model_dump(mode="json").items() if v != blank.model_dump(mode="json")[n]}
        shown.append(blank)
        if taken:
            label = _label(row, owner)
            sealed[number] = (label, vault.seal(label, canonical_json(taken)))
    return shown, sealed


def open_rows(
    folder: Path, rows: Iterable[M], root: str | None, vault: Vault, numbers: Iterable[int] | None = None
) -> Iterator[M]:
    """The rows as they were before :func:`seal_rows`; those of erased films as tombstones.

    Args:
        root: of the sealed rows, as the manifest's head gives it.
        numbers: of the rows in the table, ascending; all of them if left out.

    Raises:
        AiprodError: a blob is missing or damaged, or its key is missing.
    """
    found = RootHash()
    for number, label, blob in _read_sealed(folder):
        found.add([_leaf(number, label, blob)])
    if (found.hex() if len(found) else None) != root:
        raise AiprodError(f"{folder / SEALED} does not match its manifest's head", "restore it with `dvc checkout`")
    sealed = _read_sealed(folder)  # again: a blob may hold all measurements of a clip
    following = next(sealed, None)
    for number, row in enumerate(rows) if numbers is None else zip(numbers, rows, strict=True):
        taken, owner = None, _owner(row)
        while following is not None and following[0] <= number:
            taken = following[2] if following[0] == number else None
            following = next(sealed, None)
        if owner is None or not is_private(owner):
            yield row
        elif vault.erased(owner):
            yield _tombstone(row)
        elif taken is None:
            yield row
        else:
            opened = json.loads(vault.unseal(_label(row, owner), taken))
            yield type(row).model_validate({**row.model_dump(mode="json"), **opened})


def as_shown(row: M) -> M:
    """A row as a manifest shows it, for sentences that go from it into a file that hides no words of its film."""
    owner = _owner(row)
    return _blanked(row) if owner is not None and is_private(owner) else row


def sealed_root(sealed: Sealed) -> str:
    """Merkle root (hex) over the blobs with their places."""
    return root_of(_leaf(number, label, blob) for number, (label, blob) in sorted(sealed.items()))


def _leaf(number: int, label: str, blob: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + f"{number} {label}\n".encode() + blob).digest()


def write_sealed(folder: Path, sealed: Sealed) -> None:
    """Write what was taken out of the rows beside them; no file where there is none."""
    if not sealed:
        (folder / SEALED).unlink(missing_ok=True)
        return
    ordered = sorted(sealed.items())
    columns = {
        "row": pa.array([number for number, _ in ordered], pa.int64()),
        "label": pa.array([label for _, (label, _) in ordered], pa.string()),
        "blob": pa.array([blob for _, (_, blob) in ordered], pa.binary()),
    }
    with atomic_path(folder / SEALED) as temporary:
        pq.write_table(pa.table(columns), temporary, compression="none")


def _read_sealed(folder: Path) -> Iterator[tuple[int, str, bytes]]:
    """Number of the row, label and blob, some in memory at a time."""
    path = folder / SEALED
    if not path.is_file():
        return
    try:
        with pq.ParquetFile(path, buffer_size=_BUFFER) as file:  # with a buffer, a row group is not read as a whole
            for batch in file.iter_batches(_AT_ONCE, columns=["row", "label", "blob"], use_threads=False):
                for row in batch.to_pylist():
                    yield int(row["row"]), str(row["label"]), bytes(row["blob"])
    except (pa.ArrowException, ValueError, OSError, KeyError, TypeError) as error:
        raise AiprodError(f"{path} is damaged ({error})", "restore it with `dvc checkout`") from None


def _owner(row: BaseModel) -> str | None:
    """The clip, film or utterance that a row is of."""
    fields = row.__dict__  # asking a model for what it does not have is slow
    return fields.get("clip_id") or fields.get("film_id") or fields.get("utterance_id")


def _label(row: BaseModel, owner: str) -> str:
    return f"row-{type(row).__name__}:{owner}"


def _blanked(row: M) -> M:
    """The row without what is private, and without those words in its sentences."""
    private: frozenset[str] = getattr(row, "PRIVATE", frozenset())
    secrets = sorted({w for name in private for w in _words(name, getattr(row, name))}, key=len, reverse=True)
    update: dict[str, Any] = {}
    for name, field in type(row).model_fields.items():
        value = getattr(row, name)
        if name in private:
            update[name] = BLANK if field.is_required() else field.get_default(call_default_factory=True)
        elif isinstance(value, list):
            update[name] = [_redacted(item, secrets) if isinstance(item, str) else item for item in value]
    return row.model_copy(update=update)


def _tombstone(row: M) -> M:
    update: dict[str, Any] = {"status": "erased"} if "status" in type(row).model_fields else {}
    if "reasons" in type(row).model_fields:
        update["reasons"] = [REASON]
    return _blanked(row).model_copy(update=update)


def _words(name: str, value: Any) -> list[str]:
    """What of a private field may not stand in a sentence: itself, the hosts of addresses, and a film's bare name."""
    if not isinstance(value, str):
        return []
    parts = [value, *(host_of(word) for word in _addresses(value))]
    if name == "key":
        parts += [PurePosixPath(value).name, f"{PurePosixPath(value).stem}."]
    return [part for part in parts if len(part) >= _WORTH_REDACTING]


def _addresses(text: str) -> list[str]:
    return [word for word in text.split() if _ADDRESS.match(word)]


def _redacted(text: str, secrets: Sequence[str]) -> str:
    text = _QUOTED.sub(BLANK, text)  # words of whoever spoke of the film
    for word in secrets:
        text = text.replace(word, BLANK)
    return text
