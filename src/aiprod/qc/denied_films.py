"""Films that may not be trained on and of which fingerprints were kept, as ``qc_decide`` compares clips with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiprod.data.rows import DeniedFilmRow
from aiprod.qc.projections import Films
from aiprod.storage.crypto.film_encryption import Vault
from aiprod.storage.manifest.manifest import HEAD, read_rows


@dataclass(frozen=True)
class DeniedFilm:
    """A denied film of which fingerprints were kept.

    Attributes:
        why: the reason for which it is denied, as it may be shown.
    """

    film_id: str
    why: str
    prints: Sequence[dict[str, Any]]


def read_denied(folder: Path, shown: Films, vault: Vault) -> list[DeniedFilm]:
    """The denied films of which fingerprints were kept, without those that were erased; none where nothing was kept.

    Args:
        shown: the films as they may be shown: what is said of a denied one is said of others' clips.

    Raises:
        AiprodError: as ``storage.manifest.read_rows``.
    """
    if not (folder / HEAD).is_file():
        return []
    kept = [row for row in read_rows(folder, DeniedFilmRow, vault) if row.status == "ok" and row.prints]
    of = shown.of(row.film_id for row in kept)
    reasons = {film_id: film.reasons for film_id, film in of.items()}
    return [
        DeniedFilm(row.film_id, next(iter(reasons.get(row.film_id, [])), "no right to train"), row.prints)
        for row in kept
    ]
