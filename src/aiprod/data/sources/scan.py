"""What the enabled sources offer now: one entry a film, with its size, its digest and what its sidecar says.

Light on purpose (standard library and pydantic): the scan runs before every pipeline run.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from aiprod.base.addresses import WHERE_SECRETS_GO, secret_in
from aiprod.base.files import digest_of, read_json
from aiprod.base.names import is_hidden
from aiprod.base.state import main_repository
from aiprod.data import retries as again
from aiprod.data.params import IngestParams
from aiprod.data.sources.demo.plan import plan_corpus
from aiprod.data.sources.remote import base_of, is_remote, listed, sidecar_folder
from aiprod.data.sources.scan_memory import Known, Remembered
from aiprod.data.sources.sealed_offers import is_personal, is_sealed, same_bytes, seal, unseal
from aiprod.data.sources.sidecars import Sidecars, is_spreadsheet, read_sidecars
from aiprod.errors import AiprodError
from aiprod.media.finding import films_below, is_document, is_utf8, key_of, problem_of
from aiprod.media.sniffing import HEAD, sniff_bytes
from aiprod.media.training_mining import Marks, training_reservation
from aiprod.rights.declarations import SidecarRecord, SourceDeclaration, SourcesFile
from aiprod.storage.crypto.film_encryption import Vault

INBOX = "datasets/inbox"
"""The folder of the inbox source, relative to the repository."""
_SAID = {"mute_sidecars", "stray_lines", "unread"}  # lists of names that are for people
_SPREADSHEET = "unreadable: it is a spreadsheet, of which nothing is read; save it as CSV in UTF-8"


class Offer(BaseModel):
    """One film that a source offers. For the demo corpus, sha256 stands for the plan, because no file exists
    yet; for a remote source it stands for address, size and ETag, because nothing was read yet."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source_id: str
    key: str
    size: int
    sha256: str
    sidecar: SidecarRecord | None = None
    problem: str | None = None
    reservation: str | None = None  # what a C2PA manifest in the file says against training
    film_id: str | None = Field(default=None, description="opaque id of a film with personal data, None of any other")


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
            counts = Counter(said.split("/", 1)[0] for said in document[name])
            document[name] = [f"{source_id}: {count}" for source_id, count in sorted(counts.items())]
        entries = []
        for offer, entry in zip(self.offers, document["offers"], strict=True):
            del entry["film_id"]
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
    remembered = Remembered(vault)
    try:
        for source_id in dict.fromkeys(params.sources):
            source = sources.get(source_id)
            if source.adapter == "demo":
                offers += [
                    Offer(source_id=source_id, key=f.key, size=0, sha256=f.digest()) for f in plan_corpus(params.demo)
                ]
            elif source.adapter == "folder" or source_id in params.folders:
                stated = place_of(source_id, source, params)
                if is_remote(stated):
                    found, sidecars = _scan_remote(source_id, stated)
                else:
                    found, sidecars = _scan_folder(source_id, folder_of(source_id, source, params), remembered)
                offers += found
                absent += [f"{source_id}/{name}" for name in sidecars.unused()]
                unread += [f"{source_id}/{key}: {why}" for key, why in sidecars.unread.items()]
                stray += [f"{source_id}/{line}" for line in sidecars.strays]
            else:
                raise AiprodError(
                    f"the source {source_id!r} is declared with `adapter: none` and cannot be ingested",
                    f"remove it from ingest.sources, or set ingest.folders.{source_id} if its films lie in a folder",
                )
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
        offers=offers, mute_sidecars=sorted(absent), stray_lines=sorted(stray), lapsed=sorted(lapsed), erased=erased,
        again=again.times(), unread=sorted(unread),
    )  # fmt: skip


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


def _owner(known: Known, owners: Mapping[str, Offer]) -> str | None:
    """The film under whose key a digest is remembered."""
    offer = owners.get(known.sha256)
    return offer.film_id if offer is not None else None


def place_of(source_id: str, source: SourceDeclaration, params: IngestParams) -> str:
    """The folder or address of a folder source, as it is stated.

    Raises:
        AiprodError: none is set.
    """
    stated = params.folders.get(source_id) or source.path
    if not stated:
        raise AiprodError(
            f"no folder is set for the source {source_id!r}", f"set ingest.folders.{source_id} in params.yaml"
        )
    if kind := secret_in(stated):
        raise AiprodError(f"the address of the source {source_id!r} holds {kind}", WHERE_SECRETS_GO)
    return stated


def folder_of(source_id: str, source: SourceDeclaration, params: IngestParams) -> Path:
    """The folder of a folder source, found from the main repository also in a temporary experiment workspace.

    Raises:
        AiprodError: no folder is set, or it does not exist.
    """
    stated = place_of(source_id, source, params)
    folder = (main_repository() / Path(stated).expanduser()).resolve()
    if stated == INBOX and not folder.exists():
        folder.mkdir(parents=True)  # git keeps no empty folder, so an inbox that is absent is an empty one
    if not folder.is_dir():
        raise AiprodError(f"the folder {stated} of the source {source_id!r} does not exist", "make it or mend the path")
    return folder


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
        found = unseal(entry, vault) if is_sealed(entry) else entry
        if found is not None:
            plain.append(found)
        elif not any(film.get("film_id") == entry["film_id"] for film in erased):
            erased.append({"film_id": entry["film_id"], "source_id": entry["source_id"]})
    try:
        return Offers.model_validate({**content, "offers": plain, "erased": erased})
    except ValidationError as error:
        raise AiprodError(f"{path} is not what scan writes ({error.errors()[0]['msg']})", "run `dvc repro`") from None


def _scan_folder(source_id: str, folder: Path, remembered: Remembered) -> tuple[list[Offer], Sidecars]:
    sidecars, offers = read_sidecars(folder), []
    for path in films_below(folder):
        key = key_of(path, folder)
        sidecar, problem = sidecars.of(key)
        facts: dict[str, Any] = {"size": 0, "sha256": ""}
        if (odd := problem_of(path)) is not None:
            problem = f"unreadable: {odd}"
        elif is_spreadsheet(key):
            problem = _SPREADSHEET
        elif not is_utf8(str(path)):
            problem = "unreadable: its name, or a folder's, is not UTF-8"
        else:
            try:
                known = remembered.facts(path, _look)
                facts = {"size": known.size, "sha256": known.sha256, "reservation": known.reservation}
            except OSError as error:
                problem = f"unreadable: it cannot be read ({error.strerror})"
        offers.append(Offer(source_id=source_id, key=key, sidecar=sidecar, problem=problem, **facts))
    return offers, sidecars


def _scan_remote(source_id: str, stated: str) -> tuple[list[Offer], Sidecars]:
    """Offers by address, size and ETag: nothing but sidecars is read, and the first bytes of what is named like one."""
    files, offers = listed(stated), []
    with sidecar_folder(stated, files) as (folder, unread):
        sidecars = read_sidecars(folder, unread)
        for file in files:
            if is_hidden(file.key):
                continue
            sidecar, problem = sidecars.of(file.key)
            if file.key in unread:
                problem = f"unreadable: {unread[file.key]}"
            elif is_spreadsheet(file.key):
                problem = _SPREADSHEET
            elif is_document(folder / file.key):
                continue
            digest = "" if file.problem is not None else file.digest(base_of(stated))
            offers.append(
                Offer(
                    source_id=source_id, key=file.key, size=max(0, file.size), sha256=digest, sidecar=sidecar,
                    problem=problem,
                )
            )  # fmt: skip
    return offers, sidecars


def _look(path: Path) -> tuple[str, str | None]:
    """Read a file once: its digest, and whether it may hold a C2PA manifest, which is then read."""
    digest, marks, head = hashlib.sha256(), Marks(), b""
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            head = head or piece[:HEAD]
            digest.update(piece)
            marks.see(piece)
    kind = sniff_bytes(head)
    said = training_reservation(path, kind.extension, marks.found) if kind is not None else None
    return digest.hexdigest(), said
