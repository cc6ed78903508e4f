"""Film in: sources, ingest, demo corpus, clip store, engine. Public names load on first use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aiprod.data.latent_rows import LatentRow as LatentRow
    from aiprod.data.rows import ClipRow as ClipRow
    from aiprod.data.rows import FilmRow as FilmRow
    from aiprod.data.sources import SourceDeclaration as SourceDeclaration
    from aiprod.data.sources import load_sources as load_sources

_WHERE = {
    "LatentRow": "latent_rows",
    "FilmRow": "rows",
    "ClipRow": "rows",
    "SourceDeclaration": "sources",
    "load_sources": "sources",
    "SidecarRecord": "sources",
    "ordered_map": "engine",
}
__all__ = list(_WHERE)


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
