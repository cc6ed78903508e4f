"""What follows for verdicts where clips share a mark that none of them shows by itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aiprod.qc.checks import WEIGHTED
from aiprod.qc.checks.judging import Judgements
from aiprod.qc.checks.watermark import cases_of
from aiprod.qc.decide.check_results import CheckTable
from aiprod.qc.decide.measurement_table import MeasurementTable
from aiprod.qc.overlays.pools import shared_marks
from aiprod.qc.params import QcDecideParams
from aiprod.qc.projections import ClipProjection, FilmProjection

METHOD = (
    "pooled: edges that stay in the same place in several clips of one film or source whose scenes differ, by the "
    "sketches that the clips left"
)


def with_shared_marks(
    checks: CheckTable,
    measured: MeasurementTable,
    films: Sequence[FilmProjection],
    clips: Sequence[ClipProjection],
    params: QcDecideParams,
) -> CheckTable:
    """The answers with the marks that clips share.

    A clip that was measured by itself keeps its answer, and so does one of which nothing could be scored. No mark found
    is no answer: a clip may have one that no other has.
    """
    own = {clip_id for clip_id, status in measured.of_each("watermark", "status").items() if status == "ok"}
    marks = shared_marks(measured.of_each("watermark", "sketch"), own, films, clips)
    if not marks:
        return checks
    scored = np.logical_or.reduce([~np.isnan(checks.scores(name)) for name in WEIGHTED])
    mask, area = np.zeros(checks.count, np.bool_), np.full(checks.count, np.nan)
    where = np.full(checks.count, "", object)
    for clip_id, place in zip(measured.clip_ids, measured.place.tolist(), strict=True):
        if clip_id in marks and scored[place]:
            mark = marks[clip_id]
            mask[place], area[place] = True, mark.area
            pool = f"the {mark.compared} clips of its {mark.pool} that were compared"
            where[place] = f", in the same place in {mark.clips} of {pool}"
    cases = [case.with_words(f"{case.words}{{where}}") for case in cases_of(area, params)]
    fields = {"area": area, "where": where}
    others = Judgements(cases, value=np.maximum(area, 0.0), count=checks.count, fields=fields)
    return checks.replaced("watermark", mask, others, METHOD)
