"""Takes in everything that was offered: rights first, then each film in a worker, then rows for all of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from aiprod.base.files import write_json
from aiprod.base.progress import log
from aiprod.base.stage import Counters
from aiprod.data.ingest.build_rows import clip_rows, erased_row, film_row, raw_name
from aiprod.data.ingest.denied_prints import DeniedPrints
from aiprod.data.ingest.film_state import (
    OfferedFilm,
    apply_embedded_statements,
    judged,
    mark_duplicates,
    mark_erased,
    same_bytes_private,
    same_bytes_strictest,
    same_packets_strictest,
)
from aiprod.data.ingest.ingest_film import RESERVED, UNREADABLE, FetchRequest, IngestJob, ingest_film, part_of
from aiprod.data.ingest.known_films import KnownFilms, listed_at
from aiprod.data.ingest.packet_digests import know_packets, remember_packets
from aiprod.data.params import IngestParams
from aiprod.data.retries import try_again
from aiprod.data.rows import ClipRow, FilmRow, clip_id_of
from aiprod.data.sources.base import Offer
from aiprod.data.sources.registry import source_of
from aiprod.data.sources.scan import Offers
from aiprod.executors.executor import ordered_map
from aiprod.executors.types import Bounds, Engine
from aiprod.media.normalising import VERSION
from aiprod.rights.agreements import Terms
from aiprod.rights.declarations import SourcesFile
from aiprod.rights.right import Right
from aiprod.storage.clip_store import ClipStore, Kind
from aiprod.storage.crypto.film_encryption import Vault
from aiprod.storage.result_cache import Memo

AGAIN = "again.json"
"""In the folder of raw films, on which qc_measure alone depends, if that stage is to try something again."""


def ingest(
    offers: Offers,
    sources: SourcesFile,
    params: IngestParams,
    *,
    seed: int,
    memo: Memo,
    store: ClipStore,
    terms: Terms | None = None,
    engine: Engine = "local",
    vault: Vault | None = None,
    denied: DeniedPrints | None = None,
    known: KnownFilms | None = None,
) -> tuple[list[FilmRow], list[ClipRow], Counters]:
    """Take in all offers.

    Nothing that a refused film shows is stored. Of one that is here a digest of its packets is remembered and, where
    the policy allows, a fingerprint; remote ones are not fetched.
    Films that were ingested before with the same bytes, code and parameters come from the memo.

    Args:
        seed: of the split into training and held-out films.
        store: where raw and processed objects go; what is there from before is replaced.
        terms: consent records, and the agreements that have lapsed.
        engine: where films are ingested; the result is the same.
        vault: encrypts films whose basis for personal data is anything but ``none``, and knows which were erased.
        denied: takes the fingerprints of denied films.
        known: films of which the last run's rows are taken over.

    Returns:
        A row for each offer, a row for each shot, and what was done; without rows of known films.
    """
    vault = vault or Vault()
    known = KnownFilms(memo) if known is None else known

    def judge(some: Iterable[Offer]) -> list[OfferedFilm]:
        return [judged(offer, sources.get(offer.source_id), terms, vault) for offer in some]

    films = judge(known.choose(offers.offers))
    same_bytes_private(films)
    same_bytes_strictest(films)
    know_packets(films, params, memo, engine, others=len(known) > 0)
    films = in_order(films + judge(known.release(film.packets for film in films)))
    same_packets_strictest(films)
    counters = _ingest_films([f for f in films if f.right.permits_training], sources, params, memo, engine)
    if more := judge(known.release(digest for film in films for digest in (film.content, film.packets))):
        counters.reused += _ingest_films(more, sources, params, memo, engine).reused
        films = in_order(films + more)
    apply_embedded_statements(films, terms)
    same_bytes_strictest(films)  # of a remote film the bytes are known only now
    mark_erased(films)
    remember_packets(same_packets_strictest(films), params, memo)
    mark_duplicates(films)
    if denied is not None:
        denied.collect(films, params, engine, others=len(known) > 0)
    rows = [film_row(film) for film in films]
    taken = {row.film_id for row in rows}.union(known.films.ids)
    rows += [erased_row(e.film_id, e.source_id) for e in offers.erased if e.film_id not in taken]
    shots = [row for film in films for row in clip_rows(film, seed, params.heldout_fraction)]
    _store(films, memo, store, offers.again, known)
    known.remember(films)
    counters.reused += len(known)
    return rows, shots, counters


def in_order(films: Iterable[OfferedFilm]) -> list[OfferedFilm]:
    """Films in the order in which scan lists them."""
    return sorted(films, key=lambda film: listed_at(film.offer))


def _ingest_films(
    films: list[OfferedFilm], sources: SourcesFile, params: IngestParams, memo: Memo, engine: Engine
) -> Counters:
    counters, reused = Counters(), set[str]()
    waiting: list[tuple[OfferedFilm, IngestJob]] = []
    for film in films:
        if film.error is not None:
            continue
        offer, source = film.offer, source_of(film.offer.source_id, film.source, params)
        private = film.film_id if film.private else None
        path = source.path_of(offer)
        job = IngestJob(
            None if path is None else str(path),
            FetchRequest(source, offer, part_of(offer)) if path is None else None,
            offer.sha256,
            memo.key(private or offer.sha256, VERSION),
            memo,
            params,
            private,
        )
        known = memo.get(job.key)
        if known is not None:
            film.result, film.place = known
            reused.add(film.film_id)
        else:
            waiting.append((film, job))
    todo: dict[str, list[tuple[OfferedFilm, IngestJob]]] = {}
    for film, job in waiting:
        todo.setdefault(job.key, []).append((film, job))  # two offers of the same bytes are one job
    jobs = [group[0][1] for group in todo.values()]
    bounds = Bounds(deadline_s=params.deadline_s, memory_bytes=int(params.memory_gib * 2**30))
    outcomes = ordered_map(
        ingest_film,
        jobs,
        workers=params.workers,
        bounds=bounds,
        description="ingest" if jobs else "",
        engine=engine,
        confined=True,
        film_s=lambda _, seconds: seconds,
    )
    faults: dict[str, bool] = {}
    for (key, group), outcome in zip(todo.items(), outcomes, strict=True):
        kept = memo.kept(key) if outcome.ok else None
        if kept is None:  # what is known to be a film's own fault is kept, too
            faults[key] = outcome.reason.startswith(f"{UNREADABLE}:")
        for film, _ in group:
            if kept is not None:
                film.result, film.place = kept
            else:
                film.error = outcome.reason or "the result could not be kept"
    if left := try_again("ingest", faults):
        log(f"ingest: {left} could not be ingested this time; the next `dvc repro` retries")
    for film in films:
        error = film.result["error"] if film.result is not None else None
        if error is not None and error.startswith(f"{RESERVED}:"):  # of a remote film it is known only now
            film.right = Right.DENY
            film.reasons.append(error)
        elif error is not None:
            film.error = error
    counters.failed = sum(1 for film in films if film.error is not None)
    counters.reused = sum(1 for film in films if film.error is None and film.film_id in reused)
    counters.processed = len(films) - counters.failed - counters.reused
    return counters


def _store(films: list[OfferedFilm], memo: Memo, store: ClipStore, again: Mapping[str, int], known: KnownFilms) -> None:
    """Link raw films, their ground truth and clips into the outputs, and say what qc_measure is to try again."""
    raw: dict[str, tuple[Path, str]] = {}
    processed: dict[str, tuple[Path, str]] = {}
    truths: dict[str, Any] = {}
    for film in films:
        if film.status != "ok" or film.result is None or film.place is None:
            continue
        raw[raw_name(film)] = (film.place, film.result["raw"])
        if film.result["truth"] is not None:
            truths[f"{film.film_id}.truth.json"] = film.result["truth"]
        for clip in film.result["clips"]:
            if clip["file"]:
                processed[f"{clip_id_of(film.film_id, clip['index'])}.mp4"] = (film.place, clip["file"])
    tries = {AGAIN: {"qc_measure": again["qc_measure"]}} if again.get("qc_measure") else {}
    names: dict[Kind, set[str]] = {"raw": raw.keys() | truths.keys() | tries.keys(), "processed": set(processed)}
    for kind, name, _ in known.objects():
        names[kind].add(name)
    for kind, kept_names in names.items():
        store.keep_only(kind, kept_names)
    known.link(store)
    for name, (place, kept) in raw.items():
        memo.link(place, kept, store.path("raw", name))
    for name, (place, kept) in processed.items():
        memo.link(place, kept, store.path("processed", name))
    for name, value in {**truths, **tries}.items():
        write_json(store.path("raw", name), value)
