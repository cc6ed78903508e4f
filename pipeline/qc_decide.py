"""Stage qc_decide: apply the quality policy to the measurements; nothing is decoded."""

from __future__ import annotations

import gc
from pathlib import Path

from aiprod.base.files import digest_of
from aiprod.base.metrics import write_headline
from aiprod.base.params import load_params
from aiprod.base.progress import log
from aiprod.base.stage import Counters, record_counters
from aiprod.qc.decide.decide import settle
from aiprod.qc.decide.measurement_table import MeasurementTable
from aiprod.qc.decide.reviews import REVIEWS, load_reviews
from aiprod.qc.denied_films import read_denied
from aiprod.qc.params import QcDecideParams
from aiprod.qc.projections import read_clips, read_films
from aiprod.qc.report.report import Reported
from aiprod.qc.rows import VerdictRow
from aiprod.storage.crypto.film_encryption import Vault
from aiprod.storage.manifest.manifest import read_head, write_table
from pipeline.running import run

VERSION, REPORTS = Path("datasets/v1"), Path("reports/qc")


def main() -> None:
    """Judge each clip by its measurements and by what people decided, and write a row for each, and the reports."""
    gc.freeze()  # lists of very many rows come and go: what imports made need not be looked through each time
    gc.set_threshold(20_000, 20, 20)
    params = load_params(QcDecideParams, "qc_decide")
    vault = Vault()
    shown, films = read_films(VERSION / "ingest/films", vault)
    clips = read_clips(VERSION / "ingest/clips", vault)
    denied = read_denied(VERSION / "ingest/denied", shown, vault)
    reviews = load_reviews(REVIEWS)
    parts = MeasurementTable.parts(VERSION / "qc/measure", vault)
    verdicts = settle(parts, films, clips, params, denied=denied, reviews=reviews)
    reported = Reported(verdicts, shown, params.report_rows_max)
    write_table(
        VERSION / "qc/decide",
        reported,
        row_model=VerdictRow,
        stage="qc_decide",
        params_digest=params.digest(),
        inputs={
            "films": read_head(VERSION / "ingest/films").merkle_root,
            "clips": read_head(VERSION / "ingest/clips").merkle_root,
            "reviews": digest_of([review.model_dump(mode="json") for review in reviews]),
            "qc_measure": read_head(VERSION / "qc/measure").merkle_root,
        },
        expect_ids=verdicts.expected(),
        vault=vault,
    )
    reported.write(REPORTS, shown, clips, params, VERSION / "qc/measure/thumbs")
    counts = reported.counted.clips
    write_headline("qc", {name: counts[name] for name in ("approved", "review")})
    *told, kept_out = (f"{count} {name.replace('_', ' ')}" for name, count in counts.items())
    log(f"qc_decide: clips: {', '.join(told)}; films: {kept_out}")
    record_counters("qc_decide", Counters(processed=len(verdicts)))


if __name__ == "__main__":
    run(main)
