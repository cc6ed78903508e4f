"""What a source is: a class that lists its films and fetches one of them.

A new kind of source is a subclass of :class:`Source` in a module of its own and one line in
:mod:`aiprod.data.sources.registry`. Scan, ingest, the checks of ``aiprod doctor`` and the documentation derive from
that line.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from aiprod.base.addresses import WHERE_SECRETS_GO, secret_in
from aiprod.base.state import main_repository
from aiprod.data.params import IngestParams
from aiprod.data.sources.scan_memory import FileDigests
from aiprod.errors import AiprodError
from aiprod.rights.declarations import SidecarRecord, SourceDeclaration

INBOX = "datasets/inbox"
"""The folder of the inbox source, relative to the repository."""


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
    span: tuple[int, int] | None = Field(
        default=None, description="where the film is inside a file of several films, as its source counts"
    )

    @property
    def stated(self) -> SidecarRecord | None:
        """What is said beside the film, and by the Content Credentials in it."""
        if self.reservation is None:
            return self.sidecar
        return (self.sidecar or SidecarRecord()).model_copy(update={"training_mining": self.reservation})


@dataclass
class Listing:
    """What a source lists.

    Attributes:
        absent: films that a table names and that are not there.
        unread: documents that nothing was taken from → why.
        strays: lines of tables that name files outside of the source.
    """

    offers: list[Offer]
    absent: list[str] = field(default_factory=list)
    unread: dict[str, str] = field(default_factory=dict)
    strays: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Source(ABC):
    """One enabled source. Instances travel to worker processes, so they hold settings and no open files.

    Attributes:
        adapter: its name in ``datasets/sources.yaml``.
        summary: one line for messages and documentation.
        generated: whether its films are made here, so that nobody can be recognised in them.
        placed: whether it needs a folder or an address.
    """

    adapter: ClassVar[str]
    summary: ClassVar[str]
    generated: ClassVar[bool] = False
    placed: ClassVar[bool] = True

    source_id: str
    declaration: SourceDeclaration
    params: IngestParams

    @abstractmethod
    def list(self, remembered: FileDigests) -> Listing:
        """Name each film with its size, a digest that changes with its content, and what is said of its rights.

        The order does not matter. A film that cannot be taken in is offered with its ``problem``.

        Args:
            remembered: digests of local files by path, size and time of change.

        Raises:
            AiprodError: nothing can be listed, or nobody knows of which films a table speaks.
        """

    @abstractmethod
    def fetch(self, offer: Offer, part: Path, target: Path) -> dict[str, Any] | None:
        """Write one film to ``target``, in bounded memory, whole or not at all. Runs in a worker process.

        Args:
            part: where bytes of a transfer that broke off are kept for the next try, if the source can resume one.

        Returns:
            What is known to be in the film, of a generated one.

        Raises:
            MediaError: kind ``unreadable``, if the bytes cannot be had or changed since they were listed.
        """

    def watched(self) -> Sequence[Path] | None:
        """The folders in which nothing changes unless the list does; None where only listing can tell."""
        return None

    def path_of(self, offer: Offer) -> Path | None:
        """The film as a file of its own on this machine, if it is one."""
        return None

    def has_read(self, offer: Offer) -> bool:
        """Whether listing has read the film, so that the offer's digest is that of its bytes."""
        return False

    @property
    def nearby(self) -> bool:
        """Whether films can be read without making them and without a transfer over a network."""
        return False

    @property
    def place(self) -> str:
        """The folder or address as it is stated."""
        return place_of(self.source_id, self.declaration, self.params)


def place_of(source_id: str, source: SourceDeclaration, params: IngestParams) -> str:
    """The folder or address of a source, as it is stated.

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
    folder = _resolved(stated, os.getcwd(), os.environ.get("DVC_ROOT"), os.environ.get("HOME"))
    if stated == INBOX and not folder.exists():
        folder.mkdir(parents=True)  # git keeps no empty folder, so an inbox that is absent is an empty one
    if not folder.is_dir():
        wrong = "is not a folder" if folder.exists() else "does not exist"
        raise AiprodError(f"the folder {stated} of the source {source_id!r} {wrong}", "make it or fix the path")
    return folder


@lru_cache(maxsize=64)  # it is asked for each film; whether the folder is there is looked at each time
def _resolved(stated: str, here: str, root: str | None, home: str | None) -> Path:
    """A stated folder, from where the process is and what its environment says of that."""
    place = Path(stated).expanduser()
    return (place if place.is_absolute() else main_repository() / place).resolve()
