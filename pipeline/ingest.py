"""Stage ingest: check rights, take films in, split them into shots, normalise each shot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from aiprod.base.code_identity import code_digest
from aiprod.base.files import digest_of
from aiprod.base.params import load_params, load_value
from aiprod.base.progress import log
from aiprod.base.stage import record_counters
from aiprod.base.state import state
from aiprod.data.ingest.build_rows import log_refused
from aiprod.data.ingest.denied_prints import DeniedPrints, forget_rows
from aiprod.data.ingest.ingest import ingest
from aiprod.data.ingest.known_films import KnownFilms, context_of, outcomes_of
from aiprod.data.params import IngestParams
from aiprod.data.rows import ClipRow, DeniedFilmRow, FilmRow
from aiprod.data.sources.registry import SOURCES, load_sources
from aiprod.data.sources.scan import load_offers
from aiprod.executors.executor import chosen_engine
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
    known = KnownFilms(memo, context_of(memo, params, sources, consents, vault, seed=seed, lapsed=offers.lapsed))
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
    known.pack(store)
    tables: list[tuple[str, Sequence[Row], type[Row], Callable[[Any], str], Carried | None]] = [
        ("films", films, FilmRow, lambda row: row.film_id, known.films),
        ("clips", clips, ClipRow, lambda row: row.clip_id, known.clips),
        *([("denied", denied.rows, DeniedFilmRow, lambda row: row.film_id, None)] if denied.rows else []),
    ]
    if not denied.rows:
        forget_rows(VERSION / "ingest" / "denied")
    inputs = {"offers": offers.digest(), "sources": digest_of(sources.model_dump(mode="json"))}
    for name, rows, model, key, carried in tables:
        write_manifest(
            VERSION / "ingest" / name,
            rows,
            row_model=model,
            stage="ingest",
            key=key,
            params_digest=params.digest(),
            inputs=inputs,
            expect_ids={*map(key, rows), *(carried.ids if carried is not None else ())},
            vault=vault,
            carried=carried,
        )
    log(f"ingest: {outcomes_of(films, clips, known)}")
    log_refused(films)
    record_counters("ingest", counters)


if __name__ == "__main__":
    run(main)
