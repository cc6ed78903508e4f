"""WebDataset shards: tar files in which the members of one sample share a key, such as ``KEY.mp4`` and ``KEY.json``.

Each film is offered as ``SHARD.tar/KEY.mp4``. What is said of it comes from its sample's JSON and XMP, from tables
inside the shard, and from tables and JSON files beside the shards, which may also name a shard as a whole; the
narrower word rules. Nothing is extracted: listing notes where each film begins, and fetching copies that stretch.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from aiprod.base.files import digest_of
from aiprod.base.names import caseless_name, film_name, is_hidden, leaves_its_folder
from aiprod.base.params import validate
from aiprod.data.sources.base import Listing, Offer
from aiprod.data.sources.folder import PlacedSource, unreadable
from aiprod.data.sources.remote import RemoteFile, base_of, described
from aiprod.data.sources.scan_memory import FileDigests
from aiprod.data.sources.sidecar_reading import PACKETS, read_sidecars, statement_from_packet
from aiprod.data.sources.sidecars import MAX_BYTES, Sidecars, merge_records, record_of, with_own_words
from aiprod.data.sources.tar_index import TarEndError, TarMember, members
from aiprod.errors import AiprodError
from aiprod.media.discovery import is_utf8, named_like_a_document
from aiprod.media.errors import MediaError
from aiprod.media.sniffing import HEAD, sniff_bytes
from aiprod.printable import escape_controls
from aiprod.rights.declarations import SidecarRecord
from aiprod.rights.licence_words import quoted
from aiprod.rights.statements import fields_of
from aiprod.rights.tables import TABLES, TableLine, lines_of_json, parsed_json, read_table, text_of

_SHARD = ".tar"
_PACKED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst", ".tar.zstd", ".tar.lz4")
_FILMS = {
    ".mp4",
    ".m4v",
    ".mov",
    ".mkv",
    ".webm",
    ".avi",
    ".mpg",
    ".mpeg",
    ".ts",
    ".mts",
    ".m2ts",
    ".flv",
    ".ogv",
    ".wmv",
    ".asf",
    ".mxf",
    ".3gp",
    ".vob",
}
_PIECE = 1 << 20


@dataclass
class _Shard:
    """What one shard holds.

    Attributes:
        films: by their names as they are compared.
        statements: by sample, or by film as it is compared.
        doubts: likewise → why what is said cannot be believed.
        last: the sample that was read last.
        lost: why the rest of the shard could not be read.
        doubt: why nothing that is said in the shard can be believed.
        notes: what is not a film's fault and is said in one line.
    """

    films: dict[str, TarMember] = field(default_factory=dict)
    statements: dict[str, list[SidecarRecord]] = field(default_factory=dict)
    doubts: dict[str, str] = field(default_factory=dict)
    last: str = ""
    lost: str | None = None
    doubt: str | None = None
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class WebDatasetSource(PlacedSource):
    """Films in tar files, as the library webdataset and video2dataset write them."""

    adapter = "webdataset"
    summary = "WebDataset shards: tar files of films with their JSON and text, in a folder or at an address"

    def list(self, remembered: FileDigests) -> Listing:
        listing = Listing([])
        with self.laid_out() as (files, folder, unread):
            beside = read_sidecars(folder, unread)
            for file in files:
                problem = file.problem or unread.get(file.key) or _not_a_shard(file.key)
                if problem is not None:
                    if not named_like_a_document(PurePosixPath(file.key)):
                        listing.offers.append(self._unreadable(file.key, problem))
                    continue
                shard = self._read(file)
                listing.offers += self._offers(file, shard, beside, remembered)
                if shard.notes:
                    listing.unread[file.key] = "; ".join(shard.notes)
        listing.absent, listing.strays = beside.unused(), list(beside.strays)
        listing.unread |= beside.unread
        return listing

    def fetch(self, offer: Offer, part: Path, target: Path) -> dict[str, Any] | None:
        assert offer.span is not None
        key, name = _split(offer.key)
        (start, size), have = offer.span, part.stat().st_size if part.exists() else 0
        have = have if have <= size else 0
        part.parent.mkdir(parents=True, exist_ok=True)
        with unreadable("the shard"):
            if self.remote and self._digest(described(self.place, key), name, offer.span) != offer.sha256:
                raise MediaError("unreadable", "the shard changed since it was listed", "run again")
            with open(part, "r+b" if have else "wb") as out, self.open(key, whole=True) as file:
                out.seek(have)
                for piece in _stretch(file, start + have, size - have):
                    out.write(piece)
        if (got := part.stat().st_size) != size:
            what = f"the shard gave {got} of the film's {size} bytes"
            raise MediaError("unreadable", what, "run again to resume it")
        os.replace(part, target)
        return None

    def _unreadable(self, key: str, problem: str) -> Offer:
        return Offer(source_id=self.source_id, key=key, size=0, sha256="", problem=f"unreadable: {problem}")

    def _digest(self, file: RemoteFile, name: str, span: tuple[int, int]) -> str:
        return digest_of([file.digest(base_of(self.place)), name, *span])

    def _read(self, file: RemoteFile) -> _Shard:
        """Walk one shard; what it says is read on the way."""
        shard, others = _Shard(), Counter[str]()
        try:
            with self.open(file.key) as tar:
                for member in members(tar, file.size):
                    _take(shard, member, tar, f"{PurePosixPath(file.key).name}/{escape_controls(member.name)}", others)
        except TarEndError as error:
            shard.notes.append(error.what)
            if error.maybe_cut:
                shard.doubts.setdefault(shard.last, f"the shard may be cut short here ({error.what})")
        except AiprodError as error:
            shard.lost = error.what
        except OSError as error:
            shard.lost = f"it cannot be read ({error.strerror})"
        if shard.lost is not None:  # the rest of this sample may have said no
            shard.doubts.setdefault(shard.last, f"what followed in the shard could not be read ({shard.lost})")
        if others:
            kinds = ", ".join(escape_controls(kind) for kind in sorted(others)[:8])
            shard.notes.append(f"{others.total()} members are not films and are skipped ({kinds})")
        samples = {_sample(name): name for name in shard.films}
        caseless = {caseless_name(sample): sample for sample in samples}
        alone = sorted((shard.statements.keys() | shard.doubts.keys()) - samples.keys() - shard.films.keys())
        for name in alone:
            if (other := caseless.get(caseless_name(name))) is not None:
                shard.doubts[other] = f"{quoted(name)} differs from it in case: rename one of them"
        if alone:
            shard.notes.append(f"{len(alone)} samples have words and no film, such as {quoted(alone[0])}")
        return shard

    def _offers(self, file: RemoteFile, shard: _Shard, beside: Sidecars, remembered: FileDigests) -> Iterator[Offer]:
        of_all, doubt_of_all = beside.of(file.key, self.declaration)
        if file.statement is not None:
            of_all = with_own_words(of_all, file.statement, self.declaration)
        for name, member in shard.films.items():
            key = f"{file.key}/{_shown(member.name)}"
            statement, doubt = beside.of(key, self.declaration)
            sample = _sample(name)
            records = [
                r for r in (of_all, statement, *shard.statements.get(sample, ()), *shard.statements.get(name, ())) if r
            ]
            problem = doubt or doubt_of_all
            doubts = (shard.doubt, shard.doubts.get(sample), shard.doubts.get(name))
            problem = problem or next((f"sidecar: {why}" for why in doubts if why), None)
            span, digest = (member.offset, member.size), ""
            if member.problem is not None:
                problem = f"unreadable: {member.problem}"
            elif self.remote:
                digest = self._digest(file, _shown(member.name), span)
            else:
                try:
                    path = self.folder / file.key
                    digest = remembered.facts(path, lambda p, s=span: (_sha256(p, *s), None), f"{span}").sha256  # type: ignore[misc]
                except OSError as error:
                    problem = f"unreadable: it cannot be read ({error.strerror})"
            yield Offer(
                source_id=self.source_id,
                key=key,
                size=member.size,
                sha256=digest,
                problem=problem,
                sidecar=merge_records(records) if records else None,
                span=span,
            )
        if shard.lost is not None:
            yield self._unreadable(file.key, shard.lost)


def _take(shard: _Shard, member: TarMember, tar: Any, where: str, others: Counter[str]) -> None:
    """Enter one member: a film, or what is said of one."""
    name = film_name(member.name)
    if is_hidden(member.name) or not name:
        return
    shard.last, kind = _sample(name), PurePosixPath(name).suffix.lower()
    head = b"" if member.problem else b"".join(_stretch(tar, member.offset, min(HEAD, member.size)))
    if sniff_bytes(head) is not None or kind in _FILMS:
        if name in shard.films:
            member = member._replace(problem="it is in the shard more than once, and which of them counts is not known")
        elif leaves_its_folder(member.name) or ".." in member.name.split("/") or "\0" in member.name:
            member = member._replace(problem="its name leads out of the shard")
        shard.films[name] = member
        return
    if kind not in TABLES | {".json", ".txt"} | PACKETS:
        if member.problem or kind not in (".srt", ".vtt", ".md"):
            others[kind or "no ending"] += 1
        return
    sample = _sample(name)
    try:
        if member.problem is not None:
            raise AiprodError(f"{where}: {member.problem}")
        if member.size > MAX_BYTES:
            raise AiprodError(f"{where} has {member.size} bytes, {MAX_BYTES} are read at most")
        content = b"".join(_stretch(tar, member.offset, member.size))
        if kind in TABLES:
            for line in read_table(where, content):
                film = film_name(f"{name}/../{line.film}")
                record = validate(SidecarRecord, fields_of(line.cells, line.where), line.where)
                shard.statements.setdefault(film, []).append(record)
        elif (record_ := _statement(kind, name, content, where)) is not None:
            shard.statements.setdefault(sample, []).append(record_)
    except AiprodError as error:
        if kind in TABLES:
            shard.doubt = f"{error.what}, and of which films it speaks is not known"
        shard.doubts[sample] = error.what


def _statement(kind: str, name: str, content: bytes, where: str) -> SidecarRecord | None:
    """What a JSON, an XMP packet, a C2PA manifest or a text says of the film of its sample.

    Raises:
        AiprodError: it cannot be understood, or names another film.
    """
    if kind in PACKETS:
        statement = statement_from_packet(name, content)
        return validate(SidecarRecord, statement, where) if statement else None
    text = text_of(where, content)
    if kind == ".txt":
        return record_of({"description": text}, where)
    value = parsed_json(where, text)
    if not isinstance(value, dict):
        raise AiprodError(f"{where} is not a JSON object", 'write {"license": "own"}')
    [line] = lines_of_json(where, value) or [TableLine(where, "", list(value.items()))]
    sample = _sample(name)
    own = {sample, PurePosixPath(sample).name}
    if line.film and not {film_name(line.film), _sample(film_name(line.film))} & own:
        raise AiprodError(f"{where} names {quoted(line.film)}, which is another film", "correct it")
    return validate(SidecarRecord, fields_of(line.cells, where), where)


def _sample(name: str) -> str:
    """The key of a member's sample: its path up to the first dot of its last part."""
    folder, slash, last = name.rpartition("/")
    return f"{folder}{slash}{last.partition('.')[0]}"


def _shown(name: str) -> str:
    """A member's name in the key of its film: text that leads nowhere, however it is resolved."""
    odd = {"": "(root)", "..": "(..)"}
    safe = "/".join(odd.get(part, part) for part in film_name(name).split("/"))
    return safe if is_utf8(safe) and "\0" not in safe else escape_controls(safe.replace("\\", "\\\\"))


def _not_a_shard(key: str) -> str | None:
    if key.lower().endswith(_PACKED):
        return "a compressed shard has no positions to read a film from: unpack it to .tar"
    if not key.lower().endswith(_SHARD):
        return "it is not a shard (.tar): declare loose films as a source with `adapter: folder`"
    if any(part.lower().endswith(_SHARD) for part in key.split("/")[:-1]):
        return "it is in a folder that is named like a shard: rename the folder"
    return None


def _split(key: str) -> tuple[str, str]:
    """The shard of a film's key, and the film's name in it."""
    parts = key.split("/")
    at = next(n for n, part in enumerate(parts) if part.lower().endswith(_SHARD)) + 1
    return "/".join(parts[:at]), "/".join(parts[at:])


def _stretch(file: Any, start: int, size: int) -> Iterator[bytes]:
    file.seek(start)
    while size > 0 and (piece := file.read(min(_PIECE, size))):
        size -= len(piece)
        yield piece


def _sha256(path: Path, start: int, size: int) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for piece in _stretch(file, start, size):
            digest.update(piece)
    return digest.hexdigest()
