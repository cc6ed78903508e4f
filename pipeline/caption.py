"""Stage caption: describe each clip from what was measured and what its source declares."""

from __future__ import annotations

from collections import Counter
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
from aiprod.captions.stage import caption_all, made_from
from aiprod.data.rows import ClipRow
from aiprod.executors.executor import chosen_engine
from aiprod.qc.rows import MeasureRow, VerdictRow
from aiprod.storage.clip_store import ClipStore
from aiprod.storage.crypto.film_encryption import Vault
from aiprod.storage.manifest.carried import Carried
from aiprod.storage.manifest.manifest import LeavedTable, iter_columns, read_head, write_manifest
from aiprod.storage.result_cache import Memo
from pipeline.running import run

VERSION = Path("datasets/v1")


def main() -> None:
    """Read clips, measurements and verdicts; write a caption row for each clip."""
    params = load_params(CaptionParams, "caption")
    vault = Vault()
    clips = LeavedTable(VERSION / "ingest/clips", ClipRow, "clip_id", vault)
    measured = LeavedTable(VERSION / "qc/measure", MeasureRow, "clip_id", vault)
    judged = {
        n: s
        for part in iter_columns(VERSION / "qc/decide", VerdictRow, ("clip_id", "status"))
        for n, s in zip(part["clip_id"], part["status"], strict=True)
    }
    # What else a caption depends on is in its captioner's version, and not where a server is or how often it is asked.
    memo = Memo(state().memo("caption"), digest_of([code_digest("caption"), params.seed, params.statements]))
    captioner, instead = make_captioner(params), RuleBased.begin(params)
    context = digest_of([memo.context, params.digest(), *([by.name, by.version] for by in (captioner, instead))])
    carried = Carried(state().carried("caption"), context)
    from_what = made_from(clips, measured, judged)
    carried.take_over(carried.same(from_what), from_what)
    new = clips.without(carried.ids)
    rows, counters = caption_all(
        new,
        measured.of({clip.clip_id for clip in new}),
        judged,
        captioner,
        memo=memo,
        store=ClipStore(VERSION),
        instead=instead,
        params=params,
        engine=chosen_engine(),
        per_film=Counter(clips.cells("film_id")),
    )
    counters.reused += len(carried.ids)
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
        expect_ids=clips.ids,
        vault=vault,
        carried=carried,
    )
    record_counters("caption", counters)


if __name__ == "__main__":
    run(main)
