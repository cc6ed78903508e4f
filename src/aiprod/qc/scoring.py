"""The policy's score and the verdict: pure arithmetic over the table of measurements."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aiprod.data.rows import ClipRow, FilmRow
from aiprod.qc.judgements import JUDGES, Judgement
from aiprod.qc.params import QcDecideParams, Weights
from aiprod.qc.privacy import with_privacy
from aiprod.qc.repeats import judge_repeats
from aiprod.qc.rows import CheckResult, MeasureRow, Verdict, VerdictRow

_ORDER: dict[Verdict, int] = {"REJECTED": 0, "REVIEW_NEEDED": 1, "APPROVED": 2}
_KNOWN: dict[tuple[Any, ...], CheckResult] = {}
_KNOWN_MAX = 20_000
_ALL_GIVEN = set(CheckResult.model_fields)  # one set for all: each result's own would be most of its memory


def weighted_score(scores: Mapping[str, float | None], weights: Weights) -> float | None:
    """Σ weight·score / Σ weight over the checks that have a score; None when none has.

    With every check scored and weights that sum to 1 this is the policy's formula.
    """
    total = weight_sum = 0.0
    for name in Weights.model_fields:
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


def decide(row: MeasureRow, params: QcDecideParams, params_digest: str) -> VerdictRow:
    """The verdict on one clip. ``params_digest`` is ``params.digest()``, taken once for all rows."""
    if row.status != "ok":
        return rejected(row.clip_id, row.film_id, row.reasons or ["undecodable"])
    found: Mapping[str, Any] = row.measurements
    judged = {name: judge(found, params) for name, (_, judge) in JUDGES.items()}
    score = weighted_score({name: answer.score for name, answer in judged.items()}, params.weights)
    verdict, reasons = verdict_of(score, judged, params)
    methods = {name: found[source] for name, (source, _) in JUDGES.items()}
    checks = [_result(name, answer, methods[name], params_digest[:16]) for name, answer in judged.items()]
    flags = sorted({flag for answer in judged.values() for flag in answer.flags})
    return VerdictRow(
        clip_id=row.clip_id,
        film_id=row.film_id,
        status=verdict,
        score=None if score is None else round(score, 6),
        checks=checks,
        reasons=reasons,
        privacy_flags=flags,
    )


def _result(name: str, answer: Judgement, figures: Mapping[str, Any], digest: str) -> CheckResult:
    """The row of one check. Most answers of a large dataset are the same few: one frozen object serves all of them."""
    method, version = str(figures.get("method", "")), str(figures.get("version", ""))
    key = (name, answer.reason, answer.score, digest, method, version)
    known = _KNOWN.get(key)
    if known is not None and known.value == answer.value:
        return known
    made = CheckResult.model_construct(
        _ALL_GIVEN,
        check=name,
        value=answer.value,
        score=answer.score,
        status=answer.status,
        method=method,
        version=version,
        params_digest=digest,
        reason=answer.reason,
    )
    if len(_KNOWN) < _KNOWN_MAX:
        _KNOWN[key] = made
    return made


def rejected(clip_id: str, film_id: str, reasons: Sequence[str]) -> VerdictRow:
    """A row for what never got as far as being measured."""
    return VerdictRow(clip_id=clip_id, film_id=film_id, status="REJECTED", reasons=list(reasons))


def erased(row: MeasureRow | FilmRow) -> VerdictRow:
    """The row of what was erased: nothing is judged."""
    clip_id = row.clip_id if isinstance(row, MeasureRow) else row.film_id
    return VerdictRow(clip_id=clip_id, film_id=row.film_id, status="erased", reasons=list(row.reasons))


def verdicts(
    films: Sequence[FilmRow], clips: Sequence[ClipRow], measured: Iterable[MeasureRow], params: QcDecideParams
) -> list[VerdictRow]:
    """A verdict for each clip, and one for each film that yielded none."""
    digest = params.digest()
    rows, prints = [], {}
    for row in measured:
        rows.append(decide(row, params, digest) if row.status != "erased" else erased(row))
        if row.measurements.get("fingerprint", {}).get("status") == "ok":
            prints[row.clip_id] = row.measurements["fingerprint"]
    duplicates = {clip.clip_id: clip.duplicate_of for clip in clips if clip.duplicate_of}
    if duplicates:
        rows = [_duplicate(row, duplicates[row.clip_id]) if row.clip_id in duplicates else row for row in rows]
    rows = with_privacy(rows, films, clips)
    rows = judge_repeats(rows, prints, films, clips, params=params, digest=digest[:16])
    with_clips = {clip.film_id for clip in clips}
    rows += [
        rejected(film.film_id, film.film_id, [f"{film.status}: {reason}" for reason in film.reasons] or ["no clip"])
        if film.status != "erased"
        else erased(film)
        for film in films
        if film.film_id not in with_clips
    ]
    return rows


def _duplicate(row: VerdictRow, of: str) -> VerdictRow:
    return row.model_copy(update={"status": "REJECTED", "reasons": [f"duplicates: the same as {of}", *row.reasons]})
