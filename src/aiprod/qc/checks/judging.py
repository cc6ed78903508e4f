"""What rules are made of: a rule turns figures of many clips into scores between 0 and 1, each with its reason.

A rule looks at columns. It states its cases in order; the first that holds for a clip gives the score, and a template
for the words, which are filled in when somebody asks for them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from itertools import repeat
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aiprod.base.params import Params
from aiprod.qc.metric_table import STATUSES, FigureColumns, FigureTable, Floats, Mask, compact

if TYPE_CHECKING:
    from aiprod.qc.params import QcDecideParams
    from aiprod.qc.rows import CheckStatus

EPSILON_S = 1e-3
_SURE_MAX, _HALFWAY = 2.0**32, 1e-4  # up to the one, a product is off by far less than the other
Places = NDArray[np.int64]
Field = NDArray[Any] | Sequence[Any] | str | float | Callable[[Places], Sequence[Any]]
"""What stands in a template: a value a clip, one for all, or a function that gives those of some clips."""
_NAMED = re.compile(r"(?<!\{)\{(\w+)")


@dataclass(frozen=True)
class Case:
    """What holds of the clips at ``when``, where no case before it does.

    Attributes:
        score: 0 to 1; None unless the status is ``ok``.
        words: the reason, as a template of ``str.format`` that names fields.
        caps: whether the verdict may not be better than REVIEW_NEEDED because of this check.
        flags: privacy flags.
        remark: whether the verdict says the reason though the check holds nothing up.
    """

    when: Mask | bool
    score: Floats | float | None
    words: str
    caps: Mask | bool = False
    flags: tuple[str, ...] = ()
    remark: Mask | bool = False
    status: CheckStatus = "ok"

    def with_words(self, words: str) -> Case:
        """The same case in other words."""
        return replace(self, words=words)


class Judgements:
    """A rule's answers on some clips.

    Attributes:
        status: places in ``STATUSES``; ``score``: NaN where there is none.
        value: the figure that the judgement rests on: a column, or columns by name where it is an object; NaN is none.

    Raises:
        ValueError: no case holds for some clip.
    """

    def __init__(
        self,
        cases: Sequence[Case],
        *,
        status: NDArray[np.int8] | None = None,
        value: NDArray[Any] | Sequence[Any] | Mapping[str, NDArray[Any] | Sequence[Any]] | None,
        count: int,
        fields: Mapping[str, Field],
    ) -> None:
        whens = [_spread(case.when, count) for case in cases]
        if count and not np.logical_or.reduce(whens).all():
            raise ValueError(f"no case holds for some clip: {[case.words for case in cases]}")
        self.count = count
        self.value = {n: _compact(v) for n, v in value.items()} if isinstance(value, Mapping) else _compact(value)
        fields = {name: _compact(field) for name, field in fields.items()}
        self._cases = [(case.words, case.flags, fields) for case in cases]  # and not the masks, which take memory
        self.code = (np.select(whens, range(len(cases)), 0) if whens else np.empty(0)).astype(np.int16)
        codes = np.array([STATUSES.index(case.status) for case in cases] or [0], np.int8)[self.code]
        self.status = compact(codes if status is None else np.where(status == 0, codes, status).astype(np.int8))
        self.score = self._of([np.nan if case.score is None else case.score for case in cases], np.float64)
        self.caps = self._of([case.caps for case in cases], np.bool_)
        self.remark = self._of([case.remark for case in cases], np.bool_)

    def reasons(self, places: Places | None = None) -> list[str]:
        """The words for the clips at these places, or for all."""
        at = np.arange(self.count) if places is None else np.asarray(places, np.int64)
        texts = np.empty(at.size, object)
        codes = self.code[at]
        for code in sorted(set(codes.tolist())):
            mine = codes == code
            words, _, fields = self._cases[code]
            texts[mine] = _words(words, fields, at[mine])
        return list(texts)

    def flags(self) -> list[tuple[Mask, tuple[str, ...]]]:
        """Privacy flags, each with the clips that have them."""
        return [(self.code == code, flags) for code, (_, flags, _) in enumerate(self._cases) if flags]

    def replaced(self, mask: Mask, other: Judgements) -> Judgements:
        """These answers, and others for some clips."""
        result = copy(self)
        result._cases = [*self._cases, *other._cases]
        result.code = np.where(mask, other.code + len(self._cases), self.code).astype(np.int16)
        for name in ("status", "score", "caps", "remark", "value"):
            setattr(result, name, np.where(mask, getattr(other, name), getattr(self, name)))
        return result

    def _of(self, values: Sequence[Any], kind: Any) -> NDArray[Any]:
        """What the case of each clip has."""
        column = np.empty(self.count, kind)
        for code, value in enumerate(values):
            mine = self.code == code
            column[mine] = value[mine] if isinstance(value, np.ndarray) else value
        return compact(column)


def _spread(when: Mask | bool, count: int) -> Mask:
    alike = isinstance(when, np.ndarray) and when.shape == (count,)  # asking is quicker than broadcasting
    return when if alike else np.broadcast_to(when, count)  # type: ignore[return-value]


def _compact(value: Any) -> Any:
    return compact(value) if isinstance(value, np.ndarray) else value


def _words(template: str, fields: Mapping[str, Field], places: Places) -> Any:
    names = list(dict.fromkeys(_NAMED.findall(template)))
    if not names:
        return template.format()
    numbered = _NAMED.sub(lambda match: f"{{{names.index(match[1])}", template)
    columns = [_field(fields[name], places) for name in names]
    if all(isinstance(column, repeat) for column in columns):
        return numbered.format(*map(next, columns))
    texts = np.empty(places.size, object)
    texts[:] = list(map(numbered.format, *columns))
    return texts


def _field(values: Field, places: Places) -> Any:
    if isinstance(values, np.ndarray):
        return values[places].tolist() if any(values.strides) else repeat(values[:1].tolist()[0], places.size)
    if callable(values):
        return values(places)
    if isinstance(values, str | float | int):
        return repeat(values, places.size)
    return [values[i] for i in places.tolist()]


Judge = Callable[[FigureTable, "QcDecideParams"], Judgements]


@dataclass(frozen=True)
class Rule:
    """A check as the policy names it.

    Attributes:
        name: in weights, in ``mandatory``, in verdicts and reports.
        source: the measurement that names method and version.
        reads: measurement → its figures that the judge asks for, beside ``status`` and ``reason``; it gets no other.
        judge: gives the answers: a pure function of each clip's figures.
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


def judged(
    figures: FigureColumns,
    *cases: Case,
    value: NDArray[Any] | Sequence[Any] | Mapping[str, NDArray[Any] | Sequence[Any]] | None = None,
    needs: Sequence[FigureColumns] = (),
    **fields: Field,
) -> Judgements:
    """The answers where the figures were measured; elsewhere the measurement's own status and reason.

    Args:
        needs: other measurements without which there is no answer either, in the order in which they are named.
        fields: what stands in the templates of the cases, by name.
    """
    status, reason = figures.status, figures.reason
    for other in needs:
        status, reason = np.where(status == 0, other.status, status), np.where(status == 0, other.reason, reason)
    absent = Case(status != 0, None, "{_reason}")
    every = {**fields, "_reason": reason}
    return Judgements([absent, *cases], status=status, value=value, count=figures.count, fields=every)


def answered(
    table: FigureTable,
    *cases: Case,
    value: NDArray[Any] | Sequence[Any] | Mapping[str, NDArray[Any] | Sequence[Any]] | None = None,
    **fields: Field,
) -> Judgements:
    """The answers of a rule that always has one, whatever could be measured."""
    return Judgements(cases, value=value, count=table.count, fields=fields)


def ramp(values: Floats, poor: float, good: float) -> Floats:
    """0 at ``poor``, 1 at ``good``, linear between (either may be the larger); NaN stays."""
    if poor == good:
        return np.where(np.isnan(values), np.nan, values >= good)
    part = (values - poor) / (good - poor)
    return np.where(part >= 1.0, 1.0, np.where(part <= 0.0, 0.0, part))


def rounded(values: Floats, digits: int) -> Floats:
    """Each number rounded as Python rounds it; NumPy's may differ where it lies about halfway."""
    with np.errstate(over="ignore", invalid="ignore"):  # what is too large is rounded below
        scaled = values * 10.0**digits
        result = np.asarray(np.rint(scaled) / 10.0**digits)
        unsure = (np.abs(scaled) >= _SURE_MAX) | (np.abs(np.abs(scaled - np.trunc(scaled)) - 0.5) < _HALFWAY)
    for i in np.flatnonzero(unsure).tolist():
        result[i] = round(float(values[i]), digits)
    return result


def or_else(values: Floats, other: float) -> Floats:
    """The values, and another one where there is none."""
    return np.where(np.isnan(values), other, values)


Part = tuple[Floats, str, NDArray[Any]]


class Worst:
    """The lowest of several scores, and its words.

    Args:
        parts: the weightiest first: scores (NaN where one does not count), the words for each, and the figure that
            they name.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = parts
        self.score: Floats = np.fmin.reduce([score for score, _, _ in parts])

    def words(self, places: Places) -> list[str]:
        """The words of some clips; where several scores are the lowest, of the part that is named first."""
        texts: list[str | None] = [None] * places.size
        low = self.score[places]
        for score, words, figure in self._parts:
            at = np.flatnonzero(score[places] == low)
            for i, value in zip(at.tolist(), figure[places[at]].tolist(), strict=True):
                if texts[i] is None:
                    texts[i] = words.format(value)
        return [words or "" for words in texts]
