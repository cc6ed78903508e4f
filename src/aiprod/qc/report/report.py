"""What quality control leaves for people: metrics, a table for plots, and a page with thumbnails and reasons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from heapq import nsmallest
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np

from aiprod.base.files import atomic_folder, atomic_path, link_or_copy, write_bytes, write_json, write_text
from aiprod.base.pages import with_policy
from aiprod.qc.checks import WEIGHTED
from aiprod.qc.decide.check_results import CheckTable
from aiprod.qc.decide.verdict_table import VerdictTable
from aiprod.qc.metric_table import Floats
from aiprod.qc.params import QcDecideParams
from aiprod.qc.projections import ClipProjection, FilmProjection
from aiprod.qc.report.confusion import DEMO, confusion, summary
from aiprod.qc.report.notes import ShownCheck, common_notes, row_notes
from aiprod.qc.rows import VerdictRow

_SHARES = 101  # points of a distribution
_LINES = 8192  # of a table, in memory at a time
_ORDER = {"REVIEW_NEEDED": 0, "REJECTED": 1, "APPROVED": 2, "erased": 3}


def write_reports(
    folder: Path,
    films: Sequence[FilmProjection],
    clips: Sequence[ClipProjection],
    *,
    strips: Mapping[str, str],
    table: VerdictTable,
    params: QcDecideParams,
    thumbs: Path,
) -> None:
    """Write ``metrics.json``, ``scores.csv``, ``distributions.csv`` and ``page/index.html`` with its thumbnails.

    Args:
        strips: clip id → file in ``thumbs``.
    """
    figures = metrics(films, table)
    write_json(folder / "metrics.json", figures)
    with atomic_path(folder / "scores.csv") as path, path.open("w", encoding="utf-8", newline="") as file:
        file.writelines(scores_csv(table))
    write_text(folder / "distributions.csv", "".join(distributions_csv(table.checks)))
    with atomic_folder(folder / "page") as page:
        ranks, scores = [_ORDER[status] for status in table.status], np.nan_to_num(table.score, nan=2.0).tolist()
        order = zip(ranks, scores, table.ids, range(len(table)), strict=True)
        first = table.rows([row for *_, row in nsmallest(params.report_rows_max, order)])
        shown = page_rows(films, clips, first, strips)
        for row in shown:
            if row["thumbnail"]:
                link_or_copy(thumbs / row["thumbnail"], page / "thumbs" / row["thumbnail"])
        write_text(page / "index.html", render(shown, figures, params, total=len(table)))


def clip_counts(table: VerdictTable) -> dict[str, int]:
    """Clips by verdict, and apart from them the films that yielded no clip, each of which has a row too."""
    rows = zip(table.ids, table.film_ids, table.status, strict=True)
    clips = Counter(str(status) for row_id, film_id, status in rows if row_id != film_id)
    named = {"approved": "APPROVED", "review": "REVIEW_NEEDED", "rejected": "REJECTED"}
    return {**{name: clips[status] for name, status in named.items()}, "kept_out": len(table) - clips.total()}


def metrics(films: Sequence[FilmProjection], table: VerdictTable) -> dict[str, Any]:
    """Counts and means; only figures that are measured, ``None`` where nothing was."""
    scores = table.score[~np.isnan(table.score)].tolist()
    values = table.checks.scored()
    checks: dict[str, dict[str, Any]] = {}
    for name, counts in sorted(table.checks.statuses().items()):
        scored = values.get(name, np.empty(0))
        checks[name] = {
            # Added up one after the other, not in pairs as ``np.sum`` does, which rounds otherwise.
            "mean_score": round(float(np.cumsum(scored)[-1]) / scored.size, 6) if scored.size else None,
            "failed": int(np.count_nonzero(scored == 0.0)),
            **{status: counts[status] for status in ("ok", "unmeasurable", "not_evaluated", "error") if counts[status]},
        }
    verdicts = Counter(table.status)
    demo = {film.film_id for film in films if film.source_id == DEMO}
    of_demo = [table.row(i) for i, film_id in enumerate(table.film_ids) if film_id in demo]
    return {
        "films": len(films),
        "clips": clip_counts(table),
        "rows": len(table),
        "approved": verdicts["APPROVED"],
        "review_needed": verdicts["REVIEW_NEEDED"],
        "rejected": verdicts["REJECTED"],
        "mean_score": round(sum(scores) / len(scores), 6) if scores else None,
        "with_privacy_flags": sum(map(bool, table.privacy_flags)),
        "checks": checks,
        "demo": confusion(films, of_demo),
    }


def scores_csv(table: VerdictTable) -> Iterator[str]:
    """``rank,clip_id,status,score`` and the weighted checks' scores, by descending score; empty where not scored."""
    yield _line(["rank", "clip_id", "status", "score", *WEIGHTED])
    by_id = np.array(sorted(range(len(table)), key=table.ids.__getitem__), np.int64)
    order = by_id[np.argsort(np.where(np.isnan(table.score), 1.0, -table.score)[by_id], kind="stable")]
    for start in range(0, len(table), _LINES):  # the text of very many lines takes more memory than their numbers
        rows = order[start : start + _LINES]
        columns = [table.score[rows], *(table.checks.scores(name, table.place[rows]) for name in WEIGHTED)]
        named = [(str(start + i), table.ids[row], table.status[row]) for i, row in enumerate(rows.tolist())]
        for name, numbers in zip(named, zip(*map(_four_digits, columns), strict=True), strict=True):
            yield _line([*name, *numbers])


def distributions_csv(checks: CheckTable) -> Iterator[str]:
    """``share``, and for each weighted check the score that this share of the clips reaches; empty if none has one."""
    shares = np.linspace(0.0, 1.0, _SHARES)
    columns = []
    for name in WEIGHTED:
        scores = checks.scores(name)
        known = scores[~np.isnan(scores)]
        reached = np.quantile(known, 1.0 - shares, method="nearest") if known.size else shares * np.nan
        columns.append(_four_digits(reached))
    yield _line(["share", *WEIGHTED])
    yield from map(_line, zip([f"{share:.2f}" for share in shares], *columns, strict=True))


def _line(values: Iterable[str]) -> str:
    """A line of CSV whose values hold no comma, quote or line break: ids, statuses and numbers."""
    return ",".join(values) + "\n"


def _four_digits(values: Floats) -> list[str]:
    """The text of each number, empty for NaN; scores of many clips are few."""
    distinct, which = np.unique(values, return_inverse=True)
    known = ["" if isnan(value) else f"{value:.4f}" for value in distinct.tolist()]
    return [known[i] for i in which.tolist()]


def page_rows(
    films: Sequence[FilmProjection],
    clips: Sequence[ClipProjection],
    rows: Sequence[VerdictRow],
    strips: Mapping[str, str],
) -> list[dict[str, Any]]:
    """What the page shows of each row; those that need a person come first."""
    of_films, of_clips = {row.film_id for row in rows}, {row.clip_id for row in rows}
    by_film = {film.film_id: film for film in films if film.film_id in of_films}
    ranges = {clip.clip_id: f"{clip.start_s:.2f}-{clip.end_s:.2f} s" for clip in clips if clip.clip_id in of_clips}
    shown = [
        _page_row(
            f"{by_film[row.film_id].source_id}/{by_film[row.film_id].key}",
            ranges.get(row.clip_id, "no clip"),
            row,
            strips.get(row.clip_id),
        )
        for row in rows
    ]
    return sorted(shown, key=_page_order)


def _page_row(film: str, extent: str, row: VerdictRow, thumbnail: str | None) -> dict[str, Any]:
    return {
        "id": row.clip_id,
        "film": film,
        "range": extent,
        "status": row.status,
        "score": row.score,
        "reasons": row.reasons,
        "flags": row.privacy_flags,
        "checks": [ShownCheck(c.check, c.score, c.status, c.reason) for c in row.checks],
        "thumbnail": thumbnail,
    }


def _page_order(row: dict[str, Any]) -> tuple[int, float, str]:
    return _ORDER[row["status"]], row["score"] if row["score"] is not None else 2.0, row["id"]


def render(
    shown: Sequence[dict[str, Any]], figures: dict[str, Any], params: QcDecideParams | None, *, total: int
) -> str:
    """The page as HTML that needs no network."""
    from jinja2 import Environment, FileSystemLoader, select_autoescape

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=select_autoescape(["html", "j2"]), trim_blocks=True
    )
    template = environment.get_template("report.html.j2")
    common = common_notes(shown)
    known: dict[ShownCheck, str] = {}

    def drawn(draw: Callable[[ShownCheck], str], checks: Sequence[ShownCheck]) -> str:
        """Checks as HTML; clips share most of theirs."""
        for check in checks:
            if check not in known:
                known[check] = draw(check)
        return "".join([known[check] for check in checks])

    page = template.render(
        rows=[{**row, "notes": row_notes(row, common)} for row in shown],
        common=common,
        drawn=drawn,
        figures=figures,
        total=total,
        demo=summary(figures.get("demo")),
        confusion=(figures.get("demo") or {}).get("verdicts"),
        params=params,
    )
    return with_policy(page, (Path(__file__).parent / "report.html.j2").read_text(encoding="utf-8"))


def page_of_files(
    folder: Path,
    shown: Sequence[tuple[str, VerdictRow, bytes | None]],
    figures: dict[str, Any],
    params: QcDecideParams,
) -> None:
    """The same page for files outside the pipeline: (name, verdict, strip of thumbnails as JPEG)."""
    rows = []
    with atomic_folder(folder) as page:
        for number, (name, verdict, strip) in enumerate(shown):
            thumbnail = f"{number:05d}.jpg" if strip is not None else None
            if strip is not None and thumbnail is not None:
                write_bytes(page / "thumbs" / thumbnail, strip)
            rows.append(_page_row(name, "whole file", verdict, thumbnail))
        rows.sort(key=_page_order)
        write_text(page / "index.html", render(rows, {**figures, "films": len(rows)}, params, total=len(rows)))
