"""Stage make_speech: speak the sentences of the speech dataset, with the times of every phone and word."""

from __future__ import annotations

from pathlib import Path

from aiprod.base.files import atomic_folder
from aiprod.base.params import load_params
from aiprod.base.stage import Counters, record_counters
from aiprod.executors.types import default_workers
from aiprod.speech.corpus import MakeSpeechParams, make_corpus, plans
from aiprod.speech.rows import SpeechRow
from aiprod.speech.text_to_phones import G2P, VERSION
from aiprod.storage.manifest.manifest import write_manifest
from pipeline.running import run

OUT = Path("datasets/v1/speech")


def main() -> None:
    """Write sounds and a row each."""
    params = load_params(MakeSpeechParams, "make_speech")
    with atomic_folder(OUT) as folder:
        rows = make_corpus(params, folder, default_workers())
        write_manifest(
            folder,
            rows,
            row_model=SpeechRow,
            stage="make_speech",
            key=lambda row: row.utterance_id,
            params_digest=params.digest(),
            inputs={},
            facts={"g2p": G2P, "g2p_version": VERSION, "seconds": round(sum(row.seconds or 0 for row in rows), 3)},
            expect_ids={plan.utterance_id for plan in plans(params)},
        )
    record_counters("make_speech", Counters(processed=len(rows)))


if __name__ == "__main__":
    run(main)
