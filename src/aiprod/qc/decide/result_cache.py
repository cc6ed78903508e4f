"""Evaluate one check over many clips, caching results by input values."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from math import copysign, nan
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
import orjson

from aiprod.base.files import canonical_json
from aiprod.qc.checks import RULES
from aiprod.qc.checks.judging import Judgement
from aiprod.qc.decide.scoring import complaint_of
from aiprod.qc.measurement import Figures
from aiprod.qc.params import QcDecideParams
from aiprod.storage.manifest.canonical_rows import is_quick

_KNOWN_MAX = 2_000  # of each check
_NUMBERS = frozenset({int, float, bool})
_ABSENT: Any = type("Absent", (), {})()
_SCALARS = _NUMBERS | {str, type(None), type(_ABSENT)}


class Answer(NamedTuple):
    """An answer and what follows from it for the clip.

    Attributes:
        score: NaN where there is none.
        text: the result as canonical JSON.
        complaint: the reason that it gives for not approving the clip.
        broken: the reason, where a hard limit is broken.
        remark: the reason, where it is said though nothing is held up.
        flags: privacy flags.
        matters: whether there is more to it than a score.
    """

    status: str
    score: float
    text: bytes
    complaint: str | None
    broken: str | None
    remark: str | None
    flags: tuple[str, ...]
    matters: bool


class Column(NamedTuple):
    """A figure of some clips.

    Attributes:
        keys: values by which the same answer is found again; where figures are lists, text that tells them apart.
        kind: of the numbers: 1, 1.0 and True are equal, but what is said of them is not. ``mixed`` where equal keys
            may differ so within the column, or where keys cannot be looked up; ``absent`` where no clip has it.
        same: whether all keys are known to be the same.
    """

    keys: Sequence[Any]
    kind: str
    same: bool


class FigureTable:
    """The measurements of some clips by figure; each is looked up once, also where several checks read it."""

    def __init__(self, found: Sequence[Mapping[str, Figures]]) -> None:
        self.found = found
        self._sections: dict[str, Callable[[str], Sequence[Any]]] = {}
        self._columns: dict[tuple[str, str], Column] = {}
        self._absent = Column([_ABSENT] * len(found), "absent", same=True)

    def column(self, section: str, name: str) -> Column:
        """A figure of each clip."""
        known = self._columns.get((section, name))
        if known is None:
            if section not in self._sections:
                self._sections[section] = _by_name(list(map(itemgetter(section), self.found)))
            values = self._sections[section](name)
            known = self._columns[section, name] = _column(values) if values else self._absent
        return known


def _by_name(figures: Sequence[Figures]) -> Callable[[str], Sequence[Any]]:
    """A function that gives the figures of a name."""
    names = tuple(figures[0])
    if len(names) > 1 and set(map(len, figures)) == {len(names)}:
        with contextlib.suppress(KeyError):  # it is the rule that all could be measured, and then all have the same
            columns = dict(zip(names, zip(*map(itemgetter(*names), figures), strict=True), strict=True))
            return lambda name: columns.get(name, ())
    return lambda name: [f.get(name, _ABSENT) for f in figures]


class Answers:
    """Answers of one check.

    Args:
        digest: of the parameters, as each result carries it.
    """

    def __init__(self, name: str, params: QcDecideParams, digest: str) -> None:
        self._name, self._params, self._digest = name, params, digest
        self._rule = RULES[name]
        self._hard = name in params.hard_limits
        reads = [(s, n) for s, names in self._rule.reads.items() for n in ("status", "reason", *names)]
        self._reads = [(self._rule.source, "method"), (self._rule.source, "version"), *reads]
        self._known: dict[tuple[str, ...], dict[tuple[Any, ...], Answer]] = {}
        self._rare = False  # whether answers hardly ever repeat: then looking for known ones is in vain

    def on(self, table: FigureTable) -> list[Answer]:
        """The answer on each clip of a table."""
        columns = [] if self._rare else [table.column(*read) for read in self._reads]
        if self._rare or any(column.kind.startswith("mixed") for column in columns):
            return list(map(self._answer_on, table.found))
        told = [column.keys for column in columns if column.kind != "absent"]
        alike = all(column.same for column in columns)
        known = self._known.setdefault(tuple([column.kind for column in columns]), {})
        keys = list(zip(*[keys[:1] for keys in told] if alike else told, strict=True)) or [()]
        found: list[Any] = list(map(known.get, keys))
        new = 0
        for i in [i for i, answer in enumerate(found) if answer is None]:
            answer = known.get(keys[i])
            if answer is None:
                answer = self._answer_on(table.found[i])
                new += 1
                if len(known) < _KNOWN_MAX:
                    known[keys[i]] = answer
            found[i] = answer
        self._rare = len(known) >= _KNOWN_MAX and 2 * new > len(table.found)
        return found * len(table.found) if alike else found

    def _answer_on(self, measured: Mapping[str, Figures]) -> Answer:
        """The answer on a clip; the judge looks at nothing but the figures that it reads."""
        figures = measured[self._rule.source]
        method, version = figures.get("method", ""), figures.get("version", "")
        judged = self._rule.judge(measured, self._params)
        complaint = complaint_of(self._name, judged, self._params)
        broken = f"{self._name}: {judged.reason}" if self._hard and judged.score == 0.0 else None
        remark = f"{self._name}: {judged.reason}" if judged.remark and complaint is None else None
        return Answer(
            judged.status,
            nan if judged.score is None else judged.score,
            self._text(judged, str(method), str(version)),
            complaint,
            broken,
            remark,
            judged.flags,
            bool(broken or complaint or remark or judged.flags),
        )

    def _text(self, judged: Judgement, method: str, version: str) -> bytes:
        """The result as canonical JSON."""
        _, value, score, reason, *_ = judged
        result = {
            "check": self._name,
            "method": method,
            "params_digest": self._digest,
            "reason": reason,
            "score": score,
            "status": judged.status,
            "value": value,
            "version": version,
        }
        quick = (score is None or score == 0.0 or score >= 1e-4) and is_quick(value)  # a score is not above 1
        return orjson.dumps(result, option=orjson.OPT_SORT_KEYS) if quick else canonical_json(result)


def _column(values: Sequence[Any]) -> Column:
    """The column of these values, by which kind they are of."""
    kinds = set(map(type, values))
    if kinds == {list}:
        return Column(list(map(repr, values)), "list", same=False)
    lacks = "?" if type(_ABSENT) in kinds else ""
    numbers = kinds & _NUMBERS
    if len(numbers) > 1 or kinds - _SCALARS or (float in numbers and _has_negative_zero(values, alone=len(kinds) == 1)):
        return Column(values, "mixed", same=False)
    kind = (next(iter(numbers)).__name__ if numbers else "") + lacks
    return Column(values, "absent" if kinds == {type(_ABSENT)} else kind, values.count(values[0]) == len(values))


def _has_negative_zero(values: Sequence[Any], *, alone: bool) -> bool:
    if 0.0 not in values:
        return False
    if alone:
        return bool((np.signbit(values) & (np.array(values) == 0.0)).any())
    return any(value == 0.0 and copysign(1.0, value) < 0 for value in values if type(value) is float)
