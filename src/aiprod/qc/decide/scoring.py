"""The policy's score and the verdict: pure arithmetic over the measurements of a clip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from aiprod.qc.checks import WEIGHTED
from aiprod.qc.checks.judging import Judgement
from aiprod.qc.params import QcDecideParams, Weights
from aiprod.qc.projections import Film
from aiprod.qc.rows import Verdict, VerdictRow

Floats = NDArray[np.float64]

_BY_SCORE = "score "


def weighted_scores(scores: Mapping[str, Floats], weights: Weights) -> Floats:
    """Σ weight·score / Σ weight of each clip over the checks that have a score; NaN where none has.

    With every check scored and weights that sum to 1 this is the policy's formula.

    Args:
        scores: of some checks, one a clip, NaN where there is none.
    """
    count = len(next(iter(scores.values()), ()))
    total, weight_sum = np.zeros(count), np.zeros(count)
    for name in WEIGHTED:
        if name in scores:
            weight = float(getattr(weights, name))
            known = ~np.isnan(scores[name])
            total[known] += weight * scores[name][known]
            weight_sum[known] += weight
    return np.divide(total, weight_sum, out=np.full(count, np.nan), where=weight_sum > 0)


def complaint_of(name: str, answer: Judgement, params: QcDecideParams) -> str | None:
    """The reason that a check's answer gives for not approving a clip; None where it gives none."""
    if answer.status == "error":
        return f"{name}: error: {answer.reason}"
    if answer.status != "ok" and name in params.mandatory:
        return f"{name}: {answer.status}: {answer.reason}"
    if answer.score is not None and (answer.score < params.fail_below or answer.caps):
        return f"{name}: {answer.reason}"
    return None


def verdict_of(
    score: float | None,
    broken: Sequence[str],
    complaints: Sequence[str],
    params: QcDecideParams,
    remarks: Sequence[str] = (),
) -> tuple[Verdict, list[str]]:
    """Verdict and reasons: hard limits reject, complaints hold at REVIEW_NEEDED, the score decides the rest.

    Args:
        broken: the reasons that broken hard limits give.
        complaints: what other checks object to.
        remarks: what the policy asks for otherwise and nothing objects to; said last, whatever the verdict by score.
    """
    if broken:
        return "REJECTED", list(broken)
    if score is None:
        return "REVIEW_NEEDED", ["nothing could be scored", *remarks]
    limits = params.thresholds
    # Rounding must not decide at a threshold: 0.85 made of eight binary fractions may come out as 0.8499999.
    if score >= limits.approve - 1e-9:
        return ("REVIEW_NEEDED" if complaints else "APPROVED"), [*complaints, *remarks]
    if score >= limits.review - 1e-9:
        return "REVIEW_NEEDED", [f"score {score:.3f} is below {limits.approve:g}", *complaints, *remarks]
    return "REJECTED", [f"{_BY_SCORE}{score:.3f} is below {limits.review:g}", *complaints, *remarks]


def by_score(reasons: Sequence[str]) -> bool:
    """Whether a rejection follows from the score alone."""
    return bool(reasons) and reasons[0].startswith(_BY_SCORE)


def refused(film: Film) -> VerdictRow:
    """The row of a film that yielded no clip."""
    reasons = [f"{film.status}: {reason}" for reason in film.reasons] or ["no clip"]
    return VerdictRow(clip_id=film.film_id, film_id=film.film_id, status="REJECTED", reasons=reasons)


def erased(film: Film) -> VerdictRow:
    """The row of a film that was erased: nothing is judged."""
    return VerdictRow(clip_id=film.film_id, film_id=film.film_id, status="erased", reasons=list(film.reasons))
