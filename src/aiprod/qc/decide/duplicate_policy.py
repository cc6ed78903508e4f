"""What follows for verdicts where clips repeat each other: the better picture is kept, the strictest rights rule all.

Films that were denied take part by their fingerprints, where these may be kept: what shows or sounds the same as one is
rejected, for the right that the one lacks is lacking for its copy too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from aiprod.qc.checks.judging import Places
from aiprod.qc.decide.check_results import CheckTable
from aiprod.qc.decide.duplicate_search import BETTER, Copies
from aiprod.qc.decide.verdict_table import VerdictTable
from aiprod.qc.duplicates.clusters import other_of
from aiprod.qc.duplicates.matching import Match
from aiprod.qc.metric_table import Mask
from aiprod.qc.params import QcDecideParams
from aiprod.qc.projections import FilmProjection
from aiprod.qc.rows import CheckResult, MeasureRow, Verdict

Answer = tuple[str, dict[str, Any]]
"""Words and value that the check ``duplicates`` has for a clip that repeats another."""


def judge_copies(
    table: VerdictTable, copies: Copies, films: Sequence[FilmProjection], params: QcDecideParams
) -> dict[int, Answer]:
    """Change the verdicts where clips repeat each other, and say what the check ``duplicates`` answers on them.

    Args:
        table: of all rows that have to do with a copy; ``films``: of those.
    """
    carried, refused = _obligations(copies.heard, table, films), _denied(copies, params)
    answers: dict[int, Answer] = {}
    for i in sorted({*copies.repeated, *copies.same_sound, *carried, *refused}):
        if i >= copies.count:  # a film that was denied has no verdict here
            continue
        match = copies.repeated.get(i) or copies.same_sound.get(i)
        if match is not None:
            answers[i] = _repeats(table, i, match, table.ids[other_of(match, i)], params)
        if i in carried:
            table.obligations[i] = carried[i][0]
            if carried[i][1]:
                table.reject(i, f"duplicates: {carried[i][1]}")
        if i in refused:
            words, value = refused[i]
            table.reject(i, f"duplicates: {words}")
            answers[i] = words, value
    return answers


class DuplicateAnswers:
    """What the check ``duplicates`` answers; most clips have one of two answers.

    Args:
        measured_by: method and version of the fingerprints.
        digest: of the parameters, as each result carries it.
    """

    def __init__(self, measured_by: Mapping[str, Any], digest: str) -> None:
        self._alone = CheckResult(
            check="duplicates",
            score=1.0,
            status="ok",
            method=str(measured_by.get("method") or ""),
            version=str(measured_by.get("version") or ""),
            params_digest=digest,
            reason="no other clip shows or sounds the same",
        )
        none = {"score": None, "status": "unmeasurable", "reason": "no fingerprint was taken"}
        self._none = self._alone.model_copy(update=none)

    def of(self, compared: Mask, repeats: Mapping[int, Answer]) -> tuple[list[CheckResult], Places]:
        """The answers on some clips, and which of them each clip has.

        Args:
            compared: whether a clip has a fingerprint.
            repeats: the answers on those that repeat another, by their places.
        """
        which = np.where(compared, 0, 1)
        which[list(repeats)] = np.arange(len(repeats)) + 2
        others = ({"value": value, "score": 0.0, "reason": words} for words, value in repeats.values())
        return [self._alone, self._none, *(self._alone.model_copy(update=other) for other in others)], which


def without_comparison(table: VerdictTable, rows: Sequence[MeasureRow]) -> VerdictTable:
    """The verdicts on files outside of a dataset, with the answer of the check ``duplicates``: none was compared."""
    prints = {row.clip_id: row.measurements.get("fingerprint", {}) for row in rows}
    assert isinstance(table.checks, CheckTable)
    results: list[CheckResult] = []
    which = np.full(table.checks.count, -1)
    for clip_id, place in zip(table.ids, table.place.tolist(), strict=True):
        if place >= 0:
            which[place] = len(results)
            results.append(_not_compared(prints[clip_id], table.checks.digest))
    return replace(table, checks=table.checks.with_further(results, which))


def _not_compared(figures: Mapping[str, Any], digest: str) -> CheckResult:
    return CheckResult(
        check="duplicates",
        status="not_evaluated",
        method=str(figures.get("method", "")),
        version=str(figures.get("version", "")),
        params_digest=digest,
        reason="each file is judged by itself; the clips of a dataset are compared by its stage qc_decide",
    )


def _repeats(
    table: VerdictTable, row: int, match: Match, kept: str, params: QcDecideParams
) -> tuple[str, dict[str, Any]]:
    """Change the verdict on a clip that repeats a kept one; return what its check says."""
    what = params.duplicates.same_picture if match.kind == "picture" else params.duplicates.same_sound
    words = _words(match, kept, params.duplicates.sound_error_max)
    if match.kind == "picture":
        table.duplicate_of[row] = kept
    if what != "keep":
        status: Verdict = "REJECTED" if what == "reject" else "REVIEW_NEEDED"
        worse = status if BETTER[status] > BETTER[table.status[row]] else None
        table.object_to(row, f"duplicates: {words}", worse)
    return words, {"of": kept, "kind": match.kind, "mirrored": match.mirrored, **match.figures}


def _words(match: Match, other: str, limit: float) -> str:
    figures = match.figures
    error = figures["sound_error"]
    if match.kind == "sound":
        return f"sounds the same as {other} ({error:.0%} of the sound's bits contradict) but looks otherwise"
    sound = "sound not compared" if error is None else "the same sound" if error <= limit else "another sound"
    mirror = ", mirrored" if match.mirrored else ""
    return (
        f"shows the same as {other}{mirror} ({figures['look_bits']:.1f} of 64 bits differ over "
        f"{figures['overlap']:.0%} of the shorter; {sound})"
    )


def _denied(copies: Copies, params: QcDecideParams) -> dict[int, tuple[str, dict[str, Any]]]:
    """For each clip that is in a cluster with a denied film: why it is rejected, and what was found."""
    answers: dict[int, tuple[str, dict[str, Any]]] = {}
    for group in copies.groups:
        first = max(group)
        for i in group if first >= copies.count else ():
            if i >= copies.count:
                continue
            match = copies.with_denied.get(i)
            film = copies.denied[(first if match is None else match.second) - copies.count]
            other = f"the denied film {film.film_id}"
            value: dict[str, Any] = {"of": film.film_id, "kind": "copy"}
            words = f"shows or sounds the same as a clip that shows or sounds the same as {other}"
            if match is not None:
                words = _words(match, other, params.duplicates.sound_error_max)
                value = {"of": film.film_id, "kind": match.kind, "mirrored": match.mirrored, **match.figures}
            answers[i] = (f"{words}: {film.why}", value)
    return answers


def _obligations(
    clusters: Sequence[Sequence[int]], table: VerdictTable, films: Sequence[FilmProjection]
) -> dict[int, tuple[list[str], str]]:
    """For each clip of a cluster: what the films of the others oblige to beyond its own, and why training is denied."""
    by_id = {film.film_id: film for film in films}
    inherited: dict[int, tuple[list[str], str]] = {}
    for group in clusters:
        members = [by_id[table.film_ids[i]] for i in group if table.film_ids[i] in by_id]
        everything = {line for film in members for line in film.obligations}
        denied = next((film for film in members if film.effective_right == "deny"), None)
        why = "" if denied is None else f"the same is offered by {denied.source_id} without the right to train"
        for i in group:
            own = by_id.get(table.film_ids[i])
            more = sorted(everything - set(own.obligations if own else ()))
            if more or why:
                inherited[i] = (more, why)
    return inherited
