"""People in a clip: who says so, and which basis that takes. A flag without such a basis is never trained on unseen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiprod.data.rows import FilmRow
from aiprod.qc.projections import Clip, Film
from aiprod.qc.rows import VerdictRow
from aiprod.storage.manifest.row_validation import changed

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


def with_people_of_copies(
    rows: Sequence[VerdictRow],
    seen: Sequence[Sequence[int]],
    heard: Sequence[Sequence[int]],
    films: Sequence[Film],
    clips: Sequence[Clip],
) -> list[VerdictRow]:
    """The verdicts of :func:`with_privacy`, held too where a copy shows people whom some film has no basis for.

    Whoever offers a film may say less about it than who offers its copy, so the strictest word rules both: people whom
    one of them declares are in each (their voices, where the pictures differ), a face that is seen in one is in what
    shows the same, and each is held unless the film of every copy has a basis.

    Args:
        seen: clusters of clips that show the same, as places in ``rows``.
        heard: clusters of clips that show or sound the same.
    """
    if not heard:
        return list(rows)
    film_of = {film.film_id: film for film in films}
    declared = {clip.clip_id for clip in clips if clip.declares_people}
    told = [{DECLARED} if row.clip_id in declared else set() for row in rows]
    shown = [flags.union(row.privacy_flags) for flags, row in zip(told, rows, strict=True)]
    held = list(rows)
    for flags, clusters in ((shown, seen), (told, heard)):
        for group in clusters:
            teller = next((i for i in group if flags[i]), None)
            bare = [i for i in group if rows[i].film_id in film_of and not has_basis(film_of[rows[i].film_id])]
            if teller is None or not bare:
                continue
            people = ", ".join(sorted(flags[teller]))
            more = set().union(*(flags[i] for i in group))
            for i in group:
                at = i if i in bare else bare[0]
                other = rows[teller if teller != i else next(j for j in group if j != i)].clip_id
                words = f"{people} by {'this clip' if teller == i else other}, and "
                words += f"{other if teller == i else 'this clip'} shows or sounds the same; the basis declared "
                words += "here" if at == i else f"for {rows[at].clip_id}"
                held[i] = _held_as_copy(held[i], more, words, film_of[rows[at].film_id].personal_data_basis)
    return held


def _held_as_copy(row: VerdictRow, flags: set[str], words: str, basis: str) -> VerdictRow:
    update: dict[str, Any] = {"privacy_flags": sorted(flags.union(row.privacy_flags))}
    if row.status != "REJECTED" and not any(said.startswith("privacy:") for said in row.reasons):
        clear = " (and so its film lies in the clear)" if basis == "none" else ""
        reason = f"privacy: {words} is {basis!r}{clear}; required for each: {REQUIRED}"
        update |= {"status": "REVIEW_NEEDED", "reasons": [*row.reasons, reason]}
    return changed(row, update)
