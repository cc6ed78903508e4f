"""Stage qc_measure: measure picture and sound of every clip in one decode of its raw film, without thresholds."""

from __future__ import annotations

from pathlib import Path

from aiprod.base.code_identity import code_digest
from aiprod.base.files import digest_of
from aiprod.base.params import load_params
from aiprod.base.stage import record_counters
from aiprod.base.state import state
from aiprod.data.rows import ClipRow, FilmRow
from aiprod.executors.executor import chosen_engine
from aiprod.qc.bundled.usage import record_used
from aiprod.qc.measure.stage import measure_all
from aiprod.qc.measure_params import QcMeasureParams
from aiprod.qc.rows import MeasureRow
from aiprod.storage.clip_store import ClipStore
from aiprod.storage.crypto.film_encryption import Vault
from aiprod.storage.manifest.manifest import read_head, read_rows, write_manifest
from aiprod.storage.result_cache import Memo
from pipeline.running import run

VERSION = Path("datasets/v1")
OUT = VERSION / "qc" / "measure"


def main() -> None:
    """Read the clips, measure those that are new, write a row for each."""
    params = load_params(QcMeasureParams, "qc_measure")
    vault = Vault()
    films = read_rows(VERSION / "ingest/films", FilmRow, vault)
    clips = read_rows(VERSION / "ingest/clips", ClipRow, vault)
    shared = code_digest("qc_measure", units=False)  # each check's version is compared by itself
    memo = Memo(state().memo("qc_measure"), digest_of([shared, params.work_digest()]))
    rows, counters = measure_all(
        films, clips, params, memo=memo, store=ClipStore(VERSION), thumbs=OUT / "thumbs", engine=chosen_engine()
    )
    write_manifest(
        OUT,
        rows,
        row_model=MeasureRow,
        stage="qc_measure",
        key=lambda row: row.clip_id,
        params_digest=params.digest(),
        inputs={name: read_head(VERSION / "ingest" / name).merkle_root for name in ("films", "clips")},
        expect_ids={clip.clip_id for clip in clips},
        vault=vault,
    )
    record_used(OUT, (row.measurements for row in rows))
    record_counters("qc_measure", counters)


if __name__ == "__main__":
    run(main)
