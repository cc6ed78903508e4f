"""Verdicts on some clips in columns: what policies change a few rows at a time, and what a manifest is written of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from aiprod.qc.checks.judging import Places
from aiprod.qc.decide.check_results import parsed_results
from aiprod.qc.metric_table import Floats
from aiprod.qc.rows import CheckResult, Verdict, VerdictRow
from aiprod.storage.manifest.arrow import column, from_numpy, text
from aiprod.storage.manifest.canonical_rows import joined, texts_of

_NONE: list[str] = []
_JSON = pa.json_()
_NESTED = ("reasons", "privacy_flags", "obligations")


@dataclass
class VerdictTable:
    """A verdict for each row. Lists are replaced and never changed: rows share them.

    Attributes:
        place: of each row in ``checks``, -1 = it was not judged.
    """

    ids: list[str]
    film_ids: list[str]
    status: list[Verdict]
    score: Floats
    reasons: list[list[str]]
    privacy_flags: list[list[str]]
    place: Places
    checks: Results
    automatic: dict[int, Verdict] = field(default_factory=dict)
    duplicate_of: dict[int, str] = field(default_factory=dict)
    obligations: dict[int, list[str]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def number_of(self) -> dict[str, int]:
        """The number of each clip's row."""
        return {clip_id: i for i, clip_id in enumerate(self.ids)}

    def object_to(self, row: int, reason: str, status: Verdict | None = None) -> None:
        """Say a reason after those of a row, and give it another status."""
        self.reasons[row] = [*self.reasons[row], reason]
        if status is not None:
            self.status[row] = status

    def reject(self, row: int, reason: str) -> None:
        """Reject a row, for a reason that is said before the others."""
        self.reasons[row] = [reason, *self.reasons[row]]
        self.status[row] = "REJECTED"

    def row(self, row: int) -> VerdictRow:
        """One row, without its checks."""
        score = float(self.score[row])
        return VerdictRow(
            clip_id=self.ids[row],
            film_id=self.film_ids[row],
            status=self.status[row],
            score=None if np.isnan(score) else score,
            reasons=self.reasons[row],
            privacy_flags=self.privacy_flags[row],
            automatic=self.automatic.get(row),
            duplicate_of=self.duplicate_of.get(row),
            obligations=self.obligations.get(row, []),
        )

    def rows(self, numbers: Sequence[int]) -> list[VerdictRow]:
        """Some rows, with their checks."""
        results = self.checks.results(self.place[np.asarray(numbers, np.int64)])
        return [self.row(i).model_copy(update={"checks": checks}) for i, checks in zip(numbers, results, strict=True)]

    def put(self, place: int, row: Any) -> None:
        """Take over what may change of a verdict: all but ids, score and checks."""
        self.status[place] = row.status
        self.reasons[place], self.privacy_flags[place] = list(row.reasons), list(row.privacy_flags)
        for name in ("automatic", "duplicate_of", "obligations"):
            value, known = getattr(row, name), getattr(self, name)
            known.pop(place, None)
            if value:
                known[place] = value

    def statuses(self) -> list[str]:
        """The status of each row."""
        return list(self.status)

    def columns(self) -> dict[str, pa.Array]:
        """The columns of a manifest."""
        numbers = range(len(self))
        lists = {
            "reasons": self.reasons,
            "privacy_flags": self.privacy_flags,
            "obligations": [self.obligations.get(i, _NONE) for i in numbers],
        }
        return {
            "clip_id": column(self.ids, pa.string()),
            "film_id": column(self.film_ids, pa.string()),
            "status": column(self.status, pa.string()),
            "score": from_numpy(self.score, np.isnan(self.score)),
            "checks": pa.ExtensionArray.from_storage(_JSON, self.checks.cells(self.place)),
            **{name: pa.ExtensionArray.from_storage(_JSON, _texts(values)) for name, values in lists.items()},
            "automatic": column([self.automatic.get(i) for i in numbers], pa.string()),
            "duplicate_of": column([self.duplicate_of.get(i) for i in numbers], pa.string()),
        }


class Results(Protocol):
    """What the checks answered on some clips."""

    def cells(self, places: Places) -> pa.Array:
        """The results at these places as canonical JSON; an empty list at -1."""

    def results(self, places: Places) -> list[list[CheckResult]]:
        """The results on the clips at these places."""


@dataclass(frozen=True)
class ResultTexts:
    """Results as canonical JSON, a cell a clip."""

    texts: pa.Array

    def cells(self, places: Places) -> pa.Array:
        """The results at these places."""
        return self.texts.take(from_numpy(places))

    def results(self, places: Places) -> list[list[CheckResult]]:
        """The results on the clips at these places."""
        return parsed_results(self.cells(places))


def schema() -> pa.Schema:
    """The columns of a manifest of verdicts."""
    kinds = {n: _JSON if n in {*_NESTED, "checks"} else pa.string() for n in VerdictRow.model_fields}
    return pa.schema({**kinds, "score": pa.float64()})


def _texts(lists: Sequence[list[str]]) -> pa.Array:
    """Canonical JSON of lists of text."""
    ends = np.cumsum([0, *map(len, lists)]).astype(np.int32)
    if not ends[-1]:
        return column(["[]"] * len(lists), pa.string())
    texts = texts_of(column([text for texts in lists for text in texts], pa.string()))
    return joined(["[", pc.binary_join(pa.ListArray.from_arrays(from_numpy(ends), texts), text(",")), "]"], len(lists))
