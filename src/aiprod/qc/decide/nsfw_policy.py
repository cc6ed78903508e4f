"""Unsafe content as policy: of which sources film may pass without a classifier's answer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aiprod.qc.params import QcDecideParams
from aiprod.qc.projections import Film
from aiprod.qc.rows import VerdictRow
from aiprod.storage.manifest.row_validation import changed

_MEND = (
    "name a classifier (qc_measure.nsfw.checkpoint), look at it (aiprod review), "
    "or add the source to qc_decide.nsfw.unevaluated_sources"
)


def with_unsafe_policy(
    rows: Sequence[VerdictRow], films: Sequence[Film], judged: np.ndarray, params: QcDecideParams
) -> list[VerdictRow]:
    """The verdicts, held at REVIEW_NEEDED where nothing looked for unsafe content and the source asks for it.

    Args:
        judged: bool [rows], whether the check ``nsfw`` has an answer.
    """
    free = set(params.nsfw.unevaluated_sources)
    sources = {film.source_id for film in films}
    if judged.all() or (sources <= free and {row.film_id for row in rows} <= {film.film_id for film in films}):
        return list(rows)
    source_of = {film.film_id: film.source_id for film in films}
    reason_of: dict[str | None, str] = {
        source: f"nsfw: nothing judged it, which does not do for film of the source {source!r}; {_MEND}"
        for source in {None, *sources} - free
    }
    held = list(rows)
    for i in np.flatnonzero(~judged).tolist():
        row = rows[i]
        reason = reason_of.get(source_of.get(row.film_id))
        if reason is not None and row.status in ("APPROVED", "REVIEW_NEEDED"):
            held[i] = changed(row, {"status": "REVIEW_NEEDED", "reasons": [*row.reasons, reason]})
    return held
