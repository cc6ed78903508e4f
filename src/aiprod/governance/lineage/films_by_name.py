"""Which film is meant by what people call it: its name in its source, its title, its address, or the file itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from aiprod.base.files import sha256_file
from aiprod.errors import AiprodError
from aiprod.governance.dataset.records import Records
from aiprod.storage.crypto.film_encryption import Vault, is_private
from aiprod.storage.manifest.encrypted_columns import BLANK

_TOLD = 8  # ids of films that are called the same


def film_called(facts: Records, target: str) -> str | None:
    """The id of the film that is called so; None where none is. Names of encrypted films need the key store.

    Args:
        target: a name with or without folders and ending, a title, an address, a SHA-256, or the path of a film that
            was ingested, wherever the file lies.

    Raises:
        AiprodError: several films are called so; names their ids.
    """
    file = Path(target)
    if file.is_file():
        alike = [row for row in _films(facts) if PurePosixPath(row.key).name == file.name and row.content_sha256]
        digest = sha256_file(file) if alike else None
        found = {row.film_id for row in alike if row.content_sha256 == digest}
    else:
        found = {row.film_id for row in _films(facts) if target in _names(row)}
    if len(found) > 1:
        told = ", ".join(sorted(found)[:_TOLD]) + (", …" if len(found) > _TOLD else "")
        raise AiprodError(f"{len(found)} films are called {target!r}", f"give one of their ids: {told}")
    return next(iter(found), None)


def _films(facts: Records) -> Iterator[Any]:
    """The films, those that are encrypted opened if their keys are here."""
    yield from facts.films.values()
    if any(map(is_private, facts.films)):
        yield from Records(facts.root, strict=False, vault=Vault()).films.values()


def _names(row: Any) -> set[str]:
    place = PurePosixPath(row.key)
    named = {row.key, place.name, place.stem, f"{row.source_id}/{row.key}", row.title, row.url, row.content_sha256}
    return {name for name in named if name and name != BLANK}
