"""What the enabled sources offer now: one entry per film, with its size, its digest and what its sidecar says.

Light on purpose (standard library and pydantic, unless a source asks for more): it runs before every pipeline run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from aiprod.base.files import digest_of, read_json
from aiprod.data import retries as again
from aiprod.data.params import IngestParams
from aiprod.data.sources.base import Offer
from aiprod.data.sources.registry import source_of
from aiprod.data.sources.scan_memory import FileDigests, FileRecord
from aiprod.data.sources.sealed_offers import is_personal, is_sealed, same_bytes, seal, unseal
from aiprod.errors import AiprodError
from aiprod.rights.declarations import SourcesFile
from aiprod.storage.crypto.film_encryption import Vault

_SAID = {"mute_sidecars", "stray_lines", "unread"}  # lists of names that are for people


class ErasedFilm(BaseModel):
    """What is left of a film that was erased: it keeps its row, and is not taken in again under any name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    film_id: str
    source_id: str


class Offers(BaseModel):
    """The content of offers.json."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    offers: list[Offer]
    mute_sidecars: list[str] = []  # files that a table names and that are not there, as source/key
    stray_lines: list[str] = []  # lines of tables that name files outside of their source, as source/table, line
    lapsed: list[str] = []  # contracts and consents whose time is over, as contract/ID and consent/ID
    erased: list[ErasedFilm] = []
    again: dict[str, int] = {}  # stage → how often it left something to be tried again
    unread: list[str] = []  # documents beside films that nothing was taken from, as source/key: why

    def document(self, vault: Vault | None = None) -> dict[str, Any]:
        """As JSON; what few scans have to say is there only if they do.

        Offers of films with personal data are encrypted (:mod:`aiprod.data.sources.sealed_offers`), so that this can be
        written down; :func:`load_offers` opens them. Of what names files that are no films of ours there is a number:
        scan has said their names, and nobody reads them here.
        """
        vault = vault or Vault()
        rare = {name for name in ("stray_lines", "erased", "again", "unread") if not getattr(self, name)}
        document = self.model_dump(mode="json", exclude=rare, exclude_defaults=False)
        for name in _SAID & document.keys():
            counts = Counter(reason.split("/", 1)[0] for reason in document[name])
            document[name] = [f"{source_id}: {count}" for source_id, count in sorted(counts.items())]
        entries = []
        for offer, entry in zip(self.offers, document["offers"], strict=True):
            del entry["film_id"]
            if offer.span is None:
                del entry["span"]
            entries.append(entry if offer.film_id is None else seal(offer.film_id, offer.source_id, entry, vault))
        return {**document, "offers": entries}

    def digest(self) -> str:
        """SHA-256 (hex) of what is offered, however often it was tried: of what is written down, names unread."""
        return digest_of(self.model_copy(update={"again": {}, **{name: [] for name in _SAID}}).document())


def scan(params: IngestParams, sources: SourcesFile, lapsed: Sequence[str] = ()) -> Offers:
    """Look at every enabled source.

    Args:
        lapsed: agreements whose time is over (:func:`aiprod.rights.agreements.lapsed`); handed on to ingest.

    Raises:
        AiprodError: a source is not declared or cannot be ingested, a folder is missing, or nothing is offered.
    """
    offers: list[Offer] = []
    absent: list[str] = []
    stray: list[str] = []
    unread: list[str] = []
    vault = Vault()
    remembered = FileDigests(vault)
    try:
        for source_id in dict.fromkeys(params.sources):
            listing = source_of(source_id, sources.get(source_id), params).list(remembered)
            offers += listing.offers
            absent += [f"{source_id}/{name}" for name in listing.absent]
            unread += [f"{source_id}/{key}: {why}" for key, why in listing.unread.items()]
            stray += [f"{source_id}/{line}" for line in listing.strays]
    finally:
        offers = _owned(offers, sources, vault)
        owners = {offer.sha256: offer for offer in offers if offer.film_id is not None}
        remembered.save(lambda known: _owner(known, owners))
    offers = [
        offer
        for offer in offers
        if vault.tombstone_for(content=offer.sha256) is None and not (offer.film_id and vault.erased(offer.film_id))
    ]
    erased = [ErasedFilm(film_id=t.film_id, source_id=t.source_id) for _, t in sorted(vault.tombstones.items())]
    if not offers and not erased:
        raise AiprodError(
            f"the sources {', '.join(params.sources)} offer no film",
            "put films into datasets/inbox, or add `demo` to ingest.sources in params.yaml",
        )
    offers.sort(key=lambda o: (o.source_id, o.key))
    return Offers(
        offers=offers,
        mute_sidecars=sorted(absent),
        stray_lines=sorted(stray),
        lapsed=sorted(lapsed),
        erased=erased,
        again=again.times(),
        unread=sorted(unread),
    )


def _owned(offers: Sequence[Offer], sources: SourcesFile, vault: Vault) -> list[Offer]:
    """Offers, those of films with personal data with the film's opaque id. The same bytes hold them in every offer."""
    personal = [is_personal(sources.get(offer.source_id), offer.sidecar, offer.problem) for offer in offers]
    alike = same_bytes((offer.sha256, own) for offer, own in zip(offers, personal, strict=True))
    return [
        offer.model_copy(update={"film_id": vault.private_film_id(offer.source_id, offer.key, offer.sha256)})
        if own or offer.sha256 in alike
        else offer
        for offer, own in zip(offers, personal, strict=True)
    ]


def _owner(known: FileRecord, owners: Mapping[str, Offer]) -> str | None:
    """The film under whose key a digest is remembered."""
    offer = owners.get(known.sha256)
    return offer.film_id if offer is not None else None


def load_offers(path: Path | str, vault: Vault | None = None) -> Offers:
    """Read offers.json. A film that was erased since the scan is what is left of it.

    Raises:
        Refusal: a film's key is missing.
        AiprodError: missing or not what scan writes.
    """
    vault, content = vault or Vault(), read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("offers"), list):
        raise AiprodError(f"{path} is not what scan writes", "run `dvc repro`")
    plain, erased = [], list(content.get("erased") or [])
    for entry in content["offers"]:
        unsealed = unseal(entry, vault) if is_sealed(entry) else entry
        if unsealed is not None:
            plain.append(unsealed)
        elif not any(film.get("film_id") == entry["film_id"] for film in erased):
            erased.append({"film_id": entry["film_id"], "source_id": entry["source_id"]})
    try:
        return Offers.model_validate({**content, "offers": plain, "erased": erased})
    except ValidationError as error:
        raise AiprodError(f"{path} is not what scan writes ({error.errors()[0]['msg']})", "run `dvc repro`") from None
