"""The policy's score and the verdict: pure arithmetic over the measurements of a clip."""

from __future__ import annotations

from collections.abc import Mapping

from aiprod.data.rows import FilmRow
from aiprod.qc.judgements import Judgement
from aiprod.qc.params import QcDecideParams, Weights
from aiprod.qc.rows import Verdict, VerdictRow

_ORDER: dict[Verdict, int] = {"REJECTED": 0, "REVIEW_NEEDED": 1, "APPROVED": 2}
WEIGHTED = tuple(Weights.model_fields)


def weighted_score(scores: Mapping[str, float | None], weights: Weights) -> float | None:
    """Σ weight·score / Σ weight over the checks that have a score; None when none has.

    With every check scored and weights that sum to 1 this is the policy's formula.
    """
    total = weight_sum = 0.0
    for name in WEIGHTED:
        score = scores.get(name)
        if score is not None:
            weight = float(getattr(weights, name))
            total += weight * score
            weight_sum += weight
    return total / weight_sum if weight_sum > 0 else None


def verdict_of(
    score: float | None, judged: Mapping[str, Judgement], params: QcDecideParams
) -> tuple[Verdict, list[str]]:
    """Verdict and reasons: hard limits reject, caps hold at REVIEW_NEEDED, the score decides the rest."""
    reasons: list[str] = []
    broken = [name for name in params.hard_limits if judged[name].score is not None and judged[name].score == 0.0]
    if broken:
        return "REJECTED", [f"{name}: {judged[name].reason}" for name in broken]
    if score is None:
        return "REVIEW_NEEDED", ["nothing could be scored"]
    limits = params.thresholds
    # Rounding must not decide at a threshold: 0.85 made of eight binary fractions may come out as 0.8499999.
    if score >= limits.approve - 1e-9:
        verdict: Verdict = "APPROVED"
    elif score >= limits.review - 1e-9:
        verdict = "REVIEW_NEEDED"
        reasons.append(f"score {score:.3f} is below {limits.approve:g}")
    else:
        verdict = "REJECTED"
        reasons.append(f"score {score:.3f} is below {limits.review:g}")
    for name, answer in judged.items():
        if answer.status == "error":
            reasons.append(f"{name}: error: {answer.reason}")
        elif answer.status != "ok" and name in params.mandatory:
            reasons.append(f"{name}: {answer.status}: {answer.reason}")
        elif answer.score is not None and (answer.score < params.fail_below or answer.caps):
            reasons.append(f"{name}: {answer.reason}")
        else:
            continue
        if _ORDER[verdict] > _ORDER["REVIEW_NEEDED"]:
            verdict = "REVIEW_NEEDED"
    return verdict, reasons


def refused(film: FilmRow) -> VerdictRow:
    """The row of a film that yielded no clip."""
    reasons = [f"{film.status}: {reason}" for reason in film.reasons] or ["no clip"]
    return VerdictRow(clip_id=film.film_id, film_id=film.film_id, status="REJECTED", reasons=reasons)


def erased(film: FilmRow) -> VerdictRow:
    """The row of a film that was erased: nothing is judged."""
    return VerdictRow(clip_id=film.film_id, film_id=film.film_id, status="erased", reasons=list(film.reasons))
