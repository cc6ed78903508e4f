"""Stage caption: describe each clip from what was measured and what its source declares."""

from __future__ import annotations

from pathlib import Path

from aiprod.base.code_identity import code_digest
from aiprod.base.files import digest_of
from aiprod.base.params import load_params
from aiprod.base.stage import record_counters
from aiprod.base.state import state
from aiprod.captions.params import CaptionParams
from aiprod.captions.registry import make_captioner
from aiprod.captions.rows import CaptionRow
from aiprod.captions.rule_based import RuleBased
from aiprod.captions.stage import caption_all
from aiprod.data.rows import ClipRow
from aiprod.executors.executor import chosen_engine
from aiprod.qc.rows import MeasureRow, VerdictRow
from aiprod.storage.clip_store import ClipStore
from aiprod.storage.crypto.film_encryption import Vault
from aiprod.storage.manifest.manifest import read_head, read_rows, write_manifest
from aiprod.storage.result_cache import Memo
from pipeline.running import run

VERSION = Path("datasets/v1")


def main() -> None:
    """Read clips, measurements and verdicts; write a caption row for each clip."""
    params = load_params(CaptionParams, "caption")
    vault = Vault()
    clips = read_rows(VERSION / "ingest/clips", ClipRow, vault)
    measured = read_rows(VERSION / "qc/measure", MeasureRow, vault)
    verdicts = read_rows(VERSION / "qc/decide", VerdictRow, vault)
    # What else a caption depends on is in its captioner's version, and not where a server is or how often it is asked.
    memo = Memo(state().memo("caption"), digest_of([code_digest("caption"), params.seed, params.statements]))
    captioner, instead = make_captioner(params), RuleBased.begin(params)
    rows, counters = caption_all(
        clips,
        measured,
        verdicts,
        captioner,
        memo=memo,
        store=ClipStore(VERSION),
        instead=instead,
        params=params,
        engine=chosen_engine(),
    )
    write_manifest(
        VERSION / "captions",
        rows,
        row_model=CaptionRow,
        stage="caption",
        key=lambda row: row.clip_id,
        params_digest=params.digest(),
        inputs={
            "clips": read_head(VERSION / "ingest/clips").merkle_root,
            "qc_measure": read_head(VERSION / "qc/measure").merkle_root,
            "qc_decide": read_head(VERSION / "qc/decide").merkle_root,
        },
        expect_ids={clip.clip_id for clip in clips},
        vault=vault,
    )
    record_counters("caption", counters)


if __name__ == "__main__":
    run(main)
