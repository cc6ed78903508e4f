"""The verdict on each of some clips by itself, by what the checks answered."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from aiprod.qc.decide.check_results import CheckTable
from aiprod.qc.decide.measurement_table import MeasurementTable
from aiprod.qc.decide.scoring import ClipVerdicts
from aiprod.qc.decide.verdict_table import VerdictTable
from aiprod.qc.params import QcDecideParams
from aiprod.qc.rows import Verdict

# An error caps a verdict at REVIEW_NEEDED: only what no decoder can read is the film's own fault.
_UNMEASURED: Mapping[str, Verdict] = {"error": "REJECTED", "unfinished": "REVIEW_NEEDED", "erased": "erased"}


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
