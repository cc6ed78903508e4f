"""Stage ingest: check rights, take films in, split them into shots, normalise each shot."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from aiprod.base.code_identity import code_digest
from aiprod.base.denials import log_refusals
from aiprod.base.files import digest_of
from aiprod.base.params import load_params, load_value
from aiprod.base.progress import log
from aiprod.base.stage import record_counters
from aiprod.base.state import state
from aiprod.data.ingest.build_rows import denial_of, outcomes_of, refusal_line
from aiprod.data.ingest.denied_prints import DeniedPrints, forget_rows
from aiprod.data.ingest.ingest import ingest
from aiprod.data.ingest.known_films import KnownFilms, context_of
from aiprod.data.params import IngestParams
from aiprod.data.rows import ClipRow, DeniedFilmRow, FilmRow
from aiprod.data.sources.registry import SOURCES, load_sources
from aiprod.data.sources.scan import load_offers
from aiprod.errors import AiprodError
from aiprod.executors.executor import chosen_engine
from aiprod.printable import counted, escape_controls
from aiprod.qc.measure.denied_prints import prints_of_film
from aiprod.rights.agreements import Terms, load_consents
from aiprod.storage.clip_store import ClipStore
from aiprod.storage.crypto.film_encryption import Vault
from aiprod.storage.manifest.carried import Carried
from aiprod.storage.manifest.manifest import Row, write_manifest
from aiprod.storage.result_cache import Memo
from pipeline.running import run

VERSION = Path("datasets/v1")
TAKING_IN = "aiprod.data.ingest.ingest_film"
"""What makes a film's result, with the sources that generate films; rights and transport have no part in it."""


def main() -> None:
    """Take in what the list of offers names, and write a row for each film and clip."""
    params, seed, vault = load_params(IngestParams, "ingest"), int(load_value("seed")), Vault()
    offers, sources = load_offers(VERSION / "offers.json", vault), load_sources()
    making = [code_digest("ingest", kind.__module__) for kind in SOURCES if kind.generated]
    memo = Memo(state().memo("ingest"), digest_of([code_digest("ingest", TAKING_IN), *making, params.work_digest()]))
    of_denied = digest_of([code_digest("ingest", prints_of_film.__module__), params.watching_digest()])
    denied = DeniedPrints(prints_of_film, Memo(state().memo("denied_prints"), of_denied))
    store, consents = ClipStore(VERSION), load_consents()
    decides = [code_digest("ingest"), params.digest(), seed, sources.model_dump(mode="json"), offers.lapsed]
    agreed = [consent.model_dump(mode="json") for consent in consents.values()]
    known = KnownFilms(
        memo, context_of(memo, *decides, agreed, [stone.document() for _, stone in sorted(vault.tombstones.items())])
    )
    films, clips, counters = ingest(
        offers,
        sources,
        params,
        seed=seed,
        terms=Terms(consents, frozenset(offers.lapsed)),
        memo=memo,
        store=store,
        engine=chosen_engine(),
        vault=vault,
        denied=denied,
        known=known,
    )
    try:
        store.pack("raw", "processed", digests=known.digests())
    except AiprodError:  # a known file may hold other bytes than it did when it was last read
        known.forget()
        raise
    tables: list[tuple[str, Sequence[Row], type[Row], Callable[[Any], str], Carried | None]] = [
        ("films", films, FilmRow, lambda row: row.film_id, known.films),
        ("clips", clips, ClipRow, lambda row: row.clip_id, known.clips),
        *([("denied", denied.rows, DeniedFilmRow, lambda row: row.film_id, None)] if denied.rows else []),
    ]
    if not denied.rows:
        forget_rows(VERSION / "ingest" / "denied")
    for name, rows, model, key, carried in tables:
        write_manifest(
            VERSION / "ingest" / name,
            rows,
            row_model=model,
            stage="ingest",
            key=key,
            params_digest=params.digest(),
            inputs={"offers": offers.digest(), "sources": digest_of(sources.model_dump(mode="json"))},
            expect_ids={*(key(row) for row in rows), *(carried.ids if carried is not None else ())},
            vault=vault,
            carried=carried,
        )
    n_films, n_clips = len(films) + len(known.films.ids), len(clips) + len(known.clips.ids)
    log(f"ingest: {counted(n_films, 'film')} ({outcomes_of(films, len(known))}), {counted(n_clips, 'clip')}")
    refused = [f for f in films if f.effective_right == "deny" or any(r.startswith("reserved:") for r in f.reasons)]
    for film in refused:
        log(f"  refused {escape_controls(refusal_line(film, seen=sys.stderr.isatty()))}")
    log_refusals([denial_of(film) for film in refused], once=True)
    record_counters("ingest", counters)


if __name__ == "__main__":
    run(main)
