"""What follows for verdicts where clips repeat each other: the better picture is kept, the strictest rights rule all.

Films that were denied take part by their fingerprints, where these may be kept: what shows or sounds the same as one is
rejected, for the right that the one lacks is lacking for its copy too.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Any

import numpy as np

from aiprod.qc.decide.privacy_policy import with_people_of_copies
from aiprod.qc.decide.scoring import by_score
from aiprod.qc.denied_films import DeniedFilm
from aiprod.qc.duplicates.matching import Match, Matches, other_of
from aiprod.qc.params import QcDecideParams
from aiprod.qc.projections import Clip, Film
from aiprod.qc.rows import CheckResult, VerdictRow
from aiprod.storage.manifest.row_validation import changed

_BETTER = {"APPROVED": 0, "REVIEW_NEEDED": 1, "REJECTED": 2, "erased": 3}


def judge_repeats(
    rows: Sequence[VerdictRow],
    prints: Mapping[str, Mapping[str, Any]],
    films: Sequence[Film],
    clips: Sequence[Clip],
    *,
    checked: Container[str],
    params: QcDecideParams,
    digest: str,
    denied: Sequence[DeniedFilm] = (),
    qualities: Mapping[str, float] | None = None,
) -> tuple[list[VerdictRow], dict[str, CheckResult]]:
    """The verdicts that follow where clips repeat each other, and the answer of the check ``duplicates`` by clip id.

    Args:
        rows: verdicts of single clips.
        prints: fingerprints by clip id; a clip without any is not compared.
        checked: ids of the clips that have any checks.
        digest: of the parameters, as the other checks carry it.
        denied: films that were not taken in, with their fingerprints.
        qualities: of the pictures by clip id (:func:`aiprod.qc.duplicates.picture_quality.picture_quality`).
    """
    order = _in_order_of_preference(rows, clips, qualities or {})
    preferred = [0] * len(rows)
    for place, i in enumerate(order):
        preferred[i] = place
    theirs = [(film, figures) for film in denied for figures in film.prints]  # behind the rows, and never preferred
    compared = [*(prints.get(row.clip_id) or {} for row in rows), *(figures for _, figures in theirs)]
    preferred += range(len(rows), len(compared))
    matches = Matches(compared, params.duplicates, preferred)
    repeated = matches.kept(preferred)
    same_sound: dict[int, Match] = {}
    for match in matches.sounds.values():
        if max(match.first, match.second) >= len(rows):
            continue
        worse = max(match.first, match.second, key=lambda i: preferred[i])
        if (match.first, match.second) not in matches.pictures:
            known = same_sound.get(worse)
            if known is None or preferred[other_of(match, worse)] < preferred[other_of(known, worse)]:
                same_sound[worse] = match
    clusters = matches.clusters()
    refused = _denied(clusters, matches, len(rows), [film for film, _ in theirs], params)
    clusters = _of_rows(clusters, len(rows))
    carried = _obligations(clusters, rows, films)
    rows = with_people_of_copies(rows, _of_rows(matches.clusters(sounds=False), len(rows)), clusters, films, clips)
    made = next(iter(prints.values()), {})
    check = CheckResult(
        check="duplicates",
        score=1.0,
        status="ok",
        method=str(made.get("method", "")),
        version=str(made.get("version", "")),
        params_digest=digest,
        reason="no other clip shows or sounds the same",
    )
    none = check.model_copy(update={"score": None, "status": "unmeasurable", "reason": "no fingerprint was taken"})
    done: list[VerdictRow] = []
    answers: dict[str, CheckResult] = {}
    for i, row in enumerate(rows):
        if row.clip_id not in prints:
            done.append(row)
            if row.clip_id in checked:
                answers[row.clip_id] = none
            continue
        answers[row.clip_id] = check
        updates: dict[str, Any] = {}
        found = repeated.get(i) or same_sound.get(i)
        if found is not None:
            updates, answers[row.clip_id] = _repeats(row, found, rows[other_of(found, i)], params, check)
        if i in carried:
            updates["obligations"] = carried[i][0]
            if carried[i][1]:
                updates["status"] = "REJECTED"
                updates["reasons"] = [f"duplicates: {carried[i][1]}", *updates.get("reasons", row.reasons)]
        if i in refused:
            words, value = refused[i]
            updates["status"] = "REJECTED"
            updates["reasons"] = [f"duplicates: {words}", *updates.get("reasons", row.reasons)]
            answers[row.clip_id] = check.model_copy(update={"value": value, "score": 0.0, "reason": words})
        done.append(changed(row, updates) if updates else row)
    return done, answers


def not_compared(figures: Mapping[str, Any], digest: str) -> CheckResult:
    """The answer of the check ``duplicates`` on a file outside of a dataset.

    Args:
        figures: the file's fingerprint.
        digest: of the parameters, as the other checks carry it.
    """
    return CheckResult(
        check="duplicates",
        status="not_evaluated",
        method=str(figures.get("method", "")),
        version=str(figures.get("version", "")),
        params_digest=digest,
        reason="each file is judged by itself; the clips of a dataset are compared by its stage qc_decide",
    )


def _in_order_of_preference(
    rows: Sequence[VerdictRow], clips: Sequence[Clip], qualities: Mapping[str, float]
) -> list[int]:
    """The better picture comes first; of equal ones the better verdict, the higher score, the longer clip.

    What may not be used whatever its score comes last. A score does not: ruin raises it, where it hides what the score
    is lowered for.
    """
    lengths = {clip.clip_id: clip.end_s - clip.start_s for clip in clips}
    durations = np.array([lengths.get(row.clip_id, 0.0) for row in rows], np.float64)
    pictures = np.array([qualities.get(row.clip_id, -np.inf) for row in rows], np.float64)
    scores = np.array([-1.0 if row.score is None else round(row.score, 3) for row in rows], np.float64)
    verdicts = np.array([_BETTER[row.status] for row in rows], np.int64)
    unusable = np.array([row.status in ("REJECTED", "erased") and not by_score(row.reasons) for row in rows], np.bool_)
    by_id = np.array(sorted(range(len(rows)), key=lambda i: rows[i].clip_id), np.int64)
    keys = (-durations, -scores, verdicts, -pictures, unusable)  # the last one decides first
    order: list[int] = by_id[np.lexsort([key[by_id] for key in keys])].tolist()
    return order


def _repeats(
    row: VerdictRow, match: Match, kept: VerdictRow, params: QcDecideParams, check: CheckResult
) -> tuple[dict[str, Any], CheckResult]:
    what = params.duplicates.same_picture if match.kind == "picture" else params.duplicates.same_sound
    words = _words(match, kept.clip_id, params.duplicates.sound_error_max)
    value = {"of": kept.clip_id, "kind": match.kind, "mirrored": match.mirrored, **match.figures}
    answer = check.model_copy(update={"value": value, "score": 0.0, "reason": words})
    updates: dict[str, Any] = {}
    if match.kind == "picture":
        updates["duplicate_of"] = kept.clip_id
    if what == "keep":
        return updates, answer
    status = "REJECTED" if what == "reject" else "REVIEW_NEEDED"
    updates["reasons"] = [*row.reasons, f"duplicates: {words}"]
    if _BETTER[status] > _BETTER[row.status]:
        updates["status"] = status
    return updates, answer


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


def _of_rows(clusters: Sequence[Sequence[int]], count: int) -> list[list[int]]:
    """The clusters without what is no clip."""
    groups = [[i for i in group if i < count] for group in clusters]
    return [group for group in groups if len(group) > 1]


def _denied(
    clusters: Sequence[Sequence[int]],
    matches: Matches,
    count: int,
    theirs: Sequence[DeniedFilm],
    params: QcDecideParams,
) -> dict[int, tuple[str, dict[str, Any]]]:
    """For each clip that is in a cluster with a denied film: why it is rejected, and what was found.

    Args:
        count: of the clips; what comes behind them are the fingerprints of ``theirs``.
    """
    direct: dict[int, Match] = {}
    for match in [*matches.sounds.values(), *matches.pictures.values()]:  # the same picture says more: it comes last
        if match.first < count <= match.second:
            direct[match.first] = match
    found: dict[int, tuple[str, dict[str, Any]]] = {}
    for group in clusters:
        first = max(group)
        for i in group if first >= count else ():
            if i >= count:
                continue
            film = theirs[(direct[i].second if i in direct else first) - count]
            other = f"the denied film {film.film_id}"
            value: dict[str, Any] = {"of": film.film_id, "kind": "copy"}
            words = f"shows or sounds the same as a clip that shows or sounds the same as {other}"
            if i in direct:
                match = direct[i]
                words = _words(match, other, params.duplicates.sound_error_max)
                value = {"of": film.film_id, "kind": match.kind, "mirrored": match.mirrored, **match.figures}
            found[i] = (f"{words}: {film.why}", value)
    return found


def _obligations(
    clusters: Sequence[Sequence[int]], rows: Sequence[VerdictRow], films: Sequence[Film]
) -> dict[int, tuple[list[str], str]]:
    """For each clip of a cluster: what the films of the others oblige to beyond its own, and why training is denied."""
    by_id = {film.film_id: film for film in films}
    found: dict[int, tuple[list[str], str]] = {}
    for group in clusters:
        members = [by_id[rows[i].film_id] for i in group if rows[i].film_id in by_id]
        everything = {line for film in members for line in film.obligations}
        denied = next((film for film in members if film.effective_right == "deny"), None)
        why = "" if denied is None else f"the same is offered by {denied.source_id} without the right to train"
        for i in group:
            own = by_id.get(rows[i].film_id)
            more = sorted(everything - set(own.obligations if own else ()))
            if more or why:
                found[i] = (more, why)
    return found
