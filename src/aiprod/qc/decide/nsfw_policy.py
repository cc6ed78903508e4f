"""Unsafe content as policy: of which sources film may pass without a classifier's answer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aiprod.qc.decide.check_results import CheckTable
from aiprod.qc.decide.verdict_table import VerdictTable
from aiprod.qc.params import QcDecideParams
from aiprod.qc.projections import FilmProjection

_HINT = (
    "name a classifier (qc_measure.nsfw.checkpoint), look at it (aiprod review), "
    "or add the source to qc_decide.nsfw.unevaluated_sources"
)


def hold_unevaluated(table: VerdictTable, films: Sequence[FilmProjection], params: QcDecideParams) -> None:
    """Hold verdicts at REVIEW_NEEDED where nothing looked for unsafe content and the source asks for it."""
    assert isinstance(table.checks, CheckTable)
    free = set(params.nsfw.unevaluated_sources)
    unjudged = np.flatnonzero(np.isnan(table.checks.scores("nsfw", table.place)))
    source_of = {film.film_id: film.source_id for film in films}
    reason_of: dict[str | None, str] = {
        source: f"nsfw: nothing judged it, which does not do for film of the source {source!r}; {_HINT}"
        for source in {None, *source_of.values()} - free
    }
    for row in unjudged.tolist():
        reason = reason_of.get(source_of.get(table.film_ids[row]))
        if reason is not None and table.status[row] in ("APPROVED", "REVIEW_NEEDED"):
            table.object_to(row, reason, "REVIEW_NEEDED")
