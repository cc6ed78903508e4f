"""What deciding asks of films and clips: a little of each row, because there may be very many of them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import tee
from pathlib import Path
from typing import NamedTuple

from aiprod.base.manifest import iter_rows, opened_rows
from aiprod.base.vault import Vault
from aiprod.data.rows import ClipRow, EffectiveRight, FilmRow

_FILM = {
    "film_id", "source_id", "key", "status", "reasons", "effective_right", "obligations", "consent_ref",
    "personal_data_basis", "duplicate_of", "n_clips",
}  # fmt: skip
_CLIP_WITHOUT = {"steps", "ground_truth", "reasons", "processed_name", "processed_sha256"}
_PEOPLE = re.compile(
    r"\b(faces?|persons?|people|m[ae]n|wom[ae]n|child(ren)?|girls?|boys?|human_action)\b", re.IGNORECASE
)


class Film(NamedTuple):
    """A film, as :class:`aiprod.data.rows.FilmRow` describes it."""

    film_id: str
    source_id: str
    key: str
    status: str
    reasons: list[str]
    effective_right: EffectiveRight
    obligations: list[str]
    consent_ref: str | None
    personal_data_basis: str
    duplicate_of: str | None
    n_clips: int

    @classmethod
    def of(cls, row: FilmRow) -> Film:
        """What is asked of a film."""
        found = row.__dict__
        return cls(*[found[name] for name in cls._fields])


class Clip(NamedTuple):
    """A clip, as :class:`aiprod.data.rows.ClipRow` describes it.

    Attributes:
        declares_people: whether the source's own words say that people are to be seen.
    """

    clip_id: str
    film_id: str
    pixels: int
    start_s: float
    end_s: float
    duplicate_of: str | None
    declares_people: bool

    @classmethod
    def of(cls, row: ClipRow) -> Clip:
        """What is asked of a clip."""
        return cls(
            row.clip_id,
            row.film_id,
            row.width * row.height,
            row.start_s,
            row.end_s,
            row.duplicate_of,
            _declares_people(row),
        )


def _declares_people(row: ClipRow) -> bool:
    if not (row.labels or row.title or row.description):
        return False
    return bool(_PEOPLE.search(" ".join([*row.labels, row.title or "", row.description or ""])))


def read_films(folder: Path, vault: Vault) -> tuple[list[Film], list[Film]]:
    """The films of a manifest as they may be shown, and as they are; what they oblige to is as it may be shown in both.

    Raises:
        AiprodError: as ``base.manifest.read_rows``.
    """
    rows, again = tee(iter_rows(folder, FilmRow, without=FilmRow.model_fields.keys() - _FILM))
    shown, films = [], []
    for blank, row in zip(rows, opened_rows(folder, again, vault), strict=True):
        shown.append(Film.of(blank))
        films.append(shown[-1] if row is blank else Film.of(row)._replace(obligations=blank.obligations))
    return shown, films


def read_clips(folder: Path, vault: Vault) -> list[Clip]:
    """The clips of a manifest.

    Raises:
        AiprodError: as ``base.manifest.read_rows``.
    """
    return [Clip.of(row) for row in iter_rows(folder, ClipRow, vault, without=_CLIP_WITHOUT)]
