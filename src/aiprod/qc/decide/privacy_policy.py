"""People in a clip: who says so, and which basis that takes. A flag without such a basis is never trained on unseen."""

from __future__ import annotations

from collections.abc import Sequence

from aiprod.data.rows import FilmRow
from aiprod.qc.decide.verdict_table import VerdictTable
from aiprod.qc.projections import ClipProjection, FilmProjection

DECLARED = "people declared"
REQUIRED = "consent or contract, with its record in consent_ref; or a privacy officer's review that names the basis"


def has_basis(film: FilmRow | FilmProjection) -> bool:
    """Whether the people in a film agreed to it, by consent or contract; that the record holds is a layer of rights.

    A balance of interests (GDPR Art. 6(1)(f)) is not enough by itself: somebody has to have weighed it for this clip.
    """
    return film.consent_ref is not None or film.personal_data_basis in ("consent", "contract")


def hold_people(table: VerdictTable, films: Sequence[FilmProjection], clips: Sequence[ClipProjection]) -> None:
    """Hold verdicts at REVIEW_NEEDED where people are seen or declared and no basis is on record."""
    bare = {film.film_id: film for film in films if not has_basis(film)}
    declared = {clip.clip_id for clip in clips if clip.declares_people}
    for row, (clip_id, film_id, seen) in enumerate(zip(table.ids, table.film_ids, table.privacy_flags, strict=True)):
        is_declared = clip_id in declared
        if film_id not in bare or not (is_declared or seen):
            continue
        # A detector that finds no face does not outrank a source that says there is one.
        flags = sorted({*seen, DECLARED}) if is_declared else seen
        table.privacy_flags[row] = flags
        if table.status[row] != "REJECTED":
            shown = (
                "the source says that people are shown" if is_declared else f"people may be shown ({', '.join(flags)})"
            )
            basis = f"and the basis declared is {bare[film_id].personal_data_basis!r}; required: {REQUIRED}"
            table.object_to(row, f"privacy: {shown}, {basis}", "REVIEW_NEEDED")


def hold_people_of_copies(
    table: VerdictTable,
    seen: Sequence[Sequence[int]],
    heard: Sequence[Sequence[int]],
    films: Sequence[FilmProjection],
    clips: Sequence[ClipProjection],
) -> None:
    """Hold verdicts too where a copy shows people whom some film has no basis for.

    Whoever offers a film may say less about it than who offers its copy, so the strictest word rules both: people whom
    one of them declares are in each (their voices, where the pictures differ), a face that is seen in one is in what
    shows the same, and each is held unless the film of every copy has a basis.

    Args:
        seen: clusters of clips that show the same, as rows of the table.
        heard: clusters of clips that show or sound the same.
    """
    if not heard:
        return
    film_of = {film.film_id: film for film in films}
    declared = {clip.clip_id for clip in clips if clip.declares_people}
    members = {i for group in (*seen, *heard) for i in group}
    declared_flags = {i: {DECLARED} if table.ids[i] in declared else set() for i in members}
    shown = {i: declared_flags[i].union(table.privacy_flags[i]) for i in members}
    for flags, clusters in ((shown, seen), (declared_flags, heard)):
        for group in clusters:
            teller = next((i for i in group if flags[i]), None)
            bare = [i for i in group if (film := film_of.get(table.film_ids[i])) is not None and not has_basis(film)]
            if teller is None or not bare:
                continue
            people = ", ".join(sorted(flags[teller]))
            more = set().union(*(flags[i] for i in group))
            for i in group:
                at = i if i in bare else bare[0]
                other = table.ids[teller if teller != i else next(j for j in group if j != i)]
                words = f"{people} by {'this clip' if teller == i else other}, and "
                words += f"{other if teller == i else 'this clip'} shows or sounds the same; the basis declared "
                words += "here" if at == i else f"for {table.ids[at]}"
                _hold_copy(table, i, more, words, film_of[table.film_ids[at]].personal_data_basis)


def _hold_copy(table: VerdictTable, row: int, flags: set[str], words: str, basis: str) -> None:
    table.privacy_flags[row] = sorted(flags.union(table.privacy_flags[row]))
    if table.status[row] != "REJECTED" and not any(reason.startswith("privacy:") for reason in table.reasons[row]):
        clear = " (and so its film lies in the clear)" if basis == "none" else ""
        table.object_to(row, f"privacy: {words} is {basis!r}{clear}; required for each: {REQUIRED}", "REVIEW_NEEDED")
