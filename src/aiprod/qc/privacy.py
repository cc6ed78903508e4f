"""People in a clip: who says so, and which basis that takes. A flag without such a basis is never trained on unseen."""

from __future__ import annotations

from collections.abc import Sequence

from aiprod.base.row_building import changed
from aiprod.data.rows import FilmRow
from aiprod.qc.rows import VerdictRow
from aiprod.qc.subjects import Clip, Film

DECLARED = "people declared"
REQUIRED = "consent or contract, with its record in consent_ref; or a privacy officer's review that names the basis"


def has_basis(film: FilmRow | Film) -> bool:
    """Whether the people in a film agreed to it, by consent or contract; that the record holds is a layer of rights.

    A balance of interests (GDPR Art. 6(1)(f)) is not enough by itself: somebody has to have weighed it for this clip.
    """
    return film.consent_ref is not None or film.personal_data_basis in ("consent", "contract")


def with_privacy(rows: Sequence[VerdictRow], films: Sequence[Film], clips: Sequence[Clip]) -> list[VerdictRow]:
    """The verdicts, held at REVIEW_NEEDED where people are seen or declared and no basis is on record."""
    film_of = {film.film_id: film for film in films}
    declared = {clip.clip_id for clip in clips if clip.declares_people}
    return [_held(row, film_of.get(row.film_id), row.clip_id in declared) for row in rows]


def _held(row: VerdictRow, film: Film | None, declared: bool) -> VerdictRow:
    if film is None or has_basis(film) or not (declared or row.privacy_flags):
        return row
    # A detector that finds no face does not outrank a source that says there is one.
    flags = sorted({*row.privacy_flags, DECLARED}) if declared else row.privacy_flags
    if row.status == "REJECTED":
        return changed(row, {"privacy_flags": flags})
    shown = "the source says that people are shown" if declared else f"people may be shown ({', '.join(flags)})"
    reason = f"privacy: {shown}, and the basis declared is {film.personal_data_basis!r}; required: {REQUIRED}"
    update = {"status": "REVIEW_NEEDED", "privacy_flags": flags, "reasons": [*row.reasons, reason]}
    return changed(row, update)
