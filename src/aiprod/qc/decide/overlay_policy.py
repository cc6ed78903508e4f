"""What follows for verdicts where clips share a mark that none of them shows by itself."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from aiprod.qc.checks.judging import Judgement
from aiprod.qc.checks.watermark import judge as judge_watermark
from aiprod.qc.decide.check_results import CheckTable, Packed
from aiprod.qc.decide.override import amended_checks, amended_columns
from aiprod.qc.overlays.pools import Shared, shared_marks
from aiprod.qc.params import QcDecideParams
from aiprod.qc.projections import Clip, Film

METHOD = (
    "pooled: edges that stay in the same place in several clips of one film or source whose scenes differ, by the "
    "sketches that the clips left"
)


def with_shared_marks(
    checks: list[Packed],
    columns: dict[str, list[Any]],
    *,
    sketches: Mapping[str, str],
    measured: Collection[str],
    films: Sequence[Film],
    clips: Sequence[Clip],
    params: QcDecideParams,
) -> tuple[list[Packed], dict[str, list[Any]]]:
    """The answers and the columns of verdicts on single clips, with the marks that they share.

    A clip that was measured by itself keeps its answer, and so does one of which nothing could be scored. No mark found
    is no answer: a clip may have one that no other has.

    Args:
        sketches: what stays in place in each clip, by clip id.
        measured: ids of the clips that have an answer of their own.
    """
    found = shared_marks(sketches, measured, films, clips)
    if not found:
        return checks, columns
    unscored = {i for i, score in zip(columns["clip_id"], columns["score"], strict=True) if score is None}
    known = {mark: _judged(mark, params) for mark in set(found.values())}
    judgements = {clip_id: known[mark] for clip_id, mark in found.items() if clip_id not in unscored}
    checks = amended_checks(checks, "watermark", judgements, METHOD)
    return checks, amended_columns(columns, CheckTable(checks), "watermark", judgements, params)


def _judged(mark: Shared, params: QcDecideParams) -> Judgement:
    alone = judge_watermark({"watermark": {"status": "ok", "area_fraction": mark.area}}, params)
    pool = f"the {mark.compared} clips of its {mark.pool} that were compared"
    words = f"{alone.reason}, in the same place in {mark.clips} of {pool}"
    return alone._replace(reason=words)
