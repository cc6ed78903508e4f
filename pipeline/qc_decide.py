"""Stage qc_decide: apply the quality policy to the measurements; nothing is decoded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from aiprod.base.files import digest_of
from aiprod.base.manifest import iter_rows, read_head, read_rows, write_manifest
from aiprod.base.params import load_params
from aiprod.base.progress import say
from aiprod.base.stage import Counters, record_counters, run
from aiprod.base.vault import Vault, is_private
from aiprod.data.rows import ClipRow, FilmRow
from aiprod.qc.params import QcDecideParams
from aiprod.qc.report import write_reports
from aiprod.qc.reviews import REVIEWS, load_reviews, with_reviews
from aiprod.qc.rows import MeasureRow, VerdictRow
from aiprod.qc.scoring import verdicts

VERSION, REPORTS = Path("datasets/v1"), Path("reports/qc")


def main() -> None:
    """Judge each clip by its measurements and by what people decided, and write a row for each, and the reports."""
    params = load_params(QcDecideParams, "qc_decide")
    vault = Vault()
    shown = read_rows(VERSION / "ingest/films", FilmRow)  # what is written shows nothing that is encrypted
    films = [
        film.model_copy(update={"obligations": blank.obligations})
        for film, blank in zip(read_rows(VERSION / "ingest/films", FilmRow, vault), shown, strict=True)
    ]
    clips = read_rows(VERSION / "ingest/clips", ClipRow, vault)
    reviews = load_reviews(REVIEWS)
    strips: dict[str, str] = {}

    def measured() -> Iterator[MeasureRow]:  # one by one: their figures are most of what there is to read
        for row in iter_rows(VERSION / "qc/measure", MeasureRow, vault):
            if row.thumbnails and not is_private(row.clip_id):
                strips[row.clip_id] = row.thumbnails
            yield row

    rows = with_reviews(verdicts(films, clips, measured(), params), films, clips, reviews)
    head = write_manifest(
        VERSION / "qc/decide",
        rows,
        row_model=VerdictRow,
        stage="qc_decide",
        key=lambda row: row.clip_id,
        params_digest=params.digest(),
        inputs={
            "films": read_head(VERSION / "ingest/films").merkle_root,
            "clips": read_head(VERSION / "ingest/clips").merkle_root,
            "reviews": digest_of([review.model_dump(mode="json") for review in reviews]),
            "qc_measure": read_head(VERSION / "qc/measure").merkle_root,
        },
        expect_ids={c.clip_id for c in clips} | {f.film_id for f in films} - {c.film_id for c in clips},
        vault=vault,
    )
    thumbs = VERSION / "qc/measure/thumbs"
    write_reports(REPORTS, shown, clips, strips=strips, rows=rows, params=params, thumbs=thumbs)
    say("qc_decide: " + ", ".join(f"{count} {status}" for status, count in head.counts.items()))
    record_counters("qc_decide", Counters(processed=len(rows)))


if __name__ == "__main__":
    run(main)
