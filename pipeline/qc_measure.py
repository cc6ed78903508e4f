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
from aiprod.qc.measure.stage import context_of, made_from, measure_all, pack_thumbnails, take_thumbnails
from aiprod.qc.measure_params import QcMeasureParams
from aiprod.qc.rows import MeasureRow
from aiprod.storage.clip_store import ClipStore
from aiprod.storage.crypto.film_encryption import Vault
from aiprod.storage.manifest.carried import Carried
from aiprod.storage.manifest.manifest import LeavedTable, read_head, write_manifest
from aiprod.storage.result_cache import Memo
from pipeline.running import run

VERSION = Path("datasets/v1")
OUT = VERSION / "qc" / "measure"


def main() -> None:
    """Read the clips, measure those that are new, write a row for each."""
    params = load_params(QcMeasureParams, "qc_measure")
    vault = Vault()
    films = LeavedTable(VERSION / "ingest/films", FilmRow, "film_id", vault)
    clips = LeavedTable(VERSION / "ingest/clips", ClipRow, "clip_id", vault)
    shared = code_digest("qc_measure", units=False)  # each check's version is compared by itself
    memo = Memo(state().memo("qc_measure"), digest_of([shared, params.work_digest()]))
    carried = Carried(state().carried("qc_measure"), context_of(memo, params))
    from_what = made_from(films, clips)
    carried.take_over(take_thumbnails(carried.same(from_what), memo, OUT / "thumbs"), from_what)
    new = clips.without(carried.ids)
    rows, counters = measure_all(
        films.of({clip.film_id for clip in new}),
        new,
        params,
        memo=memo,
        store=ClipStore(VERSION),
        thumbs=OUT / "thumbs",
        engine=chosen_engine(),
        carried=carried,
    )
    counters.reused += len(carried.ids)
    pack_thumbnails(OUT / "thumbs", carried)
    write_manifest(
        OUT,
        rows,
        row_model=MeasureRow,
        stage="qc_measure",
        key=lambda row: row.clip_id,
        params_digest=params.digest(),
        inputs={name: read_head(VERSION / "ingest" / name).merkle_root for name in ("films", "clips")},
        expect_ids=clips.ids,
        vault=vault,
        carried=carried,
    )
    record_used(OUT, (row.measurements for row in rows), carried.field)
    record_counters("qc_measure", counters)


if __name__ == "__main__":
    run(main)
