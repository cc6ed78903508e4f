"""From measurements to verdicts: checks → overlays → verdicts → privacy → nsfw → duplicates → reviews.

Each clip is judged with some others at a time (:mod:`aiprod.qc.decide.dataset`); what follows from all clips together
(overlays that clips share, copies) is found before that or told to a few of them after it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np

from aiprod.data.rows import ClipRow, FilmRow
from aiprod.qc.decide.check_results import CheckTable
from aiprod.qc.decide.dataset import DatasetVerdicts
from aiprod.qc.decide.duplicate_policy import judge_copies, without_comparison
from aiprod.qc.decide.duplicate_search import Candidate, Copies, find_copies
from aiprod.qc.decide.judged import judged
from aiprod.qc.decide.measured import Measured
from aiprod.qc.decide.measurement_table import PRINTS, MeasurementTable
from aiprod.qc.decide.overlay_policy import marks_among
from aiprod.qc.decide.privacy_policy import hold_people_of_copies
from aiprod.qc.decide.reviews import Review, apply_reviews, latest
from aiprod.qc.decide.verdict_table import VerdictTable
from aiprod.qc.denied_films import DeniedFilm
from aiprod.qc.duplicates.matching import Prints
from aiprod.qc.duplicates.tracks import words_in
from aiprod.qc.params import QcDecideParams
from aiprod.qc.projections import ClipProjection, Clips, FilmProjection, Films, clips_of, films_of
from aiprod.qc.rows import MeasureRow, VerdictRow


def settle(
    parts: Iterable[MeasurementTable],
    films: Films,
    clips: Clips,
    params: QcDecideParams,
    *,
    denied: Sequence[DeniedFilm] = (),
    reviews: Sequence[Review] = (),
) -> DatasetVerdicts:
    """A verdict for each clip, and one for each film that yielded none.

    Args:
        parts: all measurements, some clips at a time.
        denied: films that were not taken in, whose copies are rejected.
        reviews: what people decided.
    """
    measured = Measured(parts)
    verdicts = DatasetVerdicts(measured, marks_among(measured, films, clips), films, clips, params)
    copies = _copies(measured, verdicts, params, denied)
    reviewed = {row for clip_id in latest(reviews) if (row := verdicts.row_of(clip_id)) is not None}
    rows = sorted(copies.rows | reviewed)
    table, among = verdicts.some(rows), copies.renumbered(rows)
    their_films = list(films.of(table.film_ids).values())
    their_clips = list(clips.of(table.ids).values())
    hold_people_of_copies(table, among.seen, among.heard, their_films, their_clips)
    answers = judge_copies(table, among, their_films, params)
    apply_reviews(table, their_films, their_clips, reviews)
    verdicts.change(rows, table, answers)
    return verdicts


def _copies(
    measured: Measured, verdicts: DatasetVerdicts, params: QcDecideParams, denied: Sequence[DeniedFilm]
) -> Copies:
    theirs = [(film, figures) for film in denied for figures in film.prints]  # behind the rows
    clips = None
    if verdicts.numbers is not None:
        clips = np.where(verdicts.numbers < measured.count, verdicts.numbers, -1)
    looks, changes, sounds = (
        measured.track(name, clips, [words_in(figures, name) for _, figures in theirs]) for name in PRINTS
    )
    prints = Prints(looks, changes, sounds, params.duplicates)
    similar = set(params.duplicates.similar_sources)

    def candidates(rows: Collection[int]) -> Mapping[int, Candidate]:
        return verdicts.candidates(rows, similar)

    return find_copies(prints, len(verdicts), candidates, params.duplicates, [film for film, _ in theirs])


def verdicts(
    films: Sequence[FilmRow], clips: Sequence[ClipRow], measured: Iterable[MeasureRow], params: QcDecideParams
) -> list[VerdictRow]:
    """A verdict with its checks for each clip, and one for each film that yielded none."""
    known, some_films, some_clips = (
        [MeasurementTable.of(measured)],
        films_of(map(FilmProjection.of, films)),
        clips_of(map(ClipProjection.of, clips)),
    )
    table = settle(known, some_films, some_clips, params)
    return [row for part in table.parts(len(table) or 1) for row in part.rows(range(len(part)))]


def decide(row: MeasureRow, params: QcDecideParams) -> VerdictRow:
    """The verdict on one clip by itself, with its checks."""
    return judge_rows([row], params).rows([0])[0]


def judge_rows(rows: Iterable[MeasureRow], params: QcDecideParams) -> VerdictTable:
    """The verdict on each clip by itself."""
    measured = MeasurementTable.of(rows)
    return judged(measured, CheckTable.of(measured.figures, params), params)


def judge_files(rows: Sequence[MeasureRow], params: QcDecideParams, *, checks: bool) -> list[VerdictRow]:
    """The verdict on each of some files outside of a dataset, in the order of their rows.

    Args:
        checks: whether with what each check says.
    """
    table = without_comparison(judge_rows(rows, params), rows)
    sorted_rows = sorted(range(len(rows)), key=lambda place: rows[place].clip_id)  # as the table has them
    places = sorted(range(len(rows)), key=sorted_rows.__getitem__)
    return table.rows(places) if checks else [table.row(place) for place in places]
