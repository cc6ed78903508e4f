"""The kinds of source that can be declared. To add one, write its class and list it here."""

from __future__ import annotations

from pathlib import Path

from aiprod.base.params import nearest
from aiprod.data.params import IngestParams
from aiprod.data.sources.base import Source
from aiprod.data.sources.demo.source import DemoSource
from aiprod.data.sources.folder import FolderSource
from aiprod.data.sources.huggingface import HuggingFaceSource
from aiprod.data.sources.webdataset import WebDatasetSource
from aiprod.errors import AiprodError
from aiprod.rights.declarations import NOT_INGESTED, SourceDeclaration, SourcesFile
from aiprod.rights.declarations import load_sources as load_declarations

SOURCES: tuple[type[Source], ...] = (
    DemoSource,
    FolderSource,
    HuggingFaceSource,
    WebDatasetSource,
)
ADAPTERS: dict[str, type[Source]] = {kind.adapter: kind for kind in SOURCES}


def load_sources(path: Path | str = "datasets/sources.yaml") -> SourcesFile:
    """Read and validate the declarations, names of adapters included.

    Raises:
        AiprodError: the file is missing or a declaration is wrong; names the key and the nearest valid one.
    """
    declared = load_declarations(path)
    for source_id, source in declared.sources.items():
        if source.adapter != NOT_INGESTED and source.adapter not in ADAPTERS:
            raise _unknown(f"{path}: sources.{source_id}.adapter", source.adapter)
    return declared


def source_of(source_id: str, declaration: SourceDeclaration, params: IngestParams) -> Source:
    """The source that a declaration and the parameters describe.

    A declaration without an adapter becomes a folder once a folder is set for it.

    Raises:
        AiprodError: it has no adapter, or one that does not exist.
    """
    kind = ADAPTERS.get(declaration.adapter)
    if kind is None and declaration.adapter != NOT_INGESTED:
        raise _unknown(f"the source {source_id!r}", declaration.adapter)
    if kind is None and source_id in params.folders:
        kind = FolderSource
    if kind is None:
        raise AiprodError(
            f"the source {source_id!r} is declared with `adapter: none` and cannot be ingested",
            f"remove it from ingest.sources, or set ingest.folders.{source_id} if its films are in a folder",
        )
    return kind(source_id, declaration, params)


def is_generated(declaration: SourceDeclaration) -> bool:
    """Whether the films of a source are made here, so that they show nobody."""
    kind = ADAPTERS.get(declaration.adapter)
    return kind is not None and kind.generated


def described() -> str:
    """All adapters, one per line, for help texts."""
    names = {NOT_INGESTED: "declared only; becomes `folder` once ingest.folders names a place for it"}
    names |= {name: kind.summary for name, kind in ADAPTERS.items()}
    return "\n".join(f"{name}: {summary}" for name, summary in sorted(names.items()))


def _unknown(where: str, adapter: str) -> AiprodError:
    known = [NOT_INGESTED, *ADAPTERS]
    hint = nearest(adapter, known).replace("known keys", "known adapters")
    return AiprodError(f"{where}: there is no adapter {adapter!r}", hint)
