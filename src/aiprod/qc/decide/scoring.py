"""The policy's score and the verdict on each clip by itself: arithmetic over the columns of all clips."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from aiprod.qc.checks import RULES, WEIGHTED
from aiprod.qc.checks.judging import Places
from aiprod.qc.decide.check_results import CheckTable
from aiprod.qc.metric_table import STATUSES, Floats, Mask
from aiprod.qc.params import QcDecideParams, Weights
from aiprod.qc.policy_profiles import NOTE, ROLES
from aiprod.qc.projections import FilmProjection
from aiprod.qc.rows import Verdict, VerdictRow

_SLACK = 1e-9  # rounding must not decide: 0.85 made of eight binary fractions may come out as 0.8499999
_NONE: list[str] = []
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


@dataclass(frozen=True)
class _Saying:
    """What is said of the clips of a mask: a check's own words, words with the score in them, or names of checks.

    Attributes:
        complains: whether the status of the check is said too, if it is not ok.
    """

    mask: Mask
    check: str = ""
    words: str = ""
    also: Mapping[str, Mask] | None = None
    complains: bool = False


class ClipVerdicts:
    """The verdicts that follow from what the checks answered on each clip.

    Hard limits reject, and the rest is named after them; complaints hold at REVIEW_NEEDED; the score decides the rest.
    Of several complaints the one that costs most of the score is said first. What the profile takes for a note or for
    a matter of review costs none (:mod:`aiprod.qc.policy_profiles`).

    Attributes:
        score: weighted, not rounded; NaN where nothing could be scored.
        reasons: in words; lists may be shared.
    """

    def __init__(self, checks: CheckTable, params: QcDecideParams) -> None:
        self._checks, self._params = checks, params
        limits = params.thresholds
        self._roles = ROLES[params.profile]
        self.score = weighted_scores({name: self._scores(name) for name in WEIGHTED}, params.weights)
        hard = [name for name in params.hard_limits if name not in self._roles]
        broken = {name: checks.scores(name) == 0.0 for name in hard}
        rejected = _any(broken.values(), checks.count)
        unscored = np.isnan(self.score)
        good, fair = self.score >= limits.approve - _SLACK, self.score >= limits.review - _SLACK
        objects = {name: self._objects(name) for name in RULES}
        objected = _any(objects.values(), checks.count)
        codes = np.select([rejected, unscored, good & ~objected, good | fair], [2, 1, 0, 1], 2)
        names: tuple[Verdict, ...] = ("APPROVED", "REVIEW_NEEDED", "REJECTED")
        self.status = [names[code] for code in codes.tolist()]
        low = ~rejected & ~unscored & ~good
        complaints = {name: mask & ~rejected & ~unscored for name, mask in objects.items()}
        rest = {name: mask & rejected & ~broken.get(name, ~rejected) for name, mask in objects.items()}
        sayings = chain(
            (_Saying(mask, name) for name, mask in broken.items()),
            (
                _Saying(~rejected & unscored, words="nothing could be scored"),
                _Saying(low & fair, words=f"{_BY_SCORE}{{:.3f}} is below {limits.approve:g}"),
                _Saying(low & ~fair, words=f"{_BY_SCORE}{{:.3f}} is below {limits.review:g}"),
            ),
            self._by_cost(complaints),
            (_Saying(_any(rest.values(), checks.count), also=rest),),
            (
                _Saying((answers.remark | self._noted(name)) & ~objects[name] & ~rejected, name)
                for name, answers in checks.answers.items()
            ),
        )
        self.reasons: list[list[str]] = [_NONE] * checks.count
        for saying in sayings:
            places = np.flatnonzero(saying.mask)
            if not places.size:
                continue
            for i, words in zip(places.tolist(), self._words(saying, places), strict=True):
                self.reasons[i] = [*self.reasons[i], words]

    def privacy_flags(self) -> list[list[str]]:
        """What each clip is flagged for, sorted; lists may be shared."""
        by_clip: list[list[str]] = [_NONE] * self._checks.count
        for answers in self._checks.answers.values():
            for mask, flags in answers.flags():
                for i in np.flatnonzero(mask & (answers.status == 0)).tolist():
                    by_clip[i] = sorted({*by_clip[i], *flags})
        return by_clip

    def _scores(self, name: str) -> Floats:
        """The scores of a check; full where the profile lets it cost nothing."""
        scores = self._checks.scores(name)
        return np.where(np.isnan(scores), np.nan, 1.0) if name in self._roles else scores

    def _noted(self, name: str) -> Mask:
        """Where a check that is but a note has something to say."""
        if self._roles.get(name) != NOTE:
            return np.zeros(self._checks.count, np.bool_)
        return np.asarray(self._checks.scores(name) < 1.0)

    def _objects(self, name: str) -> Mask:
        """Where a check's answer is a reason for not approving a clip."""
        answers = self._checks.answers[name]
        if self._roles.get(name) == NOTE:
            return np.asarray((answers.status != 0) & (name in self._params.mandatory))
        poor = (answers.score < self._params.fail_below) | (answers.caps & ~np.isnan(answers.score))
        error = answers.status == STATUSES.index("error")
        return poor | error | ((answers.status != 0) & (name in self._params.mandatory))

    def _by_cost(self, objects: Mapping[str, Mask]) -> Iterator[_Saying]:
        """Complaints, of each clip the one first that costs most of the score."""
        weights = {name: float(getattr(self._params.weights, name)) for name in WEIGHTED}
        lost: dict[str, Floats] = {}
        for name in objects:
            scores = self._scores(name) if name in weights else np.full(self._checks.count, np.nan)
            lost[name] = weights.get(name, 0.0) * (1.0 - np.nan_to_num(scores))
        ranks = np.argsort(-np.array([lost[name] for name in objects]), axis=0, kind="stable")
        names = list(objects)
        for row in ranks:  # one name a clip
            for place in sorted(set(row.tolist())):
                name = names[place]
                yield _Saying(objects[name] & (row == place), name, complains=True)

    def _words(self, saying: _Saying, places: Places) -> Iterable[str]:
        """The words of a saying for the clips at these places."""
        name = saying.check
        if saying.also:
            return [f"also: {', '.join(n for n, mask in saying.also.items() if mask[i])}" for i in places.tolist()]
        if not name:
            return map(saying.words.format, self.score[places].tolist())
        answers = self._checks.answers[name]
        statuses = answers.status[places].tolist() if saying.complains else [0] * places.size
        pairs = zip(answers.reasons(places), statuses, strict=True)
        return [f"{name}: {STATUSES[status]}: {words}" if status else f"{name}: {words}" for words, status in pairs]


def _any(masks: object, count: int) -> Mask:
    union = np.zeros(count, np.bool_)
    for mask in masks:  # type: ignore[attr-defined]
        union |= mask
    return union


def by_score(reasons: Sequence[str]) -> bool:
    """Whether a rejection follows from the score alone."""
    return bool(reasons) and reasons[0].startswith(_BY_SCORE)


def refused(film: FilmProjection) -> VerdictRow:
    """The row of a film that yielded no clip."""
    reasons = [f"{film.status}: {reason}" for reason in film.reasons] or ["no clip"]
    return VerdictRow(clip_id=film.film_id, film_id=film.film_id, status="REJECTED", reasons=reasons)


def erased(film: FilmProjection) -> VerdictRow:
    """The row of a film that was erased: nothing is judged."""
    return VerdictRow(clip_id=film.film_id, film_id=film.film_id, status="erased", reasons=list(film.reasons))
