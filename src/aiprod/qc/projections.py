"""Lightweight projections of film and clip rows, used by ``qc_decide``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from aiprod.base.keyed_rows import KeyedRows
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


Films = KeyedRows[FilmProjection]
"""Films by their ids."""
Clips = KeyedRows[ClipProjection]
"""Clips by their ids."""


def films_of(rows: Iterable[FilmProjection]) -> Films:
    """Films, sorted by their ids."""
    return KeyedRows.of_rows(FilmProjection, "films", sorted(rows, key=lambda film: film.film_id))


def clips_of(rows: Iterable[ClipProjection]) -> Clips:
    """Clips, sorted by their ids."""
    return KeyedRows.of_rows(ClipProjection, "clips", sorted(rows, key=lambda clip: clip.clip_id))


def read_films(folder: Path, vault: Vault) -> tuple[Films, Films]:
    """The films of a manifest as they may be shown, and as they are.

    Sentences (reasons, obligations) are as they may be shown in both: they go into rows that hide no words of films.

    Raises:
        AiprodError: as ``base.manifest.read_rows``, or the films are not sorted by their ids.
    """
    names = FilmProjection._fields
    shown, private = Films(FilmProjection, "films"), False
    for part in iter_columns(folder, FilmRow, names):
        shown.append([part[name] for name in names])
        private |= any(map(is_private, part["film_id"]))
    if not private:
        list(opened_rows(folder, (), vault))  # checks that nothing is sealed where nothing is private
        return shown, shown
    rows = iter_rows(folder, FilmRow, without=FilmRow.model_fields.keys() - names)
    opened = map(FilmProjection.of, opened_rows(folder, rows, vault))
    films = (
        film._replace(obligations=blank.obligations, reasons=film.reasons if film.status == "erased" else blank.reasons)
        for film, blank in zip(opened, shown, strict=True)
    )
    return shown, KeyedRows.of_rows(FilmProjection, "films", films)


def read_clips(folder: Path, vault: Vault) -> Clips:
    """The clips of a manifest.

    Raises:
        AiprodError: as ``base.manifest.read_rows``, or the clips are not sorted by their ids.
    """
    clips, private = Clips(ClipProjection, "clips"), False
    for part in iter_columns(folder, ClipRow, _CLIP):
        rows = list(map(_clip, *(part[name] for name in _CLIP)))
        clips.append(list(zip(*rows, strict=True)) or [[]])
        private |= any(map(is_private, part["clip_id"]))
    if not private:
        list(opened_rows(folder, (), vault))  # checks that nothing is sealed where nothing is private
        return clips
    rows_of_all = iter_rows(folder, ClipRow, without={"steps", "ground_truth"})
    return KeyedRows.of_rows(ClipProjection, "clips", map(ClipProjection.of, opened_rows(folder, rows_of_all, vault)))
