"""What rules are made of: a rule turns figures into a score between 0 and 1, and says why in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from aiprod.base.params import Params
from aiprod.qc.measurement import Figures

if TYPE_CHECKING:
    from aiprod.qc.params import QcDecideParams
    from aiprod.qc.rows import CheckStatus

EPSILON_S = 1e-3


class Judgement(NamedTuple):
    """A check's answer before it becomes a row.

    Attributes:
        score: 0 to 1; None unless the status is ``ok``.
        caps: whether the verdict may not be better than REVIEW_NEEDED because of this check.
        flags: privacy flags.
        remark: whether the verdict says the reason though the check holds nothing up.
    """

    status: CheckStatus
    value: Any
    score: float | None
    reason: str
    caps: bool = False
    flags: tuple[str, ...] = ()
    remark: bool = False


Judge = Callable[[Mapping[str, Figures], "QcDecideParams"], Judgement]


@dataclass(frozen=True)
class Rule:
    """A check as the policy names it.

    Attributes:
        name: in weights, in ``mandatory``, in verdicts and reports.
        source: the measurement that names method and version.
        reads: measurement → its figures that the judge asks for, beside ``status`` and ``reason``; it gets no other.
        judge: gives the answer: a pure function.
        weight: in the policy's score, as ``qc_decide.weights`` has it by default; None = the score leaves it out.
        limits: parameters of its own, ``qc_decide.checks.<name>``; the judge asks for them by ``params.limits(…)``.
        remarks: whether a verdict may say its reason though nothing is held up.
        may_reject: whether ``qc_decide.hard_limits`` may name it.
    """

    name: str
    source: str
    reads: Mapping[str, tuple[str, ...]]
    judge: Judge
    weight: float | None = None
    limits: type[Params] | None = None
    remarks: bool = False
    may_reject: bool = False


def absent(figures: Figures) -> Judgement:
    """The answer where there are no figures, in the measurement's own words."""
    status = figures.get("status", "error")
    return Judgement(status, None, None, str(figures.get("reason") or "the measurement gives no reason"))


def ramp(value: float, poor: float, good: float) -> float:
    """0 at ``poor``, 1 at ``good``, linear between (either may be the larger)."""
    if poor == good:
        return 1.0 if value >= good else 0.0
    part = (value - poor) / (good - poor)
    return part if 0.0 < part < 1.0 else 1.0 if part >= 1.0 else 0.0


Parts = list[tuple[float, str, float | None]]
"""Scores that a check is the worst of, each with the words for it and the figure that they name."""


def worst(parts: Parts) -> tuple[float, str]:
    """The lowest score, and its words; none where nothing is wrong."""
    low = min(parts)[0]
    if low >= 1:
        return low, ""
    return low, min([words.format(figure) for score, words, figure in parts if score == low])
