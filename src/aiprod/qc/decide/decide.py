"""From measurements to verdicts: each clip by itself, in several processes where they are many, then all together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np

from aiprod.base.gc_pause import gc_paused
from aiprod.data.rows import ClipRow, FilmRow
from aiprod.errors import AiprodError
from aiprod.executors.executor import ordered_map
from aiprod.executors.types import Bounds, default_workers
from aiprod.qc.checks import RULES, WEIGHTED
from aiprod.qc.decide.check_results import CheckTable, Packed, Packer
from aiprod.qc.decide.duplicate_policy import judge_repeats
from aiprod.qc.decide.nsfw_policy import with_unsafe_policy
from aiprod.qc.decide.overlay_policy import with_shared_marks
from aiprod.qc.decide.privacy_policy import with_privacy
from aiprod.qc.decide.result_cache import Answer, Answers, FigureTable
from aiprod.qc.decide.scoring import erased, refused, verdict_of, weighted_scores
from aiprod.qc.denied_films import DeniedFilm
from aiprod.qc.params import QcDecideParams
from aiprod.qc.projections import Clip, Film
from aiprod.qc.rows import MeasureRow, Verdict, VerdictRow
from aiprod.storage.crypto.film_encryption import Vault, is_private
from aiprod.storage.manifest.manifest import ROWS, check_leaves, opened_rows, read_group
from aiprod.storage.manifest.parquet_reader import group_sizes
from aiprod.storage.manifest.row_validation import RowBuilder, changed, valid_columns

_BOUNDS = Bounds(deadline_s=3600.0)
_AT_ONCE = 256  # clips whose measurements are in memory at a time: more of them leave the processor's caches
# An error caps a verdict at REVIEW_NEEDED: only what no decoder can read is the film's own fault.
_UNMEASURED: Mapping[str, Verdict] = {"error": "REJECTED", "unfinished": "REVIEW_NEEDED", "erased": "erased"}
_COLUMNS = ("clip_id", "film_id", "status", "score", "reasons", "privacy_flags")


@dataclass
class Judged:
    """Verdicts on single clips, without their checks.

    Attributes:
        columns: of ``VerdictRow``, by field.
        prints: fingerprints by clip id.
        strips: files of thumbnails that may be shown, by clip id.
        sketches: what stays in place in a clip, by clip id.
        measured: the ids of clips with a sketch whose watermark could be measured all the same.
    """

    checks: list[Packed] = field(default_factory=list)
    columns: dict[str, list[Any]] = field(default_factory=lambda: {name: [] for name in _COLUMNS})
    prints: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    strips: dict[str, str] = field(default_factory=dict)
    sketches: dict[str, str] = field(default_factory=dict)
    measured: set[str] = field(default_factory=set)
    leaves: list[bytes] = field(default_factory=list)
    _rows: list[VerdictRow] = field(default_factory=list)

    def add(self, decided: Sequence[tuple[Any, ...]]) -> None:
        """More verdicts, one at least."""
        for name, values in zip(_COLUMNS, zip(*decided, strict=True), strict=True):
            self.columns[name].extend(values)

    def extend(self, part: Judged) -> None:
        """The verdicts of another one after those of this one."""
        self.checks += part.checks
        self.leaves += part.leaves
        for name, values in part.columns.items():
            self.columns[name] += values
        self.prints |= part.prints
        self.strips |= part.strips
        self.sketches |= part.sketches
        self.measured |= part.measured

    def verdicts(self) -> list[VerdictRow]:
        """The rows as verdicts; only those that came since the last call are put together anew."""
        new = slice(len(self._rows), None)
        more = valid_columns(VerdictRow, {name: values[new] for name, values in self.columns.items()})
        for name, values in more.items():
            self.columns[name][new] = values  # which are copies: the rows and the columns share them
        self._rows += RowBuilder(VerdictRow, _COLUMNS).rows(more)
        return list(self._rows)


def judge_rows(measured: Iterable[MeasureRow], params: QcDecideParams) -> Judged:
    """The verdict on each clip by itself."""
    done, judge, packer = Judged(), ClipJudge(params), Packer()
    rows = iter(measured)
    while part := list(islice(rows, _AT_ONCE)):
        good = [row for row in part if row.status == "ok"]
        judged = iter(judge.verdicts(good, packer))
        decided: list[tuple[Any, ...]] = []
        for row in part:
            if row.status != "ok":
                gone = row.status == "erased"
                reasons = row.reasons if gone else row.reasons or ["undecodable"]
                decided.append((row.clip_id, row.film_id, _UNMEASURED[row.status], None, reasons, []))
                continue
            decided.append((row.clip_id, row.film_id, *next(judged)))
            figures = row.measurements.get("fingerprint", {})
            if figures.get("status") == "ok":
                done.prints[row.clip_id] = figures
            mark = row.measurements.get("watermark", {})
            if "sketch" in mark:
                done.sketches[row.clip_id] = mark["sketch"]
                if mark["status"] == "ok":
                    done.measured.add(row.clip_id)
            if row.thumbnails and not is_private(row.clip_id):
                done.strips[row.clip_id] = row.thumbnails
        done.add(decided)
    done.checks.append(packer.done())
    return done


class ClipJudge:
    """Judges clips one by one, a number of them at a time."""

    def __init__(self, params: QcDecideParams) -> None:
        digest = params.digest()[:16]
        self._params = params
        self._checks = {name: Answers(name, params, digest) for name in RULES}

    def verdicts(self, rows: Sequence[MeasureRow], packer: Packer) -> Iterator[tuple[Any, ...]]:
        """Status, score, reasons and privacy flags of each clip; what the checks answer is packed."""
        if not rows:
            return
        table = FigureTable([row.measurements for row in rows])
        answers = {name: check.on(table) for name, check in self._checks.items()}
        scores = packer.add([row.clip_id for row in rows], answers)
        weighted = weighted_scores({name: scores[name] for name in WEIGHTED}, self._params.weights)
        weighty: list[dict[str, Answer]] = [{} for _ in rows]  # of each clip; most answers are nothing but a score
        for name, column in answers.items():
            for i in [i for i, answer in enumerate(column) if answer.matters]:
                weighty[i][name] = column[i]
        for total, answered in zip(weighted.tolist(), weighty, strict=True):
            score = None if isnan(total) else total
            broken = [answered[n].broken for n in self._params.hard_limits if n in answered]
            complaints = [answer.complaint for answer in answered.values() if answer.complaint]
            remarks = [answer.remark for answer in answered.values() if answer.remark]
            limits = [reason for reason in broken if reason]
            status, reasons = verdict_of(score, limits, complaints, self._params, remarks)
            flags = sorted({flag for answer in answered.values() for flag in answer.flags}) if answered else []
            yield status, None if score is None else round(score, 6), reasons, flags


@dataclass(frozen=True)
class GroupJob:
    """One part of a manifest of measurements; ``first`` is the number of its first row."""

    folder: Path
    group: int
    first: int
    params: QcDecideParams


def judge_group(job: GroupJob) -> Judged:
    """The verdict on each clip of one part. Runs in a worker where there are several."""
    rows, leaves = read_group(job.folder, MeasureRow, job.group)
    with gc_paused():
        judged = judge_rows(opened_rows(job.folder, rows, Vault(), first=job.first), job.params)
    return replace(judged, leaves=leaves)


def judge_all(folder: Path, params: QcDecideParams) -> Judged:
    """The verdict on each clip of a manifest of measurements by itself, which is checked against its root.

    Raises:
        AiprodError: as ``base.manifest.read_rows``; or a worker failed.
    """
    sizes = group_sizes(folder / ROWS)
    jobs = [GroupJob(folder, i, sum(sizes[:i]), params) for i in range(len(sizes))]
    whole = Judged()
    for part in _parts(jobs):
        whole.extend(part)
        whole.verdicts()  # while the workers go on
    check_leaves(folder, whole.leaves)
    return whole


def _parts(jobs: Sequence[GroupJob]) -> Iterator[Judged]:
    if len(jobs) < 2 or default_workers() < 2:
        yield from map(judge_group, jobs)
        return
    for outcome in ordered_map(judge_group, jobs, bounds=_BOUNDS):
        if outcome.value is None:
            raise AiprodError(f"clips could not be judged: {outcome.reason}", "run again; see `aiprod doctor`")
        yield outcome.value


def settle(
    judged: Judged,
    films: Sequence[Film],
    clips: Sequence[Clip],
    params: QcDecideParams,
    denied: Sequence[DeniedFilm] = (),
) -> tuple[list[VerdictRow], CheckTable]:
    """A verdict for each clip, and one for each film that yielded none, without their checks; and the checks.

    Args:
        denied: films that were not taken in, whose copies are rejected.
    """
    checks, columns = with_shared_marks(
        judged.checks,
        judged.columns,
        sketches=judged.sketches,
        measured=judged.measured,
        films=films,
        clips=clips,
        params=params,
    )
    judged = replace(judged, checks=checks, columns=columns)
    rows = judged.verdicts()
    table = CheckTable(judged.checks)
    duplicates = {clip.clip_id: clip.duplicate_of for clip in clips if clip.duplicate_of}
    if duplicates:
        rows = [_duplicate(row, duplicates[row.clip_id]) if row.clip_id in duplicates else row for row in rows]
    rows = with_privacy(rows, films, clips)
    judged_safe = table.scores("nsfw", table.places([row.clip_id for row in rows]))
    rows = with_unsafe_policy(rows, films, ~np.isnan(judged_safe), params)
    rows, table.further = judge_repeats(
        rows, judged.prints, films, clips, checked=table, params=params, digest=params.digest()[:16], denied=denied
    )
    with_clips = {clip.film_id for clip in clips}
    rows += [
        erased(film) if film.status == "erased" else refused(film) for film in films if film.film_id not in with_clips
    ]
    return rows, table


def verdicts(
    films: Sequence[FilmRow], clips: Sequence[ClipRow], measured: Iterable[MeasureRow], params: QcDecideParams
) -> list[VerdictRow]:
    """A verdict with its checks for each clip, and one for each film that yielded none."""
    judged = judge_rows(measured, params)
    rows, table = settle(judged, list(map(Film.of, films)), list(map(Clip.of, clips)), params)
    return table.filled(rows)


def decide(row: MeasureRow, params: QcDecideParams) -> VerdictRow:
    """The verdict on one clip by itself, with its checks."""
    judged = judge_rows([row], params)
    return CheckTable(judged.checks).filled(judged.verdicts())[0]


def _duplicate(row: VerdictRow, of: str) -> VerdictRow:
    return changed(row, {"status": "REJECTED", "reasons": [f"duplicates: the same as {of}", *row.reasons]})
