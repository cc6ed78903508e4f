"""Films that lie as files in a folder, in a bucket or on a web server, with tables and sidecars beside them."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiprod.base.names import is_hidden
from aiprod.data.sources.base import Listing, Offer, Source, folder_of
from aiprod.data.sources.remote import RemoteFile, base_of, is_remote, listed
from aiprod.data.sources.remote_reading import fetch, opened, sidecar_folder
from aiprod.data.sources.scan_memory import FileDigests
from aiprod.data.sources.sidecar_reading import read_sidecars
from aiprod.data.sources.sidecars import Sidecars, is_spreadsheet, with_own_words
from aiprod.errors import AiprodError, is_disk_full
from aiprod.media.discovery import files_below, films_below, is_document, is_utf8, key_of, problem_of
from aiprod.media.errors import MediaError
from aiprod.media.sniffing import HEAD, sniff_bytes
from aiprod.media.training_mining import Marks, training_reservation

_SPREADSHEET = "unreadable: it is a spreadsheet, of which nothing is read; save it as CSV in UTF-8"


@dataclass(frozen=True)
class PlacedSource(Source):
    """A source whose files lie in a folder or under an address; what its films are among them is for subclasses."""

    @property
    def remote(self) -> bool:
        """Whether the place is an address."""
        return is_remote(self.place)

    @property
    def folder(self) -> Path:
        """The folder of a source that is not remote.

        Raises:
            AiprodError: it does not exist.
        """
        return folder_of(self.source_id, self.declaration, self.params)

    @property
    def nearby(self) -> bool:
        return not self.remote

    def watched(self) -> Sequence[Path] | None:
        return None if self.remote else [self.folder]

    def has_read(self, offer: Offer) -> bool:
        return not self.remote

    @contextmanager
    def open(self, key: str, whole: bool = False) -> Iterator[Any]:
        """One file, to be read from any position; ``whole`` if in long stretches.

        Raises:
            AiprodError: it cannot be had from a server.
            OSError: it cannot be read here.
        """
        if self.remote:
            with opened(self.place, key, whole) as file:
                yield file
        else:
            with open(self.folder / key, "rb") as file:
                yield file

    @contextmanager
    def laid_out(self) -> Iterator[tuple[list[RemoteFile], Path, dict[str, str]]]:
        """The files here, a folder in which documents beside them can be read, and keys that cannot be read → why.

        Files that cannot be read are among the files, with their problem.
        """
        if self.remote:
            files = [file for file in listed(self.place) if not is_hidden(file.key)]
            with sidecar_folder(self.place, files) as (folder, unread):
                yield files, folder, unread
            return
        folder = self.folder
        remote_files = []
        for path in files_below(folder):
            problem = problem_of(path)
            facts = path.stat() if problem is None else None
            remote_files.append(RemoteFile(key_of(path, folder), facts.st_size if facts else -1, "", problem))
        yield remote_files, folder, {}


@dataclass(frozen=True)
class FolderSource(PlacedSource):
    """Every file is a film, unless it is a document."""

    adapter = "folder"
    summary = "films as files in a folder, a bucket or on a web server"

    def list(self, remembered: FileDigests) -> Listing:
        return self._remote_films() if self.remote else self._local_films(remembered)

    def fetch(self, offer: Offer, part: Path, target: Path) -> dict[str, Any] | None:
        if self.remote:
            fetch(self.place, offer.key, offer.sha256, part, target)
        else:
            copy_film(self.folder / offer.key, target)
        return None

    def path_of(self, offer: Offer) -> Path | None:
        return None if self.remote else self.folder / offer.key

    def _local_films(self, remembered: FileDigests) -> Listing:
        folder = self.folder
        sidecars, offers = read_sidecars(folder), []
        for path in films_below(folder):
            key = key_of(path, folder)
            sidecar, problem = sidecars.of(key, self.declaration)
            facts: dict[str, Any] = {"size": 0, "sha256": ""}
            if (odd := problem_of(path)) is not None:
                problem = f"unreadable: {odd}"
            elif is_spreadsheet(key):
                problem = _SPREADSHEET
            elif not is_utf8(str(path)):
                problem = "unreadable: its name, or a folder's, is not UTF-8"
            else:
                try:
                    known = remembered.facts(path, look)
                    facts = {"size": known.size, "sha256": known.sha256, "reservation": known.reservation}
                except OSError as error:
                    problem = f"unreadable: it cannot be read ({error.strerror})"
            offers.append(Offer(source_id=self.source_id, key=key, sidecar=sidecar, problem=problem, **facts))
        return _listing(offers, sidecars)

    def _remote_films(self) -> Listing:
        """By address, size and ETag: nothing but sidecars is read, and the first bytes of what is named like one."""
        stated = self.place
        files, offers = listed(stated), []
        with sidecar_folder(stated, files) as (folder, unread):
            sidecars = read_sidecars(folder, unread)
            for file in files:
                if is_hidden(file.key):
                    continue
                sidecar, problem = sidecars.of(file.key, self.declaration)
                if file.statement is not None:
                    sidecar = with_own_words(sidecar, file.statement, self.declaration)
                if file.key in unread:
                    problem = f"unreadable: {unread[file.key]}"
                elif is_spreadsheet(file.key):
                    problem = _SPREADSHEET
                elif is_document(folder / file.key):
                    continue
                digest = "" if file.problem is not None else file.digest(base_of(stated))
                offers.append(
                    Offer(
                        source_id=self.source_id,
                        key=file.key,
                        size=max(0, file.size),
                        sha256=digest,
                        sidecar=sidecar,
                        problem=problem,
                    )
                )
        return _listing(offers, sidecars)


def _listing(offers: list[Offer], sidecars: Sidecars) -> Listing:
    return Listing(offers, sidecars.unused(), dict(sidecars.unread), list(sidecars.strays))


def copy_film(path: Path | str, target: Path) -> None:
    """Copy a film that lies here.

    Raises:
        MediaError: it cannot be read.
    """
    with unreadable("the file", "fix its permissions"):
        shutil.copyfile(path, target)


@contextmanager
def unreadable(what: str, hint: str = "run again") -> Iterator[None]:
    """Fetching a film: what fails is the film's own error, except a full disk, which concerns all of them.

    Raises:
        MediaError: it cannot be read.
    """
    try:
        yield
    except MediaError:
        raise
    except AiprodError as error:
        raise MediaError("unreadable", error.what, error.hint) from None
    except OSError as error:
        if is_disk_full(error):
            raise
        raise MediaError("unreadable", f"{what} cannot be read ({error.strerror})", hint) from None


def look(path: Path) -> tuple[str, str | None]:
    """Read a file once: its digest, and whether it may hold a C2PA manifest, which is then read."""
    digest, marks, head = hashlib.sha256(), Marks(), b""
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            head = head or piece[:HEAD]
            digest.update(piece)
            marks.see(piece)
    kind = sniff_bytes(head)
    reservation = training_reservation(path, kind.extension, marks.seen) if kind is not None else None
    return digest.hexdigest(), reservation
