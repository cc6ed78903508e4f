"""Stage qc_decide: apply the quality policy to the measurements; nothing is decoded."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from aiprod.base.files import digest_of
from aiprod.base.gc_pause import gc_paused
from aiprod.base.params import load_params
from aiprod.base.progress import say
from aiprod.base.stage import Counters, record_counters
from aiprod.qc.decide.decide import judge_all, settle
from aiprod.qc.decide.reviews import REVIEWS, load_reviews, with_reviews
from aiprod.qc.denied_films import read_denied
from aiprod.qc.params import QcDecideParams
from aiprod.qc.projections import read_clips, read_films
from aiprod.qc.report.report import write_reports
from aiprod.qc.rows import VerdictRow
from aiprod.storage.crypto.film_encryption import Vault
from aiprod.storage.manifest.manifest import read_head, write_manifest
from pipeline.running import run

VERSION, REPORTS = Path("datasets/v1"), Path("reports/qc")


@gc_paused()  # also while what there is in memory at the end is freed
def main() -> None:
    """Judge each clip by its measurements and by what people decided, and write a row for each, and the reports."""
    params = load_params(QcDecideParams, "qc_decide")
    vault = Vault()
    with ThreadPoolExecutor(1) as aside:
        judging = aside.submit(judge_all, VERSION / "qc/measure", params)  # most of what there is to read
        shown, films = read_films(VERSION / "ingest/films", vault)
        clips = read_clips(VERSION / "ingest/clips", vault)
        denied = read_denied(VERSION / "ingest/denied", shown, vault)
        reviews = load_reviews(REVIEWS)
        expected = {c.clip_id for c in clips} | {f.film_id for f in films} - {c.film_id for c in clips}
        judged = judging.result()
        rows, checks = settle(judged, films, clips, params, denied)
        rows = with_reviews(rows, films, clips, reviews)
        reporting = aside.submit(
            write_reports,
            REPORTS,
            shown,
            clips,
            strips=judged.strips,
            rows=rows,
            checks=checks,
            params=params,
            thumbs=VERSION / "qc/measure/thumbs",
        )
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
            expect_ids=expected,
            vault=vault,
            ready={"checks": checks.cells},
        )
        reporting.result()
    say("qc_decide: " + ", ".join(f"{count} {status}" for status, count in head.counts.items()))
    record_counters("qc_decide", Counters(processed=len(rows)))


if __name__ == "__main__":
    run(main)
