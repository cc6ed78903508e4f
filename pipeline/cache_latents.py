"""Stage cache_latents: encode every admitted clip once per curriculum phase, and its caption once."""

from __future__ import annotations

from pathlib import Path

from aiprod.base.code_identity import code_digest
from aiprod.base.files import atomic_folder, digest_of, write_json
from aiprod.base.params import load_params
from aiprod.base.progress import log
from aiprod.base.stage import record_counters
from aiprod.base.state import state
from aiprod.data.latents.rows import LatentRow
from aiprod.executors.executor import chosen_engine
from aiprod.models.artifacts import MODELS
from aiprod.storage.clip_store import pack_folder
from aiprod.storage.crypto.film_encryption import Vault
from aiprod.storage.manifest.manifest import write_manifest
from aiprod.storage.result_cache import Memo
from aiprod.trainer.latents.cache import cache_latents, geometry_digest
from aiprod.trainer.latents.encode import CacheLatentsParams, UnloadedModels
from aiprod.trainer.loop.accelerator import default_device
from aiprod.trainer.loop.curriculum import CurriculumConfig
from aiprod.trainer.stage import read_selection, use_threads
from pipeline.running import run

DATA, OUT = Path("datasets/v1"), Path("datasets/v1/latents")
REPORT = Path("reports/latents/metrics.json")


def main() -> None:
    """Read manifests and models, encode, write latents, their manifest and the decode check."""
    params = load_params(CacheLatentsParams, "cache_latents")
    use_threads(params.threads)
    phases = load_params(CurriculumConfig, "curriculum").geometry()
    selection, inputs = read_selection(DATA)
    if selection.left_out:
        log(selection.table())
    models = UnloadedModels(MODELS, params, default_device())
    memo = Memo(state().memo("cache_latents"), digest_of([code_digest("cache_latents"), dict(models.digests)]))
    with atomic_folder(OUT) as folder:
        rows, counters, metrics = cache_latents(
            selection, phases, models, params, folder=folder, memo=memo, engine=chosen_engine(), makers=MODELS
        )
        pack_folder(folder, OUT.name)
        write_manifest(
            folder,
            rows,
            row_model=LatentRow,
            stage="cache_latents",
            key=lambda row: row.row_id,
            params_digest=params.digest(),
            vault=Vault(),
            facts={"decode_check": metrics, "text_quantize": params.text_quantize},
            expect_ids=[f"{clip}/{phase}" for phase in phases for clip in selection.ids],
            inputs={
                **models.digests,
                "geometry": geometry_digest(phases),
                "cache_params": params.digest(),
                **inputs,
            },
        )
    write_json(REPORT, metrics)
    record_counters("cache_latents", counters)


if __name__ == "__main__":
    run(main)
