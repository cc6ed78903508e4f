"""What the enabled sources offer now: one entry a film, with its size, its digest and what its sidecar says.

Light on purpose (standard library and pydantic): the scan runs before every pipeline run.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from aiprod.base.addresses import WHERE_SECRETS_GO, secret_in
from aiprod.base.errors import AiprodError
from aiprod.base.files import digest_of, read_json, write_json
from aiprod.base.names import is_hidden
from aiprod.base.state import main_repository, state
from aiprod.base.vault import Vault
from aiprod.data import again
from aiprod.data.demo_corpus.plan import plan_corpus
from aiprod.data.params import IngestParams
from aiprod.data.remote import base_of, is_remote, listed, sidecar_folder
from aiprod.data.sidecars import Sidecars, is_spreadsheet, read_sidecars
from aiprod.data.sources import SidecarRecord, SourceDeclaration, SourcesFile
from aiprod.media.finding import films_below, is_document, is_utf8, key_of, problem_of
from aiprod.media.sniffing import HEAD, sniff_bytes
from aiprod.media.training_mining import Marks, training_reservation

INBOX = "datasets/inbox"
"""The folder of the inbox source, relative to the repository."""
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

    def document(self) -> dict[str, Any]:
        """As JSON; what few scans have to say is there only if they do."""
        rare = {name for name in ("stray_lines", "erased", "again", "unread") if not getattr(self, name)}
        return self.model_dump(mode="json", exclude=rare)

    def digest(self) -> str:
        """SHA-256 (hex) of what is offered, however often it was tried."""
        return digest_of(self.model_copy(update={"again": {}}).document())


def scan(params: IngestParams, sources: SourcesFile, lapsed: Sequence[str] = ()) -> Offers:
    """Look at every enabled source.

    Args:
        lapsed: agreements whose time is over (:func:`aiprod.data.terms.lapsed`); handed on to ingest.

    Raises:
        AiprodError: a source is not declared or cannot be ingested, a folder is missing, or nothing is offered.
    """
    offers: list[Offer] = []
    absent: list[str] = []
    stray: list[str] = []
    unread: list[str] = []
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
                found, sidecars = _scan_folder(source_id, folder_of(source_id, source, params))
            offers += found
            absent += [f"{source_id}/{name}" for name in sidecars.unused()]
            unread += [f"{source_id}/{key}: {why}" for key, why in sidecars.unread.items()]
            stray += [f"{source_id}/{line}" for line in sidecars.strays]
        else:
            raise AiprodError(
                f"the source {source_id!r} is declared with `adapter: none` and cannot be ingested",
                f"remove it from ingest.sources, or set ingest.folders.{source_id} if its films lie in a folder",
            )
    vault = Vault()
    offers = [offer for offer in offers if vault.tombstone_for(content=offer.sha256) is None]
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


def load_offers(path: Path | str) -> Offers:
    """Read offers.json.

    Raises:
        AiprodError: missing or not what scan writes.
    """
    try:
        return Offers.model_validate(read_json(path))
    except ValidationError as error:
        raise AiprodError(f"{path} is not what scan writes ({error.errors()[0]['msg']})", "run `dvc repro`") from None


def _scan_folder(source_id: str, folder: Path) -> tuple[list[Offer], Sidecars]:
    sidecars, remembered, offers = read_sidecars(folder), _Remembered(), []
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
                digest, reservation = remembered.facts(path)
                facts = {"size": path.stat().st_size, "sha256": digest, "reservation": reservation}
            except OSError as error:
                problem = f"unreadable: it cannot be read ({error.strerror})"
        offers.append(Offer(source_id=source_id, key=key, sidecar=sidecar, problem=problem, **facts))
    remembered.save()
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


class _Remembered:
    """Digests of files and what they say of training, by path, size and time of change, so that each is read once."""

    def __init__(self) -> None:
        self._path = state().cache("scan") / "digests.json"
        try:
            self._known: dict[str, list[object]] = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            self._known = {}
        self._used: dict[str, list[object]] = {}

    def facts(self, path: Path) -> tuple[str, str | None]:
        """SHA-256 (hex), and the reservation against training that the file carries."""
        facts = path.stat()
        stamp: list[object] = [facts.st_size, facts.st_mtime_ns, facts.st_ino]
        known = self._known.get(str(path))
        if known is not None and known[:3] == stamp and len(known) == 5:
            value, said = str(known[3]), None if known[4] is None else str(known[4])
        else:
            value, said = _look(path)
        self._used[str(path)] = [*stamp, value, said]
        return value, said

    def save(self) -> None:
        known = {path: facts for path, facts in self._known.items() if path not in self._used and os.path.exists(path)}
        if {**known, **self._used} != self._known:
            write_json(self._path, {**known, **self._used})


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
