"""What the checks answered on the clips of a dataset, in columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import TypeAdapter

from aiprod.base.canonical_json import canonical_json
from aiprod.qc.checks import RULES
from aiprod.qc.checks.judging import Judgements, Places
from aiprod.qc.metric_table import STATUSES, FigureTable, Floats, Mask
from aiprod.qc.params import QcDecideParams
from aiprod.qc.rows import CheckResult
from aiprod.storage.manifest.arrow import column, from_numpy, kind_of, text
from aiprod.storage.manifest.canonical_rows import Piece, joined, object_pieces, pieces_of

_RESULTS = TypeAdapter(list[CheckResult])
_STATUS_TEXTS = [canonical_json(status).decode() for status in STATUSES]


@dataclass(frozen=True)
class MeasuredBy:
    """By which method and version the figures of each clip were made; most clips have the same."""

    methods: list[str]
    versions: list[str]
    which: NDArray[np.int64]


@dataclass(frozen=True)
class CheckTable:
    """The answers of every check on each clip.

    Attributes:
        digest: of the parameters, as each result carries it.
        further: results of one more check, that was judged over all clips together.
        which: which of ``further`` each clip has, -1 = none.
    """

    count: int
    digest: str
    answers: Mapping[str, Judgements]
    measured_by: Mapping[str, MeasuredBy]
    further: Sequence[CheckResult] = ()
    which: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))

    @classmethod
    def of(cls, figures: FigureTable, params: QcDecideParams) -> CheckTable:
        """The answers of every check on the figures of some clips."""
        sources = {rule.source for rule in RULES.values()}
        nobody = Judgements([], value=None, count=0, fields={})
        answers = {name: rule.judge(figures, params) if figures.count else nobody for name, rule in RULES.items()}
        by_source = {source: _measured_by(figures, source) for source in sources}
        return cls(figures.count, params.digest()[:16], answers, {n: by_source[r.source] for n, r in RULES.items()})

    def replaced(self, check: str, mask: Mask, judgements: Judgements, method: str) -> CheckTable:
        """The same with other answers of one check on some clips, that another method gave."""
        measured_by = self.measured_by[check]
        others = MeasuredBy([method] * len(measured_by.methods), measured_by.versions, measured_by.which)
        both = MeasuredBy(
            [*measured_by.methods, *others.methods],
            [*measured_by.versions, *others.versions],
            np.where(mask, measured_by.which + len(measured_by.methods), measured_by.which),
        )
        answers = {**self.answers, check: self.answers[check].replaced(mask, judgements)}
        return replace(self, answers=answers, measured_by={**self.measured_by, check: both})

    def with_further(self, results: Sequence[CheckResult], which: NDArray[np.int64]) -> CheckTable:
        """The same with the results of one more check."""
        return replace(self, further=results, which=which)

    def scores(self, name: str, places: Places | None = None) -> Floats:
        """The score of one check on the clips at these places, or on all; NaN where there is none, and at -1."""
        scores = self.answers[name].score
        return scores if places is None else np.append(scores, np.nan)[places]

    def cells(self, places: Places) -> pa.Array:
        """The results at these places as canonical JSON; an empty list at -1."""
        known = places[places >= 0]
        if not known.size:
            return column(["[]"] * places.size, pa.string())
        pieces: list[Piece] = []
        for name in self.answers:
            pieces += ["," if pieces else "[", *self._pieces(name, known)]
        if self.further:
            texts = [canonical_json(result.model_dump(mode="json")).decode() for result in self.further]
            which = self.which[known]
            none = which < 0
            pieces.append(column(["," + text for text in texts], pa.string()).take(from_numpy(which, none)))
        cells = joined([*pieces, "]"], known.size)
        if known.size == places.size:
            return cells
        spread = np.cumsum(places >= 0) - 1
        values = cells.take(from_numpy(spread, places < 0))
        return values.fill_null(text("[]"))

    def results(self, places: Places) -> list[list[CheckResult]]:
        """The results on the clips at these places."""
        return parsed_results(self.cells(places))

    def statuses(self) -> dict[str, Counter[str]]:
        """How often each check answered with which status."""
        by_check: dict[str, Counter[str]] = {}
        for name, answers in self.answers.items():
            counts = np.bincount(answers.status, minlength=len(STATUSES)).tolist()
            by_check[name] = Counter({status: n for status, n in zip(STATUSES, counts, strict=True) if n})
        for place, count in Counter(self.which[self.which >= 0].tolist()).items():
            by_check.setdefault(self.further[place].check, Counter())[self.further[place].status] += count
        return by_check

    def scored(self) -> dict[str, Floats]:
        """The scores of each check, in the order of the clips, without those that have none."""
        by_check = {name: answers.score[~np.isnan(answers.score)] for name, answers in self.answers.items()}
        if self.further:
            known = np.array([np.nan if r.score is None else r.score for r in self.further])
            scores = known[self.which[self.which >= 0]]
            by_check[self.further[0].check] = scores[~np.isnan(scores)]
        return by_check

    def _pieces(self, name: str, places: Places) -> list[Piece]:
        """The results of one check as canonical JSON."""
        answers, measured_by = self.answers[name], self.measured_by[name]
        methods, versions, params = (
            [canonical_json(value).decode() for value in values]
            for values in (measured_by.methods, measured_by.versions, [self.digest])
        )
        which, score, status = measured_by.which[places], answers.score[places], answers.status[places]
        members: dict[str, list[Piece]] = {
            "check": [canonical_json(name).decode()],
            "method": [_chosen(methods, which)],
            "params_digest": params,
            "reason": [pieces_of(column(answers.reasons(places), pa.string()))],
            "score": [pieces_of(from_numpy(score, np.isnan(score)))],
            "status": [_chosen(_STATUS_TEXTS, status)],
            "value": _value_pieces(answers.value, places, status == 0),
            "version": [_chosen(versions, which)],
        }
        return object_pieces(members)


def parsed_results(cells: pa.Array) -> list[list[CheckResult]]:
    """The results that stand in some cells as JSON."""
    return [_RESULTS.validate_json(text) for text in cells.to_pylist()]


def _chosen(texts: Sequence[str], which: NDArray[Any]) -> Piece:
    """One of some texts for each row."""
    if which.size and (which == which[0]).all():
        return texts[int(which[0])]
    return column(texts, pa.string()).take(from_numpy(which))


def _measured_by(figures: FigureTable, source: str) -> MeasuredBy:
    (methods, by_method), (versions, by_version) = (figures[source].distinct(name) for name in ("method", "version"))
    pairs, which = np.unique(by_method * len(versions) + by_version, return_inverse=True)
    return MeasuredBy(
        [methods[pair // len(versions)] or "" for pair in pairs.tolist()],
        [versions[pair % len(versions)] or "" for pair in pairs.tolist()],
        which.ravel(),
    )


def _value_pieces(value: Any, places: Places, ok: Mask) -> list[Piece]:
    """Canonical JSON of the values at these places, null where there is no score."""
    if value is None or not ok.any():
        return ["null"]
    if isinstance(value, Mapping):
        pieces = object_pieces({name: [pieces_of(_column(cells, places))] for name, cells in value.items()})
    else:
        pieces = [pieces_of(_column(value, places))]
    return pieces if ok.all() else [pc.if_else(from_numpy(ok), joined(pieces, places.size), text("null"))]


def _column(value: Any, places: Places) -> pa.Array:
    if not isinstance(value, np.ndarray):
        cells = [value[i] for i in places.tolist()]
        return column(cells, kind_of(cells))
    if value.dtype.kind == "f":
        return from_numpy(value[places], np.isnan(value[places]))
    return column(value[places].tolist(), pa.string())
