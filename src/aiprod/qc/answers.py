"""The answers of a check on very many clips. Where figures are the same as before, so is the answer: it is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import copysign, nan
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
import orjson

from aiprod.base.files import canonical_json
from aiprod.base.row_text import is_quick
from aiprod.qc.judgements import Figures, Judgement
from aiprod.qc.judges import JUDGES
from aiprod.qc.params import QcDecideParams
from aiprod.qc.scoring import complaint_of

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
        flags: privacy flags.
        matters: whether there is more to it than a score.
    """

    status: str
    score: float
    text: bytes
    complaint: str | None
    broken: str | None
    flags: tuple[str, ...]
    matters: bool


class FigureTable:
    """The measurements of some clips by figure; each is looked up once, also where several checks read it."""

    def __init__(self, found: Sequence[Mapping[str, Figures]]) -> None:
        self.found = found
        self._sections: dict[str, Callable[[str], Sequence[Any]]] = {}
        self._columns: dict[tuple[str, str], tuple[Sequence[Any], str]] = {}

    def column(self, section: str, name: str) -> tuple[Sequence[Any], str]:
        """A figure of each clip, and its kind (see ``_kind_of``)."""
        known = self._columns.get((section, name))
        if known is None:
            if section not in self._sections:
                self._sections[section] = _by_name(list(map(itemgetter(section), self.found)))
            values = self._sections[section](name) or [_ABSENT] * len(self.found)
            known = self._columns[section, name] = values, _kind_of(values)
        return known


def _by_name(figures: Sequence[Figures]) -> Callable[[str], Sequence[Any]]:
    """A function that gives the figures of a name."""
    shapes = set(map(tuple, figures))
    if len(shapes) == 1:  # the rule where all could be measured
        columns = dict(zip(shapes.pop(), zip(*[f.values() for f in figures], strict=True), strict=True))
        return lambda name: columns.get(name, ())
    return lambda name: [f.get(name, _ABSENT) for f in figures]


class Answers:
    """Answers of one check.

    Args:
        digest: of the parameters, as each result carries it.
    """

    def __init__(self, name: str, params: QcDecideParams, digest: str) -> None:
        self._name, self._params, self._digest = name, params, digest
        self._judge = JUDGES[name]
        self._hard = name in params.hard_limits
        self._reads = [(s, n) for s, names in self._judge.reads.items() for n in ("status", "reason", *names)]
        self._known: dict[tuple[str, ...], dict[tuple[Any, ...], Answer]] = {}
        self._rare = False  # whether answers hardly ever repeat: then looking for known ones is in vain

    def on(self, table: FigureTable) -> list[Answer]:
        """The answer on each clip of a table."""
        if self._rare:
            return list(map(self._answer_on, table.found))
        source = self._judge.source
        reads = [(source, "method"), (source, "version"), *self._reads]  # those two are none of the judge's business
        columns, kinds = zip(*[table.column(*read) for read in reads], strict=True)
        at = [0, 1, *(i for i in range(2, len(reads)) if kinds[i] != "absent")]
        part_of: dict[str, list[tuple[str, int]]] = {section: [] for section in self._judge.reads}
        for place, i in enumerate(at[2:], start=2):
            part_of[reads[i][0]].append((reads[i][1], place))
        parts = [
            (section, [name for name, _ in part], slice(part[0][1], part[-1][1] + 1) if part else slice(0))
            for section, part in part_of.items()
        ]
        known = self._known.setdefault(kinds, {})
        most = 0 if any(kind.startswith("mixed") for kind in kinds) else _KNOWN_MAX
        lacks = any(kind.endswith("?") for kind in kinds)
        keys = list(zip(*[columns[i] for i in at], strict=True))
        found: list[Any] = list(map(known.get, keys)) if most else [None] * len(keys)
        new = 0
        for i in [i for i, answer in enumerate(found) if answer is None]:
            answer = known.get(keys[i]) if most else None
            if answer is None:
                answer = self._answer(keys[i], parts, lacks)
                new += 1
                if len(known) < most:
                    known[keys[i]] = answer
            found[i] = answer
        self._rare = len(known) >= _KNOWN_MAX and 2 * new > len(keys)
        return found

    def _answer_on(self, measured: Mapping[str, Figures]) -> Answer:
        """The answer by all that was measured on a clip; the judge looks at nothing but the figures it reads."""
        figures = measured[self._judge.source]
        return self._answer_by(measured, figures.get("method", _ABSENT), figures.get("version", _ABSENT))

    def _answer(self, values: Sequence[Any], parts: Sequence[tuple[str, Sequence[str], slice]], lacks: bool) -> Answer:
        """The answer by these figures: method, version, then those of each part, of which some may be absent."""
        measured = {section: dict(zip(names, values[place], strict=True)) for section, names, place in parts}
        if lacks:
            for section, figures in measured.items():
                measured[section] = {name: value for name, value in figures.items() if value is not _ABSENT}
        return self._answer_by(measured, values[0], values[1])

    def _answer_by(self, measured: Mapping[str, Figures], method: Any, version: Any) -> Answer:
        judged = self._judge.judge(measured, self._params)
        complaint = complaint_of(self._name, judged, self._params)
        broken = f"{self._name}: {judged.reason}" if self._hard and judged.score == 0.0 else None
        return Answer(
            judged.status,
            nan if judged.score is None else judged.score,
            self._text(judged, method, version),
            complaint,
            broken,
            judged.flags,
            bool(broken or complaint or judged.flags),
        )

    def _text(self, judged: Judgement, method: Any, version: Any) -> bytes:
        """The result as canonical JSON."""
        _, value, score, reason, _, _ = judged
        result = {
            "check": self._name,
            "method": "" if method is _ABSENT else str(method),
            "params_digest": self._digest,
            "reason": reason,
            "score": score,
            "status": judged.status,
            "value": value,
            "version": "" if version is _ABSENT else str(version),
        }
        quick = (score is None or score == 0.0 or score >= 1e-4) and is_quick(value)  # a score is not above 1
        return orjson.dumps(result, option=orjson.OPT_SORT_KEYS) if quick else canonical_json(result)


def _kind_of(values: Sequence[Any]) -> str:
    """The kind of numbers in a column: 1, 1.0 and True are equal, but what is said of them is not. ``mixed`` where
    equal values may differ so within the column, or where values cannot be looked up."""
    kinds = set(map(type, values))
    if kinds <= {type(_ABSENT)}:
        return "absent"
    lacks = "?" if type(_ABSENT) in kinds else ""
    numbers = kinds & _NUMBERS
    if len(numbers) > 1 or kinds - _SCALARS or (float in numbers and _has_negative_zero(values, alone=len(kinds) == 1)):
        return "mixed" + lacks
    return (next(iter(numbers)).__name__ if numbers else "") + lacks


def _has_negative_zero(values: Sequence[Any], *, alone: bool) -> bool:
    if alone:
        numbers = np.array(values)
        return bool((np.signbit(numbers) & (numbers == 0.0)).any())
    return any(value == 0.0 and copysign(1.0, value) < 0 for value in values if type(value) is float)
