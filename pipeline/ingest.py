"""Stage ingest: check rights, take films in, split them into shots, normalise each shot."""

from __future__ import annotations

from pathlib import Path

from aiprod.base.files import digest_of
from aiprod.base.manifest import write_manifest
from aiprod.base.memo import Memo
from aiprod.base.params import load_params, load_value
from aiprod.base.progress import say
from aiprod.base.stage import code_digest, record_counters, run
from aiprod.base.state import state
from aiprod.data.clip_store import ClipStore
from aiprod.data.engine import chosen_engine
from aiprod.data.ingest import ingest
from aiprod.data.offers import load_offers
from aiprod.data.params import IngestParams
from aiprod.data.rows import ClipRow, FilmRow
from aiprod.data.sources import load_sources
from aiprod.governance.rights import effective_right

VERSION = Path("datasets/v1")


def main() -> None:
    params, seed = load_params(IngestParams, "ingest"), int(load_value("seed"))
    offers, sources = load_offers(VERSION / "offers.json"), load_sources()
    memo = Memo(state().memo("ingest"), digest_of([code_digest("ingest"), params.work_digest()]))
    films, clips, counters = ingest(
        offers, sources, params, seed=seed, decide=effective_right, memo=memo, store=ClipStore(VERSION),
        engine=chosen_engine(),
    )  # fmt: skip
    inputs = {
        "offers": digest_of(offers.model_dump(mode="json")),
        "sources": digest_of(sources.model_dump(mode="json")),
    }
    for name, rows, model, key in (
        ("films", films, FilmRow, lambda row: row.film_id), ("clips", clips, ClipRow, lambda row: row.clip_id),
    ):  # fmt: skip
        write_manifest(
            VERSION / "ingest" / name, rows, row_model=model, stage="ingest", key=key, params_digest=params.digest(),
            inputs=inputs, expect_ids={key(row) for row in rows},
        )  # fmt: skip
    counts = {status: sum(film.status == status for film in films) for status in ("ok", "refused", "error")}
    told = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
    say(f"ingest: {len(films)} films ({told}), {len(clips)} clips")
    for film in films:
        if film.status == "refused" and film.duplicate_of is None:
            say(f"  refused {film.source_id}/{film.key}: {film.reasons[-1]}")
    record_counters("ingest", counters)


if __name__ == "__main__":
    run(main)
