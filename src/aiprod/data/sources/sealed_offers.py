"""How the list of offers is on the disk: an offer of a film with personal data is encrypted under that film's key.

The list is read by ingest alone and is no DVC object, but a dependency: equal offers give equal bytes, so that an
unchanged film changes no hash. What is left of a film whose key was destroyed is its opaque id.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from typing import Any

from aiprod.data.sources.registry import is_generated
from aiprod.errors import AiprodError
from aiprod.rights.declarations import SidecarRecord, SourceDeclaration, layers
from aiprod.storage.crypto.film_encryption import Vault

SEALED = "sealed"
NO_PERSONS = "none"
"""The one basis that says that a film holds no personal data. A film of which nothing is stated may hold some."""


def is_personal(source: SourceDeclaration, sidecar: SidecarRecord | None, problem: str | None = None) -> bool:
    """Whether a film is encrypted, by what is stated of it; also a film that is refused.

    Args:
        problem: of the film's offer; where its sidecar could not be read, that may have named persons.
    """
    doubtful = (problem or "").startswith("sidecar:")
    return not is_generated(source) and (doubtful or layers(source, sidecar)["personal_data_basis"] != NO_PERSONS)


def seal(film_id: str, source_id: str, offer: dict[str, Any], vault: Vault) -> dict[str, Any]:
    """An offer as it may be written down."""
    return {"film_id": film_id, "source_id": source_id, SEALED: vault.seal_json(_label(film_id), offer)}


def is_sealed(entry: Any) -> bool:
    """Whether an entry of the list is what :func:`seal` gave."""
    return isinstance(entry, dict) and SEALED in entry


def unseal(entry: dict[str, Any], vault: Vault) -> dict[str, Any] | None:
    """The offer again; None where its film was erased.

    Raises:
        Refusal: its key is missing.
        AiprodError: it is damaged.
    """
    film_id = str(entry.get("film_id"))
    if vault.erased(film_id):
        return None
    try:
        blob = base64.b64decode(str(entry[SEALED]), validate=True)
    except ValueError:
        raise AiprodError(f"the offer of {film_id} is damaged", "run `dvc repro`") from None
    offer: dict[str, Any] = json.loads(vault.unseal(_label(film_id), blob))
    return {**offer, "film_id": film_id}


def same_bytes(digests: Iterable[tuple[str, bool]]) -> set[str]:
    """Digests of which any offer says that they hold personal data: they hold them in every offer."""
    return {digest for digest, personal in digests if personal and digest}


def _label(film_id: str) -> str:
    return f"offer:{film_id}"
