"""Stage qc_decide: apply the quality policy to the measurements; nothing is decoded."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from aiprod.base.files import digest_of
from aiprod.base.metrics import write_headline
from aiprod.base.params import load_params
from aiprod.base.progress import log
from aiprod.base.stage import Counters, record_counters
from aiprod.qc.decide.decide import answer_checks, settle
from aiprod.qc.decide.measurement_table import MeasurementTable
from aiprod.qc.decide.reviews import REVIEWS, apply_reviews, load_reviews
from aiprod.qc.denied_films import read_denied
from aiprod.qc.params import QcDecideParams
from aiprod.qc.projections import read_clips, read_films
from aiprod.qc.report.report import clip_counts, write_reports
from aiprod.qc.rows import VerdictRow
from aiprod.storage.crypto.film_encryption import Vault
from aiprod.storage.manifest.manifest import read_head, write_table
from pipeline.running import run

VERSION, REPORTS = Path("datasets/v1"), Path("reports/qc")


def main() -> None:
    """Judge each clip by its measurements and by what people decided, and write a row for each, and the reports."""
    params = load_params(QcDecideParams, "qc_decide")
    vault = Vault()
    with ThreadPoolExecutor(1) as aside:
        reading = aside.submit(MeasurementTable.read, VERSION / "qc/measure", vault)  # most of what there is to read
        shown, films = read_films(VERSION / "ingest/films", vault)
        clips = read_clips(VERSION / "ingest/clips", vault)
        denied = read_denied(VERSION / "ingest/denied", shown, vault)
        reviews = load_reviews(REVIEWS)
        measured = reading.result()
        checks = answer_checks(measured, films, clips, params)
        strips, table = measured.thumbnails, settle(checks, measured, films, clips, params, denied=denied)
        del reading, measured  # figures are most of what is in memory
        apply_reviews(table, films, clips, reviews)
    # The table is written after the reports and without what it does not need: with many clips, memory is what counts.
    thumbs = VERSION / "qc/measure/thumbs"
    write_reports(REPORTS, shown, clips, strips=strips, table=table, params=params, thumbs=thumbs)
    expected = {c.clip_id for c in clips} | {f.film_id for f in films} - {c.film_id for c in clips}
    del shown, films, clips, strips
    write_table(
        VERSION / "qc/decide",
        table,
        row_model=VerdictRow,
        stage="qc_decide",
        params_digest=params.digest(),
        inputs={
            "films": read_head(VERSION / "ingest/films").merkle_root,
            "clips": read_head(VERSION / "ingest/clips").merkle_root,
            "reviews": digest_of([review.model_dump(mode="json") for review in reviews]),
            "qc_measure": read_head(VERSION / "qc/measure").merkle_root,
        },
        expect_ids=expected,
        vault=vault,
    )
    counts = clip_counts(table)
    write_headline("qc", {name: counts[name] for name in ("approved", "review")})
    *verdicts, kept_out = (f"{count} {name.replace('_', ' ')}" for name, count in counts.items())
    log(f"qc_decide: clips: {', '.join(verdicts)}; films: {kept_out}")
    record_counters("qc_decide", Counters(processed=len(table)))


if __name__ == "__main__":
    run(main)
