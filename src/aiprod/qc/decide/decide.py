"""From measurements to verdicts, in columns: checks → overlays → verdicts → privacy → nsfw → duplicates.

``answer_checks`` says what is so of each clip, ``settle`` what follows under the policy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from aiprod.data.rows import ClipRow, FilmRow
from aiprod.qc.decide.check_results import CheckTable
from aiprod.qc.decide.duplicate_policy import judge_copies
from aiprod.qc.decide.duplicate_search import find_copies
from aiprod.qc.decide.measurement_table import MeasurementTable
from aiprod.qc.decide.nsfw_policy import hold_unevaluated
from aiprod.qc.decide.overlay_policy import with_shared_marks
from aiprod.qc.decide.privacy_policy import hold_people, hold_people_of_copies
from aiprod.qc.decide.scoring import ClipVerdicts, erased, refused
from aiprod.qc.decide.verdict_table import VerdictTable
from aiprod.qc.denied_films import DeniedFilm
from aiprod.qc.params import QcDecideParams
from aiprod.qc.projections import ClipProjection, FilmProjection
from aiprod.qc.rows import MeasureRow, Verdict, VerdictRow

# An error caps a verdict at REVIEW_NEEDED: only what no decoder can read is the film's own fault.
_UNMEASURED: Mapping[str, Verdict] = {"error": "REJECTED", "unfinished": "REVIEW_NEEDED", "erased": "erased"}


def answer_checks(
    measured: MeasurementTable, films: Sequence[FilmProjection], clips: Sequence[ClipProjection], params: QcDecideParams
) -> CheckTable:
    """The answers of every check on each clip that could be measured, with the overlays that clips share."""
    checks = with_shared_marks(CheckTable.of(measured.figures, params), measured, films, clips, params)
    measured.figures.release("watermark", "sketch")  # by far the largest figure
    return checks


def settle(
    checks: CheckTable,
    measured: MeasurementTable,
    films: Sequence[FilmProjection],
    clips: Sequence[ClipProjection],
    params: QcDecideParams,
    *,
    denied: Sequence[DeniedFilm] = (),
) -> VerdictTable:
    """A verdict for each clip, and one for each film that yielded none.

    Args:
        denied: films that were not taken in, whose copies are rejected.
    """
    table = judged(measured, checks, params)
    for clip in clips:
        if clip.duplicate_of and clip.clip_id in table.number_of:
            table.reject(table.number_of[clip.clip_id], f"duplicates: the same as {clip.duplicate_of}")
    hold_people(table, films, clips)
    hold_unevaluated(table, films, params)
    copies = find_copies(table, measured, clips, params, films=films, denied=denied)
    hold_people_of_copies(table, copies.seen, copies.heard, films, clips)
    judge_copies(table, copies, films, params)
    with_clips = {clip.film_id for clip in clips}
    return table.with_rows(
        erased(film) if film.status == "erased" else refused(film) for film in films if film.film_id not in with_clips
    )


def judged(measured: MeasurementTable, checks: CheckTable, params: QcDecideParams) -> VerdictTable:
    """The verdict on each clip by itself, by what the checks answered."""
    verdicts = ClipVerdicts(checks, params)
    flags = verdicts.privacy_flags()
    scores = np.array([round(score, 6) for score in verdicts.score.tolist()] + [np.nan])
    table = VerdictTable(
        list(measured.clip_ids),
        list(measured.film_ids),
        [verdicts.status[place] for place in measured.place.tolist()]
        if verdicts.status
        else ["REJECTED"] * measured.count,
        scores[measured.place],
        [verdicts.reasons[place] if place >= 0 else [] for place in measured.place.tolist()],
        [flags[place] if place >= 0 else [] for place in measured.place.tolist()],
        measured.place,
        checks,
    )
    for row in np.flatnonzero(measured.place < 0).tolist():
        status, reasons = measured.statuses[row], measured.reasons[row]
        table.status[row] = _UNMEASURED[status]
        table.reasons[row] = reasons if status == "erased" else reasons or ["undecodable"]
    return table


def verdicts(
    films: Sequence[FilmRow], clips: Sequence[ClipRow], measured: Iterable[MeasureRow], params: QcDecideParams
) -> list[VerdictRow]:
    """A verdict with its checks for each clip, and one for each film that yielded none."""
    known, some_films, some_clips = (
        MeasurementTable.of(measured),
        list(map(FilmProjection.of, films)),
        list(map(ClipProjection.of, clips)),
    )
    table = settle(answer_checks(known, some_films, some_clips, params), known, some_films, some_clips, params)
    return table.rows(range(len(table)))


def decide(row: MeasureRow, params: QcDecideParams) -> VerdictRow:
    """The verdict on one clip by itself, with its checks."""
    return judge_rows([row], params).rows([0])[0]


def judge_rows(rows: Iterable[MeasureRow], params: QcDecideParams) -> VerdictTable:
    """The verdict on each clip by itself."""
    measured = MeasurementTable.of(rows)
    return judged(measured, CheckTable.of(measured.figures, params), params)
