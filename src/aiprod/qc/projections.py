"""Lightweight projections of film and clip rows, used by ``qc_decide``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

from aiprod.data.rows import ClipRow, FilmRow
from aiprod.rights.right import RightWord
from aiprod.storage.crypto.film_encryption import Vault, is_private
from aiprod.storage.manifest.manifest import iter_columns, iter_rows, opened_rows

_PEOPLE = re.compile(
    r"\b(faces?|persons?|people|m[ae]n|wom[ae]n|child(ren)?|girls?|boys?|human_action)\b", re.IGNORECASE
)


class FilmProjection(NamedTuple):
    """A film, as :class:`aiprod.data.rows.FilmRow` describes it."""

    film_id: str
    source_id: str
    key: str
    status: str
    reasons: list[str]
    effective_right: RightWord
    obligations: list[str]
    consent_ref: str | None
    personal_data_basis: str
    duplicate_of: str | None
    n_clips: int

    @classmethod
    def of(cls, row: FilmRow) -> FilmProjection:
        """What is asked of a film."""
        values = row.__dict__
        return cls(*[values[name] for name in cls._fields])


class ClipProjection(NamedTuple):
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
    def of(cls, row: ClipRow) -> ClipProjection:
        """What is asked of a clip."""
        return _clip(*[row.__dict__[name] for name in _CLIP])


_CLIP = ("clip_id", "film_id", "width", "height", "start_s", "end_s", "duplicate_of", "labels", "title", "description")


def _clip(*values: Any) -> ClipProjection:
    """A clip of what ``_CLIP`` names."""
    clip_id, film_id, width, height, start_s, end_s, duplicate_of, labels, title, description = values
    described = bool(labels or title or description)
    people = described and _PEOPLE.search(" ".join([*labels, title or "", description or ""])) is not None
    return ClipProjection(clip_id, film_id, width * height, start_s, end_s, duplicate_of, people)


def read_films(folder: Path, vault: Vault) -> tuple[list[FilmProjection], list[FilmProjection]]:
    """The films of a manifest as they may be shown, and as they are.

    Sentences (reasons, obligations) are as they may be shown in both: they go into rows that hide no words of films.

    Raises:
        AiprodError: as ``base.manifest.read_rows``.
    """
    names = FilmProjection._fields
    shown = [
        film for part in iter_columns(folder, FilmRow, names) for film in map(FilmProjection, *(part[n] for n in names))
    ]
    private = any(is_private(film.film_id) for film in shown)
    rows = iter_rows(folder, FilmRow, without=FilmRow.model_fields.keys() - names) if private else ()
    opened = list(
        map(FilmProjection.of, opened_rows(folder, rows, vault))
    )  # checks also that nothing is sealed where none is
    films = [
        film._replace(obligations=blank.obligations, reasons=film.reasons if film.status == "erased" else blank.reasons)
        for film, blank in zip(opened, shown, strict=private)
    ]
    return shown, films if private else shown


def read_clips(folder: Path, vault: Vault) -> list[ClipProjection]:
    """The clips of a manifest.

    Raises:
        AiprodError: as ``base.manifest.read_rows``.
    """
    clips = [clip for part in iter_columns(folder, ClipRow, _CLIP) for clip in map(_clip, *(part[n] for n in _CLIP))]
    private = any(is_private(clip.clip_id) for clip in clips)
    rows = iter_rows(folder, ClipRow, without={"steps", "ground_truth"}) if private else ()
    opened = list(
        map(ClipProjection.of, opened_rows(folder, rows, vault))
    )  # checks also that nothing is sealed where none is
    return opened if private else clips
