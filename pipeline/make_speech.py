"""Stage make_speech: speak the sentences of the speech dataset, and take people's recordings in, with exact times."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from aiprod.base.code_identity import code_digest
from aiprod.base.files import atomic_folder, digest_of
from aiprod.base.params import load_params
from aiprod.base.progress import log
from aiprod.base.stage import Counters, record_counters
from aiprod.base.state import state
from aiprod.executors.types import default_workers
from aiprod.printable import escape_controls
from aiprod.rights.agreements import Terms, lapsed, load_consents
from aiprod.rights.declarations import load_sources
from aiprod.speech.corpus import SOURCE, MakeSpeechParams, make_corpus, plans
from aiprod.speech.outcomes import tell_outcomes
from aiprod.speech.recordings import Recordings
from aiprod.speech.rows import SpeechRow
from aiprod.speech.taught import loaded_teachers, make_taught, taught_plans
from aiprod.speech.text_to_phones import G2P, VERSION
from aiprod.storage.crypto.film_encryption import Vault
from aiprod.storage.manifest.manifest import write_manifest
from aiprod.storage.result_cache import Memo
from pipeline.running import run

OUT = Path("datasets/v1/speech")


def main() -> None:
    """Write sounds and a row each."""
    params, vault = load_params(MakeSpeechParams, "make_speech"), Vault()
    counters = Counters()
    loaded = loaded_teachers(params.teachers)
    drawn = plans(params)
    texts = {plan.text for plan in drawn}
    to_teach = taught_plans(params.teachers, loaded, params.seed, params.heldout_fraction, texts)
    facts = {"teachers": {name: teacher.name for name, teacher in loaded.items()}} if loaded else {}
    with atomic_folder(OUT) as folder:
        synthetic = make_corpus(params, folder, default_workers())
        synthetic += make_taught(to_teach, loaded, folder, default_workers())
        recorded = list(_recordings(params, vault).rows(params.folders, folder, counters)) if params.folders else []
        rows = [*synthetic, *recorded]
        seconds = round(sum(row.seconds or 0 for row in rows), 3)
        write_manifest(
            folder,
            rows,
            row_model=SpeechRow,
            stage="make_speech",
            key=lambda row: row.utterance_id,
            params_digest=params.digest(),
            inputs={},
            facts={"g2p": G2P, "g2p_version": VERSION, "seconds": seconds, **facts},
            expect_ids={p.utterance_id for p in drawn}
            | {p.utterance_id for p in to_teach}
            | {r.utterance_id for r in recorded},
            vault=vault,
        )
    tell_outcomes("taught sentence", [row for row in synthetic if row.source_id != SOURCE])
    tell_outcomes("recording", recorded)
    counters.processed += len(synthetic)
    counters.failed = sum(row.status == "refused" for row in rows)
    record_counters("make_speech", counters)


def _recordings(params: MakeSpeechParams, vault: Vault) -> Recordings:
    consents, sources = load_consents(), load_sources()
    code = digest_of([code_digest("make_speech", Recordings.__module__)])
    return Recordings(
        sources=sources,
        terms=Terms(consents, frozenset(lapsed(sources, consents, dt.date.today()))),
        vault=vault,
        memo=Memo(state().memo("make_speech"), code),
        heldout_fraction=params.heldout_fraction,
        seed=params.seed,
        log=lambda line: log(escape_controls(line)),
    )


if __name__ == "__main__":
    run(main)
