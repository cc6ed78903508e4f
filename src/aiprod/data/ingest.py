"""Takes in everything that was offered: rights first, then each film in a worker, then rows for all of them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiprod.base.files import write_json
from aiprod.base.memo import CIPHERTEXT, Memo
from aiprod.base.sealed_rows import BLANK
from aiprod.base.stage import Counters
from aiprod.base.state import state
from aiprod.base.tombstones import REASON
from aiprod.base.vault import Vault
from aiprod.data.clip_store import ClipStore
from aiprod.data.demo_corpus.plan import plan_corpus
from aiprod.data.engine import Bounds, Engine, ordered_map
from aiprod.data.offers import Offer, Offers, folder_of, place_of
from aiprod.data.params import IngestParams
from aiprod.data.remote import is_remote
from aiprod.data.rows import ClipRow, FilmRow, clip_id_of, film_id_of, split_of
from aiprod.data.sources import DecideRights, RightsDecision, SidecarRecord, SourceDeclaration, SourcesFile, layers
from aiprod.data.take_in import RESERVED, Job, take_in

_STRICTER = {"deny": 0, "train_with_obligations": 1, "train": 2}


@dataclass
class _Film:
    """One offer on its way to a row."""

    offer: Offer
    source: SourceDeclaration
    rights: RightsDecision
    vault: Vault
    private: bool = False
    erased: bool = False
    result: dict[str, Any] | None = None
    place: Path | None = None
    error: str | None = None
    reasons: list[str] = field(default_factory=list)
    duplicate_of: str | None = None
    right: str = ""
    obligations: list[str] = field(default_factory=list)

    @property
    def film_id(self) -> str:
        if self.private:  # from what scan knew, for the film is encrypted under this id while it is taken in
            return self.vault.private_film_id(self.offer.source_id, self.offer.key, self.offer.sha256)
        return film_id_of(self.offer.source_id, self.offer.key, self.content or "")

    @property
    def name(self) -> str:
        """How other films' rows may speak of it."""
        return self.film_id if self.private else f"{self.offer.source_id}/{self.offer.key}"

    @property
    def content(self) -> str | None:
        return self.result["sha256"] if self.result else (self.offer.sha256 or None)

    @property
    def status(self) -> str:
        if self.erased:
            return "erased"
        if self.right == "deny" or self.duplicate_of is not None:
            return "refused"
        return "error" if self.error is not None else "ok"


def ingest(
    offers: Offers, sources: SourcesFile, params: IngestParams, *, seed: int, decide: DecideRights, memo: Memo,
    store: ClipStore, engine: Engine = "local", vault: Vault | None = None,
) -> tuple[list[FilmRow], list[ClipRow], Counters]:  # fmt: skip
    """Take in all offers.

    Refused films are not opened and nothing of them is stored. Films that were taken in before with the same bytes,
    code and parameters come from the memo.

    Args:
        seed: of the split into training and held-out films.
        decide: the rights function of governance.
        store: where raw and processed objects go; what is there from before is replaced.
        engine: where films are taken in; the result is the same.
        vault: encrypts films whose basis for personal data is anything but ``none``, and knows which were erased.

    Returns:
        A row for each offer, a row for each shot, and what was done.
    """
    vault = vault or Vault()
    films = [_judged(offer, sources.get(offer.source_id), decide, vault) for offer in offers.offers]
    _same_bytes_private(films)
    _same_bytes_strictest(films)
    counters = _take_in_all([f for f in films if f.right != "deny"], sources, params, memo, engine)
    _same_bytes_strictest(films)  # of a remote film the bytes are known only now
    _mark_erased(films)
    _mark_duplicates(films)
    film_rows = [_film_row(film) for film in films]
    taken = {row.film_id for row in film_rows}
    film_rows += [_erased_row(e.film_id, e.source_id) for e in offers.erased if e.film_id not in taken]
    clip_rows = [row for film in films for row in _clip_rows(film, seed, params.heldout_fraction)]
    _store(films, memo, store)
    return film_rows, clip_rows, counters


def _judged(offer: Offer, source: SourceDeclaration, decide: DecideRights, vault: Vault) -> _Film:
    side = offer.sidecar
    if offer.reservation is not None:
        side = (side or SidecarRecord()).model_copy(update={"training_mining": offer.reservation})
    rights = decide(source, side)
    film = _Film(
        offer, source, rights, vault, error=offer.problem, right=rights.right, obligations=list(rights.obligations)
    )
    film.private = source.adapter != "demo" and layers(source, offer.sidecar)["personal_data_basis"] != "none"
    if rights.right == "deny":
        film.reasons = list(rights.reasons)
        if offer.sidecar is None and source.media_license == "per-file":
            film.reasons.append(
                "no sidecar mentions this file: add a line `file,license,attribution` to a CSV in its folder, or set "
                f"`files_without_sidecar` of the source {offer.source_id} in datasets/sources.yaml (`own` = yours)"
            )
    return film


def _same_bytes_private(films: list[_Film]) -> None:
    """Bytes that one offer says to hold personal data hold them in every offer."""
    personal = {film.offer.sha256 for film in films if film.private and film.offer.sha256}
    for film in films:
        film.private = film.private or film.offer.sha256 in personal


def _same_bytes_strictest(films: list[_Film]) -> None:
    """The same bytes offered twice take the strictest of their rights."""
    by_content: dict[str, list[_Film]] = {}
    for film in films:
        if film.content:
            by_content.setdefault(film.content, []).append(film)
    for group in by_content.values():
        _strictest(group)


def _strictest(group: list[_Film]) -> None:
    strict = min(group, key=lambda f: _STRICTER[f.right])
    for film in group:
        film.obligations = sorted({o for f in group for o in f.obligations})
        if _STRICTER[strict.right] < _STRICTER[film.right]:
            film.right = strict.right
            if strict.right == "deny":
                film.reasons.append(f"the same film is offered by {strict.offer.source_id} without the right to train")


def _take_in_all(
    films: list[_Film], sources: SourcesFile, params: IngestParams, memo: Memo, engine: Engine
) -> Counters:
    counters = Counters()
    plans = {plan.key: plan for plan in plan_corpus(params.demo)}
    waiting: list[tuple[_Film, Job]] = []
    for film in films:
        if film.error is not None:
            counters.failed += 1
            continue
        offer, source = film.offer, film.source
        demo = source.adapter == "demo"
        private = film.film_id if film.private else None
        stated = "" if demo else place_of(offer.source_id, source, params)
        away = is_remote(stated)
        path = None if demo or away else str(folder_of(offer.source_id, source, params) / offer.key)
        job = Job(
            path,
            plans[offer.key] if demo else None,
            "" if demo else offer.sha256,
            memo.key(private or offer.sha256),
            memo,
            params,
            (stated, offer.key, state().cache("remote") / f"{offer.sha256}.part") if away else None,
            private,
        )
        known = memo.get(job.key)
        if known is not None:
            film.result, film.place = known
            counters.reused += 1
        else:
            waiting.append((film, job))
    todo: dict[str, list[tuple[_Film, Job]]] = {}
    for film, job in waiting:
        todo.setdefault(job.key, []).append((film, job))  # two offers of the same bytes are one job
    jobs = [group[0][1] for group in todo.values()]
    bounds = Bounds(deadline_s=params.deadline_s, memory_bytes=int(params.memory_gib * 2**30))
    outcomes = ordered_map(
        take_in, jobs, workers=params.workers, bounds=bounds, description="ingest" if jobs else "", engine=engine,
        film_s=lambda _, seconds: seconds,
    )  # fmt: skip
    for group, outcome in zip(todo.values(), outcomes, strict=True):
        kept = memo.get(group[0][1].key) if outcome.ok else None
        for film, _ in group:
            if kept is not None:
                film.result, film.place = kept
                counters.processed += 1
            else:
                film.error = outcome.reason or "the result could not be kept"
    for film in films:
        said = film.result["error"] if film.result is not None else None
        if said is not None and said.startswith(f"{RESERVED}:"):  # of a remote film it is known only now
            film.right = "deny"
            film.reasons.append(said)
        elif said is not None:
            film.error = said
    counters.failed += sum(1 for film in films if film.error is not None and film.offer.problem is None)
    return counters


def _mark_erased(films: list[_Film]) -> None:
    """A film that was erased and comes again in another wrapping is what it was."""
    for film in films:
        packets = film.result["packets_sha256"] if film.result is not None else None
        if packets and film.vault.tombstone_for(content=film.content, packets=packets) is not None:
            film.erased = True
            if film.place is not None:
                shutil.rmtree(film.place, ignore_errors=True)
            if film.private:
                film.vault.keys.destroy(film.film_id)


def _mark_duplicates(films: list[_Film]) -> None:
    """Among films with the same packets, keep the first by source and key; the strictest rights rule all of them."""
    groups: dict[str, list[_Film]] = {}
    for film in films:
        if film.status == "ok" and film.result is not None and film.result["packets_sha256"]:
            groups.setdefault(film.result["packets_sha256"], []).append(film)
    for group in groups.values():
        if len(group) < 2:
            continue
        _strictest(group)
        first = min(group, key=lambda film: not film.private)  # offers are sorted by source and key
        for film in group:
            if film is first:
                continue
            film.duplicate_of = first.film_id
            film.reasons.append(f"duplicate: the same pictures and sound as {first.name}")
            if first.private and not film.private and film.place is not None:  # the same persons, said to be nobody
                shutil.rmtree(film.place, ignore_errors=True)


def _film_row(film: _Film) -> FilmRow:
    if film.erased:
        return _erased_row(film.film_id, film.offer.source_id)
    offer, side, result = film.offer, film.offer.sidecar, film.result or {}
    stated = layers(film.source, side)
    truth = result.get("truth")
    labels = [*film.source.labels, *(side.labels if side else [])]
    if truth is not None:
        labels = list(dict.fromkeys([*labels, *(label for scene in truth["scenes"] for label in scene["labels"])]))
    ok = film.status == "ok"
    return FilmRow(
        film_id=film.film_id,
        source_id=offer.source_id,
        key=offer.key,
        title=(side.title if side else None) or (truth["scenes"][0]["sentence"] if truth else None),
        description=side.description if side else None,
        status=film.status,  # type: ignore[arg-type]
        reasons=[*film.reasons, *([film.error] if film.error else []), *(result.get("notes") or [])],
        content_sha256=film.content,
        packets_sha256=result.get("packets_sha256"),
        size_bytes=result.get("size", offer.size),
        raw_name=_raw_name(film) if ok else None,
        facts=result.get("facts"),
        rights=stated,
        effective_right=film.right,  # type: ignore[arg-type]
        rights_proof=list(film.rights.proof),
        obligations=film.obligations,
        labels=labels,
        attribution=(side.attribution if side else None) or film.source.attribution,
        url=(side.url if side else None) or film.source.url,
        origin=side.origin if side else None,
        media_license=stated["media_license"],
        license_evidence=side.license_evidence if side else None,
        consent_ref=side.consent_ref if side else None,
        personal_data_basis=stated["personal_data_basis"],
        duplicate_of=film.duplicate_of,
        n_clips=len(result.get("clips") or []) if ok else 0,
    )


def _erased_row(film_id: str, source_id: str) -> FilmRow:
    return FilmRow(film_id=film_id, source_id=source_id, key=BLANK, status="erased", reasons=[REASON])


def _raw_name(film: _Film) -> str:
    assert film.result is not None
    return f"{film.film_id}.{str(film.result['raw']).rsplit('.', 1)[1]}"


def _clip_rows(film: _Film, seed: int, heldout: float) -> Iterator[ClipRow]:
    if film.status != "ok" or film.result is None:
        return
    side, truth = film.offer.sidecar, film.result["truth"]
    for clip in film.result["clips"]:
        scene = _scene_at(truth, clip["start_s"]) if truth else None
        labels = [*film.source.labels, *(side.labels if side else []), *(scene["labels"] if scene else [])]
        clip_id = clip_id_of(film.film_id, clip["index"])
        yield ClipRow(
            clip_id=clip_id,
            film_id=film.film_id,
            source_id=film.offer.source_id,
            shot_index=clip["index"],
            start_s=clip["start_s"],
            end_s=clip["end_s"],
            frames=clip["frames"],
            fps=clip["fps"],
            width=clip["width"],
            height=clip["height"],
            has_audio=clip["has_audio"],
            status=clip["status"],
            reasons=clip["reasons"],
            processed_name=f"{clip_id}.mp4" if clip["file"] else None,
            processed_sha256=film.result[CIPHERTEXT].get(clip["file"]) if film.private else clip["sha256"],
            split=split_of(film.film_id, seed, heldout),
            steps=clip["steps"],
            labels=list(dict.fromkeys(labels)),
            title=(side.title if side else None) or (scene["sentence"] if scene else None),
            description=side.description if side else None,
            ground_truth=None if truth is None else {**truth, "scenes": [scene] if scene else []},
        )


def _scene_at(truth: dict[str, Any], start_s: float) -> dict[str, Any]:
    """The scene of a demo film in which a shot begins."""
    begun = [scene for scene in truth["scenes"] if scene["start_s"] <= start_s + 0.05]
    return dict(begun[-1])


def _store(films: list[_Film], memo: Memo, store: ClipStore) -> None:
    """Link raw films, their ground truth and clips into the outputs."""
    raw: dict[str, tuple[Path, str]] = {}
    processed: dict[str, tuple[Path, str]] = {}
    truths: dict[str, Any] = {}
    for film in films:
        if film.status != "ok" or film.result is None or film.place is None:
            continue
        raw[_raw_name(film)] = (film.place, film.result["raw"])
        if film.result["truth"] is not None:
            truths[f"{film.film_id}.truth.json"] = film.result["truth"]
        for clip in film.result["clips"]:
            if clip["file"]:
                processed[f"{clip_id_of(film.film_id, clip['index'])}.mp4"] = (film.place, clip["file"])
    store.keep_only("raw", raw.keys() | truths.keys())
    store.keep_only("processed", set(processed))
    for name, (place, kept) in raw.items():
        memo.link(place, kept, store.path("raw", name))
    for name, (place, kept) in processed.items():
        memo.link(place, kept, store.path("processed", name))
    for name, truth in truths.items():
        write_json(store.path("raw", name), truth)
