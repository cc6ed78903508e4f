"""How quality control did on the demo corpus, whose planted faults are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aiprod.data.sources.demo.plan import FAULTS, Fault
from aiprod.qc.projections import FilmProjection
from aiprod.qc.rows import VerdictRow

DEMO = "demo"
# What the corpus calls the check, and the names by which a verdict's reasons may give it.
_NAMES = {
    "snr": ("audio",),
    "bandwidth": ("audio",),
    "av_sync": ("sync",),
    "duplicates": ("duplicate",),
    "decode": ("decodable", "error"),
    "aspect": ("aspect", "resolution"),  # bars leave few lines, too
}


def confusion(films: Sequence[FilmProjection], rows: Sequence[VerdictRow]) -> dict[str, Any] | None:
    """Counts over demo films: verdicts of clean and faulty ones, and which were judged wrongly. None without any.

    A film counts as approved when one of its clips is.
    """
    demo = [film for film in films if film.source_id == DEMO]
    if not demo:
        return None
    by_film: dict[str, list[VerdictRow]] = {}
    for row in rows:
        by_film.setdefault(row.film_id, []).append(row)
    faults = {fault.name: fault for fault in FAULTS}
    table = {kind: {"APPROVED": 0, "REVIEW_NEEDED": 0, "REJECTED": 0} for kind in ("clean", "faulty")}
    missed, blamed_otherwise, false_alarms = [], [], []
    for film in demo:
        verdicts = by_film.get(film.film_id, [])
        fault = faults.get(film.key.removeprefix("fault-")) if film.key.startswith("fault-") else None
        best = _best(verdicts)
        table["clean" if fault is None else "faulty"][best] += 1
        if fault is None:
            if any(row.status != "APPROVED" for row in verdicts):
                false_alarms.append(film.key)
        elif not caught(fault, film, verdicts):
            missed.append(film.key)
        elif not _named(fault, film, verdicts):
            blamed_otherwise.append(film.key)
    faulty = sum(table["faulty"].values())
    return {
        "films": len(demo),
        "verdicts": table,
        "faults": faulty,
        "faults_caught": faulty - len(missed),
        "faults_missed": sorted(missed),
        "caught_by_another_check": sorted(blamed_otherwise),
        "clean_not_approved": sorted(false_alarms),
    }


def caught(fault: Fault, film: FilmProjection, rows: Sequence[VerdictRow]) -> bool:
    """Whether the verdicts on a film are what its fault calls for."""
    if fault.expected == "split":
        return film.n_clips == 2
    if fault.expected == "duplicate":
        return film.duplicate_of is not None and all(row.status == "REJECTED" for row in rows)
    if fault.expected == "not APPROVED":
        return all(row.status != "APPROVED" for row in rows)
    return all(row.status == fault.expected for row in rows)


def _named(fault: Fault, film: FilmProjection, rows: Sequence[VerdictRow]) -> bool:
    """Whether some reason names the check that should have found the fault."""
    if fault.expected in ("split", "duplicate"):
        return True
    names = _NAMES.get(fault.check, (fault.check,))
    reasons = [reason for row in rows for reason in row.reasons]
    return any(reason.startswith(f"{name}:") for reason in reasons for name in names)


def _best(rows: Sequence[VerdictRow]) -> str:
    statuses = {row.status for row in rows}
    return next((s for s in ("APPROVED", "REVIEW_NEEDED") if s in statuses), "REJECTED")


def summary(results: Mapping[str, Any] | None) -> str:
    """One line for people."""
    if results is None:
        return ""
    clean = sum(results["verdicts"]["clean"].values())
    return (
        f"demo corpus: {results['faults_caught']} of {results['faults']} planted faults caught, "
        f"{len(results['clean_not_approved'])} of {clean} clean films not approved"
    )
