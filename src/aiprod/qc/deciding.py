"""From measurements to verdicts: each clip by itself, in several processes where they are many, then all together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from aiprod.base.errors import AiprodError
from aiprod.base.manifest import ROWS, check_leaves, opened_rows, read_group
from aiprod.base.row_reading import group_sizes
from aiprod.base.uncollected import uncollected
from aiprod.base.vault import Vault, is_private
from aiprod.data.engine import Bounds, default_workers, ordered_map
from aiprod.data.rows import ClipRow, FilmRow
from aiprod.qc.check_table import CheckTable, Packed, Packer
from aiprod.qc.judgements import JUDGES
from aiprod.qc.params import QcDecideParams
from aiprod.qc.privacy import with_privacy
from aiprod.qc.repeats import judge_repeats
from aiprod.qc.rows import MeasureRow, Verdict, VerdictRow
from aiprod.qc.scoring import WEIGHTED, erased, refused, verdict_of, weighted_score
from aiprod.qc.unsafe import with_unsafe_policy

_BOUNDS = Bounds(deadline_s=3600.0)


@dataclass
class Judged:
    """Verdicts on single clips, without their checks.

    Attributes:
        rows: clip id, film id, status, score, reasons and privacy flags of each clip.
        prints: fingerprints by clip id.
        strips: files of thumbnails that may be shown, by clip id.
    """

    checks: list[Packed]
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    prints: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    strips: dict[str, str] = field(default_factory=dict)
    leaves: list[bytes] = field(default_factory=list)

    def verdicts(self) -> list[VerdictRow]:
        """The rows as verdicts."""
        names = ("clip_id", "film_id", "status", "score", "reasons", "privacy_flags")
        return [VerdictRow.model_validate(dict(zip(names, row, strict=True))) for row in self.rows]


def judge_rows(measured: Iterable[MeasureRow], params: QcDecideParams) -> Judged:
    """The verdict on each clip by itself."""
    digest = params.digest()[:16]
    packer = Packer(digest)
    done = Judged([])
    for row in measured:
        if row.status != "ok":
            gone = row.status == "erased"
            status: Verdict = "erased" if gone else "REJECTED"
            reasons = row.reasons if gone else row.reasons or ["undecodable"]
            done.rows.append((row.clip_id, row.film_id, status, None, reasons, []))
            continue
        found: Mapping[str, Any] = row.measurements
        judged = {name: judge(found, params) for name, (_, judge) in JUDGES.items()}
        score = weighted_score({name: judged[name].score for name in WEIGHTED}, params.weights)
        status, reasons = verdict_of(score, judged, params)
        flags = sorted({flag for answer in judged.values() if answer.flags for flag in answer.flags})
        packer.add(row.clip_id, judged, found)
        rounded = None if score is None else round(score, 6)
        done.rows.append((row.clip_id, row.film_id, status, rounded, reasons, flags))
        figures = found.get("fingerprint", {})
        if figures.get("status") == "ok":
            done.prints[row.clip_id] = figures
        if row.thumbnails and not is_private(row.clip_id):
            done.strips[row.clip_id] = row.thumbnails
    done.checks.append(packer.done())
    return done


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
    with uncollected():
        judged = judge_rows(opened_rows(job.folder, rows, Vault(), first=job.first), job.params)
    return replace(judged, leaves=leaves)


def judge_all(folder: Path, params: QcDecideParams) -> Judged:
    """The verdict on each clip of a manifest of measurements by itself, which is checked against its root.

    Raises:
        AiprodError: as ``base.manifest.read_rows``; or a worker failed.
    """
    sizes = group_sizes(folder / ROWS)
    jobs = [GroupJob(folder, i, sum(sizes[:i]), params) for i in range(len(sizes))]
    whole = Judged([])
    for part in _parts(jobs):
        for name in ("checks", "rows", "leaves"):
            getattr(whole, name).extend(getattr(part, name))
        whole.prints |= part.prints
        whole.strips |= part.strips
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
    judged: Judged, films: Sequence[FilmRow], clips: Sequence[ClipRow], params: QcDecideParams
) -> tuple[list[VerdictRow], CheckTable]:
    """A verdict for each clip, and one for each film that yielded none, without their checks; and the checks."""
    rows = judged.verdicts()
    table = CheckTable(judged.checks)
    duplicates = {clip.clip_id: clip.duplicate_of for clip in clips if clip.duplicate_of}
    if duplicates:
        rows = [_duplicate(row, duplicates[row.clip_id]) if row.clip_id in duplicates else row for row in rows]
    rows = with_privacy(rows, films, clips)
    rows = with_unsafe_policy(rows, films, table.scores("nsfw", [row.clip_id for row in rows]), params)
    rows, table.further = judge_repeats(
        rows, judged.prints, films, clips, checked=table, params=params, digest=params.digest()[:16]
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
    rows, table = settle(judge_rows(measured, params), films, clips, params)
    return table.filled(rows)


def decide(row: MeasureRow, params: QcDecideParams) -> VerdictRow:
    """The verdict on one clip by itself, with its checks."""
    judged = judge_rows([row], params)
    return CheckTable(judged.checks).filled(judged.verdicts())[0]


def _duplicate(row: VerdictRow, of: str) -> VerdictRow:
    return row.model_copy(update={"status": "REJECTED", "reasons": [f"duplicates: the same as {of}", *row.reasons]})
