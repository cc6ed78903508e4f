"""Why checks have no score, in words for the report page: once where it holds for every clip, else beside the clip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

Row = Mapping[str, Any]


class ShownCheck(NamedTuple):
    """A check of a clip on the page; a template reads attributes faster than keys."""

    name: str
    score: float | None
    status: str
    reason: str


def common_notes(rows: Sequence[Row]) -> list[tuple[str, str, str]]:
    """(check, status, reason) of the checks that none of several clips has a score of, all for one reason."""
    answers: dict[str, set[tuple[str, str]]] = {}
    for row in rows:
        for check in row["checks"]:
            scored = check.score is not None
            answers.setdefault(check.name, set()).add(("", "") if scored else (check.status, check.reason))
    single = [(name, *notes.pop()) for name, notes in answers.items() if len(notes) == 1]
    return [note for note in single if note[1]] if sum(1 for row in rows if row["checks"]) > 1 else []


def row_notes(row: Row, common: Sequence[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """(checks, status, reason) of this clip, without what is said already: for all clips, or among its reasons."""
    notes: dict[tuple[str, str], list[str]] = {}
    for check in row["checks"]:
        if check.score is not None or (check.name, check.status, check.reason) in common:
            continue
        if not any(reason.startswith(f"{check.name}: ") for reason in row["reasons"]):
            notes.setdefault((check.status, check.reason), []).append(check.name)
    return [(", ".join(names), status, reason) for (status, reason), names in notes.items()]
