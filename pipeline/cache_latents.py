"""Stage cache_latents: encode every admitted clip once per curriculum phase, and its caption once."""

from __future__ import annotations

from pathlib import Path

from aiprod.captions.rows import CaptionRow

from aiprod.base.files import atomic_folder, digest_of, write_json
from aiprod.base.manifest import read_head, read_rows, write_manifest
from aiprod.base.memo import Memo
from aiprod.base.params import load_params
from aiprod.base.stage import code_digest, record_counters, run
from aiprod.base.state import state
from aiprod.data.latent_rows import LatentRow
from aiprod.data.rows import ClipRow, FilmRow
from aiprod.qc.rows import VerdictRow
from aiprod.trainer.clips import TrainClipsParams, select_clips
from aiprod.trainer.curriculum import CurriculumConfig
from aiprod.trainer.latent_cache import CacheLatentsParams, CacheModels, cache_latents, geometry_digest
from aiprod.trainer.model_folders import MODELS

DATA, OUT = Path("datasets/v1"), Path("datasets/v1/latents")
REPORT = Path("reports/latents/metrics.json")


def main() -> None:
    """Read manifests and models, encode, write latents, their manifest and the decode check."""
    params, admit = load_params(CacheLatentsParams, "cache_latents"), load_params(TrainClipsParams, "train_clips")
    phases = load_params(CurriculumConfig, "curriculum").geometry()
    selection = select_clips(
        read_rows(DATA / "ingest/films", FilmRow), read_rows(DATA / "ingest/clips", ClipRow),
        read_rows(DATA / "qc/decide", VerdictRow), read_rows(DATA / "captions", CaptionRow), admit,
    )
    models = CacheModels.load(MODELS)
    memo = Memo(state().memo("cache_latents"), digest_of([code_digest("cache_latents"), dict(models.digests)]))
    with atomic_folder(OUT) as folder:
        rows, counters, metrics = cache_latents(selection, phases, models, params, folder=folder, memo=memo)
        write_manifest(
            folder, rows, row_model=LatentRow, stage="cache_latents", key=lambda row: row.row_id,
            params_digest=params.digest(), facts={"decode_check": metrics},
            expect_ids=[f"{clip}/{phase}" for phase in phases for clip in selection.ids],
            inputs={
                **models.digests, "geometry": geometry_digest(phases), "cache_params": params.digest(),
                "clips": read_head(DATA / "ingest/clips").merkle_root,
                "verdicts": read_head(DATA / "qc/decide").merkle_root,
                "captions": read_head(DATA / "captions").merkle_root,
            },
        )
    write_json(REPORT, metrics)
    record_counters("cache_latents", counters)


if __name__ == "__main__":
    run(main)
