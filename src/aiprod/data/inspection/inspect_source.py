"""Looks at a place as scan and ingest would, by the same adapters and the same rights, and changes nothing.

Local films are opened for their facts and for what they say of their own rights, up to a number of bytes; nothing is
decoded. Films on a server, and films inside shards, are listed only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from aiprod.base.names import film_name, is_hidden
from aiprod.base.opening import read_file
from aiprod.base.progress import ticker
from aiprod.data.inspection.uncached_scan import UndigestedFiles
from aiprod.data.params import IngestParams
from aiprod.data.sources.base import Listing, Offer
from aiprod.data.sources.folder import FolderSource, PlacedSource, look
from aiprod.data.sources.huggingface import HuggingFaceSource
from aiprod.data.sources.registry import ADAPTERS
from aiprod.data.sources.remote import RemoteFile
from aiprod.data.sources.sealed_offers import is_personal
from aiprod.data.sources.sidecars import MAX_BYTES, is_spreadsheet, with_own_words
from aiprod.data.sources.web_lists import FOLDER
from aiprod.data.sources.webdataset import WebDatasetSource
from aiprod.errors import AiprodError
from aiprod.media.container import Limits
from aiprod.media.discovery import is_document, is_media, named_like_a_document
from aiprod.media.embedded_rights import embedded_statement
from aiprod.media.errors import MediaError
from aiprod.media.probing import probe, require_video
from aiprod.rights.agreements import Terms
from aiprod.rights.declarations import SidecarRecord, SourceDeclaration, layers
from aiprod.rights.effective_right import effective_right
from aiprod.rights.licence_words import UNKNOWN
from aiprod.rights.licences import ATTRIBUTION, judge_licence
from aiprod.rights.table_report import TableReport, examine_table
from aiprod.rights.tables import TABLES

NOT_KNOWN = "not known"  # the right of a film while a table beside it stops the scan
_METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")


@dataclass(frozen=True)
class InspectionPlan:
    """By what a place is judged.

    Attributes:
        source_id: of the declaration.
        why: where the declaration comes from, in words.
        adapter: None = by what lies there.
    """

    place: str
    source_id: str
    declaration: SourceDeclaration
    why: str
    params: IngestParams
    terms: Terms
    adapter: str | None = None


@dataclass
class InspectedFilm:
    """One film as it would be ingested.

    Attributes:
        size: in bytes; None where nobody knows it without reading.
        right: ``train``, ``train_with_obligations``, ``deny``, or :data:`NOT_KNOWN`.
        reasons: why it is denied, a sentence a layer.
        problem: why it cannot be ingested, whatever its right.
        missing: columns that are to be filled in → why.
        personal: whether it counts as a film of people, and is encrypted.
        facts: length, size and codecs, of a film that was opened.
    """

    key: str
    size: int | None
    right: str = NOT_KNOWN
    reasons: list[str] = field(default_factory=list)
    obligations: list[str] = field(default_factory=list)
    problem: str | None = None
    missing: dict[str, str] = field(default_factory=dict)
    personal: bool = True
    facts: dict[str, Any] | None = None
    nameable: bool = True


@dataclass
class Inspection:
    """What was found.

    Attributes:
        others: ending → number of files that are no films and no tables.
        stops: what is to be mended before a scan.
        absent: films that a table names and that are not there.
        strays: lines that name files outside of the place.
        unread: documents that nothing is taken from → why.
        unopened: films that were listed and not opened.
    """

    plan: InspectionPlan
    adapter: str
    films: list[InspectedFilm] = field(default_factory=list)
    tables: list[TableReport] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    stops: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    strays: list[str] = field(default_factory=list)
    unread: dict[str, str] = field(default_factory=dict)
    unopened: int = 0


def inspect(plan: InspectionPlan, read_bytes: int) -> Inspection:
    """Look at a place.

    Args:
        read_bytes: of local films that are read for facts and for their own words; what is beyond is listed only.

    Raises:
        AiprodError: the place does not exist, refuses, or does not answer.
    """
    place = FolderSource(plan.source_id, plan.declaration, plan.params)
    with place.laid_out() as (files, folder, unread):
        adapter = plan.adapter or _adapter_of(files)
        inspection = Inspection(plan, adapter)
        films = _sort_out(files, folder, unread, inspection)
    source = ADAPTERS[adapter](plan.source_id, plan.declaration, plan.params)
    assert isinstance(source, PlacedSource)
    try:
        listing = source.list(UndigestedFiles())
    except AiprodError as error:
        wrong = [table.name for table in inspection.tables if table.stops]
        inspection.stops = [f"fix {name}: a scan stops there" for name in wrong] or [f"a scan stops: {error}"]
        inspection.films = [
            InspectedFilm(file.key, max(0, file.size), problem=file.problem)
            for file in films
            if _may_be_film(file.key, file.problem)
        ]
        _notice_others(inspection, ((file.key, file.problem) for file in films))
        return inspection
    inspection.absent, inspection.strays, inspection.unread = (
        sorted(listing.absent),
        sorted(listing.strays),
        dict(listing.unread),
    )
    _judge(source, listing, inspection, read_bytes)
    _notice_others(inspection, ((offer.key, offer.problem) for offer in listing.offers))
    return inspection


def _may_be_film(key: str, problem: str | None) -> bool:
    """Whether an entry that is no table is told among the films."""
    return not is_spreadsheet(key) and not (problem or "").endswith(FOLDER)


def _notice_others(inspection: Inspection, entries: Iterable[tuple[str, str | None]]) -> None:
    """Say of spreadsheets and of a web page's folders that nothing is read of them.

    Whoever keeps the rights in a spreadsheet takes it for the table.
    """
    for key, problem in entries:
        if (problem or "").endswith(FOLDER):
            inspection.unread[key] = FOLDER
        elif is_spreadsheet(key):
            inspection.unread[key] = "it is a spreadsheet"
            inspection.stops.append(f"save {key} as CSV in UTF-8: nothing is read of a spreadsheet")


def _adapter_of(files: list[RemoteFile]) -> str:
    """The adapter for what lies there: shards and Parquet files are unmistakable, all else is a folder of films."""
    keys = [file.key.lower() for file in files if not is_hidden(file.key)]
    if any(key.endswith(".tar") for key in keys):
        return WebDatasetSource.adapter
    if any(key.endswith(".parquet") for key in keys):
        return HuggingFaceSource.adapter
    if any(PurePosixPath(key).name in _METADATA for key in keys) and "readme.md" in keys:
        return HuggingFaceSource.adapter
    return FolderSource.adapter


def _sort_out(
    files: list[RemoteFile], folder: Path, unread: dict[str, str], inspection: Inspection
) -> list[RemoteFile]:
    """Enter tables and other documents; the rest is given back."""
    films = []
    for file in files:
        path = folder / file.key
        if file.problem is not None or not named_like_a_document(PurePosixPath(file.key)) or not is_document(path):
            films.append(file)
        elif path.suffix.lower() in TABLES and not is_media(path):
            inspection.tables.append(_table(file, path, unread))
        else:
            inspection.others[path.suffix.lower()] += 1
    return films


def _table(file: RemoteFile, path: Path, unread: dict[str, str]) -> TableReport:
    report = TableReport(file.key)
    try:
        if (why := unread.get(file.key)) is not None:
            raise AiprodError(f"the table {file.key}: {why}", "save it as CSV in UTF-8, or remove it")
        if path.stat().st_size > MAX_BYTES:
            raise AiprodError(f"the table {file.key} has more than {MAX_BYTES} bytes", "divide it")
        report = examine_table(PurePosixPath(file.key).name, read_file(path))
        report.name = file.key
        report.films = {film_name(f"{file.key}/../{film}") for film in report.films}
    except OSError as error:
        report.add(AiprodError(f"the table {file.key} cannot be read ({error.strerror})", "fix its permissions"))
    except AiprodError as error:
        report.add(error)
    return report


def _judge(source: PlacedSource, listing: Listing, inspection: Inspection, read_bytes: int) -> None:
    limits, left = Limits(pixels=source.params.max_pixels), read_bytes
    with ticker("looked at", len(listing.offers)) as tick:
        for offer in sorted(listing.offers, key=lambda offer: offer.key):
            if not _may_be_film(offer.key, offer.problem):
                tick.advance()
                continue
            path = source.path_of(offer) if offer.problem is None else None
            stated, facts, problem = offer.stated, None, offer.problem
            if path is not None and offer.size <= left:
                left -= offer.size
                stated, facts, problem = _opened(path, offer, source, limits)
            elif problem is None:
                inspection.unopened += 1
            film = _film(offer, stated, source.declaration, inspection.plan.terms)
            film.facts, film.problem = facts, problem
            film.personal = is_personal(source.declaration, stated, problem)
            inspection.films.append(film)
            tick.advance()
    _notice_copies(inspection.films)


def _opened(
    path: Path, offer: Offer, source: PlacedSource, limits: Limits
) -> tuple[SidecarRecord | None, dict[str, Any] | None, str | None]:
    """A film's rights with its own words, its facts, and why it cannot be ingested."""
    try:
        digest, reservation = look(path)
        offer = offer.model_copy(update={"reservation": reservation})
        facts = probe(path, limits)
        video = require_video(facts)
        embedded = embedded_statement(path, limits)
    except MediaError as error:
        return offer.stated, None, error.reason
    except OSError as error:
        return offer.stated, None, f"unreadable: it cannot be read ({error.strerror})"
    stated = offer.stated
    if embedded:
        stated = with_own_words(stated, SidecarRecord.model_validate(embedded), source.declaration)
    problem = None
    if facts.length_s is not None and facts.length_s > source.params.max_film_s:
        problem = f"too-long: {facts.length_s:.0f} s, {source.params.max_film_s:g} s is the limit"
    return (
        stated,
        {
            "duration_s": facts.length_s,
            "width": video.display_width,
            "height": video.display_height,
            "fps": round(video.fps, 3),
            "video": video.codec,
            "audio": facts.audio.codec if facts.audio else None,
            "sha256": digest,
        },
        problem,
    )


def _film(offer: Offer, stated: SidecarRecord | None, source: SourceDeclaration, terms: Terms) -> InspectedFilm:
    decision = effective_right(source, stated, terms=terms)
    return InspectedFilm(
        offer.key,
        offer.size if offer.size or offer.span is None else None,
        decision.right,
        list(decision.reasons),
        list(decision.obligations),
        missing=dict(_missing(stated or SidecarRecord(), source)),
        nameable=offer.span is None or ".parquet/" not in offer.key.lower(),
    )


def _missing(side: SidecarRecord, source: SourceDeclaration) -> Iterator[tuple[str, str]]:
    """What nobody says of a film, and a line in a table could."""
    stated = layers(source, side)
    unsaid = side.media_license is None and side.media_license_declared is None
    if stated["media_license"] == UNKNOWN and unsaid:
        yield "licence", "a film without a licence is refused"
    if stated["personal_data_basis"] == UNKNOWN:
        yield "personal_data_basis", "until somebody says `none`, a film counts as one of people and is encrypted"
    elif stated["personal_data_basis"] in ("consent", "contract") and not side.consent_ref:
        yield "consent_ref", "the record of the consent has to be named"
    owed = judge_licence(str(stated["media_license"])).obligations
    if ATTRIBUTION in owed and not (side.attribution or source.attribution):
        yield "attribution", "the licence asks for a credit"


def _notice_copies(films: list[InspectedFilm]) -> None:
    """Say of a film that its bytes are another's: only one of them is ingested."""
    first: dict[str, str] = {}
    for film in films:
        if film.facts is None:
            continue
        digest = film.facts.pop("sha256")
        if digest in first and film.problem is None:
            film.problem = f"duplicate: the same bytes as {first[digest]}"
        first.setdefault(digest, film.key)
