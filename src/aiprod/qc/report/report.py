"""What quality control leaves for people: metrics, a table for plots, and a page with thumbnails and reasons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from aiprod.base.files import atomic_folder, atomic_path, write_bytes, write_json, write_text
from aiprod.base.pages import with_policy
from aiprod.qc.checks import WEIGHTED
from aiprod.qc.decide.check_results import CheckTable
from aiprod.qc.decide.dataset import UNSCORED, DatasetVerdicts
from aiprod.qc.decide.duplicate_search import BETTER
from aiprod.qc.decide.tally import CheckTally
from aiprod.qc.decide.verdict_table import VerdictTable
from aiprod.qc.metric_table import Floats
from aiprod.qc.params import QcDecideParams
from aiprod.qc.projections import ClipProjection, Clips, FilmProjection, Films
from aiprod.qc.report.confusion import DEMO, confusion, summary
from aiprod.qc.report.notes import ShownCheck, common_notes, row_notes
from aiprod.qc.rows import VerdictRow
from aiprod.storage.clip_store import copy_stored

_SHARES = 101  # points of a distribution
_LINES = 8192  # of a table, in memory at a time
_ORDER = {"REVIEW_NEEDED": 0, "REJECTED": 1, "APPROVED": 2, "erased": 3}


class Reported:
    """Verdicts on their way into a manifest, from which is kept what reports say of them.

    Args:
        films: as they may be shown.
        limit: most rows on the page.
    """

    def __init__(self, verdicts: DatasetVerdicts, films: Films, limit: int) -> None:
        self._verdicts, self.films = verdicts, len(films)
        pairs = zip(films.column(0), films.column(FilmProjection._fields.index("source_id")), strict=True)
        self.demo = list(films.of(film_id for film_id, source_id in pairs if source_id == DEMO).values())
        self.counted = Counted()
        self.of_demo: list[VerdictRow] = []
        self.first: list[VerdictRow] = []
        self._ids_of_demo = {film.film_id for film in self.demo}
        self._first = set(first_rows(verdicts, limit))
        self._seen = 0

    @property
    def schema(self) -> pa.Schema:
        """The columns of a manifest."""
        return self._verdicts.schema

    def parts(self, rows: int) -> Iterator[VerdictTable]:
        """The verdicts, so many at a time."""
        for part in self._verdicts.parts(rows):
            self.counted.add(part)
            shown = [place for place in range(len(part)) if self._seen + place in self._first]
            self.first += part.rows(shown) if shown else []
            if self._ids_of_demo:
                places = [place for place, film_id in enumerate(part.film_ids) if film_id in self._ids_of_demo]
                self.of_demo += map(part.row, places)
            self._seen += len(part)
            yield part

    def write(self, folder: Path, films: Films, clips: Clips, params: QcDecideParams, thumbs: Path) -> None:
        """Write ``metrics.json``, ``scores.csv``, ``distributions.csv`` and ``page/index.html`` with its thumbnails,
        after the last part.

        Args:
            thumbs: folder of the measurements' thumbnails, packed or not.
        """
        verdicts = self._verdicts
        figures = metrics(
            self.films,
            self.counted,
            verdicts.tally.figures(),
            scores=verdicts.scores(),
            demo=confusion(self.demo, self.of_demo),
        )
        write_json(folder / "metrics.json", figures)
        with atomic_path(folder / "scores.csv") as path, path.open("w", encoding="utf-8", newline="") as file:
            file.writelines(scores_csv(verdicts))
        write_text(folder / "distributions.csv", "".join(distributions_csv(verdicts)))
        with atomic_folder(folder / "page") as page:
            of = films.of(row.film_id for row in self.first), clips.of(row.clip_id for row in self.first)
            shown = page_rows(*of, self.first, verdicts.thumbnails(row.clip_id for row in self.first))
            for row in shown:
                if row["thumbnail"]:
                    copy_stored(thumbs / row["thumbnail"], page / "thumbs" / row["thumbnail"])
            write_text(page / "index.html", render(shown, figures, params, total=len(verdicts)))


def first_rows(verdicts: DatasetVerdicts, limit: int) -> list[int]:
    """The rows of a page: those that need a person first, and of these the lowest scores."""
    order = np.array([_ORDER[status] for status in BETTER])[verdicts.codes()]
    scores = np.nan_to_num(verdicts.score[verdicts.number_of(slice(None))], nan=2.0)
    chosen: list[int] = np.lexsort((scores, order))[:limit].tolist()  # equal ones by their ids, as the rows are
    return chosen


class Counted:
    """Rows by verdict, clips by verdict, and rows with privacy flags, counted a part at a time."""

    def __init__(self) -> None:
        self.rows: Counter[str] = Counter()
        self._clips: Counter[str] = Counter()
        self.flagged = 0

    def add(self, table: VerdictTable) -> None:
        """Count some more rows."""
        self.rows.update(table.status)
        rows = zip(table.ids, table.film_ids, table.status, strict=True)
        self._clips.update(status for row_id, film_id, status in rows if row_id != film_id)
        self.flagged += sum(map(bool, table.privacy_flags))

    @property
    def clips(self) -> dict[str, int]:
        """Clips by verdict, and apart from them the films that yielded no clip, each of which has a row too."""
        named = {"approved": "APPROVED", "review": "REVIEW_NEEDED", "rejected": "REJECTED"}
        counts = {name: self._clips[status] for name, status in named.items()}
        return {**counts, "kept_out": self.rows.total() - self._clips.total()}


def metrics_of(table: VerdictTable) -> dict[str, Any]:
    """The figures of some files outside of a dataset."""
    counted, tally = Counted(), CheckTally()
    counted.add(table)
    assert isinstance(table.checks, CheckTable)
    tally.add(table.checks)
    return metrics(0, counted, tally.figures(), scores=table.score[~np.isnan(table.score)].tolist(), demo=None)


def metrics(
    films: int,
    counted: Counted,
    checks: Mapping[str, Any],
    *,
    scores: Iterable[float],
    demo: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Counts and means; only figures that are measured, ``None`` where nothing was."""
    scored = 0

    def each() -> Iterator[float]:
        nonlocal scored
        for score in scores:
            scored += 1
            yield score

    total = sum(each())
    return {
        "films": films,
        "clips": counted.clips,
        "rows": counted.rows.total(),
        "approved": counted.rows["APPROVED"],
        "review_needed": counted.rows["REVIEW_NEEDED"],
        "rejected": counted.rows["REJECTED"],
        "mean_score": round(total / scored, 6) if scored else None,
        "with_privacy_flags": counted.flagged,
        "checks": checks,
        "demo": demo,
    }


def scores_csv(verdicts: DatasetVerdicts) -> Iterator[str]:
    """``rank,clip_id,status,score`` and the weighted checks' scores, by descending score; empty where not scored."""
    yield _line(["rank", "clip_id", "status", "score", *WEIGHTED])
    score = verdicts.score[verdicts.number_of(slice(None))]
    order = np.argsort(np.where(np.isnan(score), 1.0, -score), kind="stable")
    for start in range(0, order.size, _LINES):  # the text of very many lines takes more memory than their numbers
        rows = order[start : start + _LINES]
        scored = verdicts.parts_of_scores[verdicts.number_of(rows)]
        columns = [_four_digits(score[rows]), *map(_digits_of, scored.T)]
        statuses = verdicts.status_of(rows)
        named = [(str(start + i), verdicts.id_of(row), statuses[i]) for i, row in enumerate(rows.tolist())]
        for name, numbers in zip(named, zip(*columns, strict=True), strict=True):
            yield _line([*name, *numbers])


def distributions_csv(verdicts: DatasetVerdicts) -> Iterator[str]:
    """``share``, and for each weighted check the score that this share of the clips reaches; empty if none has one."""
    shares = np.linspace(0.0, 1.0, _SHARES)
    columns = []
    for scores in verdicts.parts_of_scores.T:
        known = scores[scores != UNSCORED]
        reached = np.full(_SHARES, UNSCORED)
        if known.size:
            reached = np.quantile(known, 1.0 - shares, method="nearest")
        columns.append(_digits_of(reached))
    yield _line(["share", *WEIGHTED])
    yield from map(_line, zip([f"{share:.2f}" for share in shares], *columns, strict=True))


def _line(values: Iterable[str]) -> str:
    """A line of CSV whose values hold no comma, quote or line break: ids, statuses and numbers."""
    return ",".join(values) + "\n"


def _four_digits(values: Floats) -> list[str]:
    """The text of each number, empty for NaN."""
    return ["" if isnan(value) else f"{value:.4f}" for value in values.tolist()]


def _digits_of(codes: NDArray[np.uint16]) -> list[str]:
    """The text of scores in ten thousandths; those of many clips are few."""
    distinct, which = np.unique(codes, return_inverse=True)
    known = ["" if code == UNSCORED else f"{code / 10_000:.4f}" for code in distinct.tolist()]
    return [known[i] for i in which.ravel().tolist()]


def page_rows(
    films: Mapping[str, FilmProjection],
    clips: Mapping[str, ClipProjection],
    rows: Sequence[VerdictRow],
    strips: Mapping[str, str],
) -> list[dict[str, Any]]:
    """What the page shows of each row; those that need a person come first."""
    ranges = {clip_id: f"{clip.start_s:.2f}-{clip.end_s:.2f} s" for clip_id, clip in clips.items()}
    shown = [
        _page_row(
            f"{films[row.film_id].source_id}/{films[row.film_id].key}",
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
