"""``aiprod lineage``: everything a thing came from and everything made from it, with its bytes hashed again."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aiprod.printable import counted

if TYPE_CHECKING:
    from aiprod.governance.lineage.lineage import Lineage
    from aiprod.governance.lineage.node import Node


def lineage(  # noqa: PLR0917 (every parameter but the first is an option)
    target: Annotated[
        str,
        typer.Argument(metavar="PATH|FILM|CLIP_ID|MODEL", help="a file, a film's name or id, a clip id, or a model"),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object on standard output")] = False,
    html: Annotated[Path | None, typer.Option("--html", help="write an HTML page to this file")] = None,
    at: Annotated[
        str | None, typer.Option(help="a time of a finished film: 00:00:07:12, 2.5s, 60f or 96001/48000s")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="list every clip, not only the first few")] = False,
    rehash: Annotated[bool, typer.Option(help="rehash the files and compare")] = True,
    rev: Annotated[str | None, typer.Option(help="the state at this git revision, tag or experiment")] = None,
    prov: Annotated[
        Path | None, typer.Option(help="write W3C PROV to this file: .json for PROV-JSON, .provn for PROV-N")
    ] = None,
) -> None:
    """Show what something was made from and what was made from it. Exit code 1 if something does not match.

    With --rev, dvc.lock is read from git and files from DVC's cache. Current files are neither read nor changed.

    Example: aiprod lineage reports/samples/000.mp4 --rev HEAD~1

    Example: aiprod lineage reports/film/film.mp4 --at 00:00:07:12

    A film that lost its metadata is found by its fingerprint: aiprod lineage ~/Downloads/unknown.mp4
    """
    from aiprod.governance.lineage.at_revision import SHOWN, lineage_at

    root, shown = _root(target, rev), None if as_json or every or html is not None or prov is not None else SHOWN
    with _no_garbage(), lineage_at(root, target, rev=rev, at=at, rehash=rehash, shown=shown) as (there, walked):
        if prov is not None:
            from aiprod.governance.exports.prov import prov_document, write_prov
            from aiprod.repo.dvc_lock import Lock

            lock = Lock(there) if (there / "dvc.lock").is_file() else None
            write_prov(prov_document(walked, lock), prov)
    if html is not None:
        from aiprod.base.files import write_text
        from aiprod.governance.pages import render

        write_text(html, render("lineage.html.j2", lineage=walked, written=_written(root, there, rev)))
    if as_json:
        typer.echo(walked.json())
    else:
        _print(walked, every)
        for name, path in (("page", html), ("PROV", prov)):
            if path is not None:
                typer.echo(f"{name}: {path}")
    if walked.mismatches:
        from aiprod.repo.dvc_locks import at_work

        if rev is None and (busy := at_work(root)):
            typer.echo(f"note: {busy}", err=True)
        raise typer.Exit(1)


def _root(target: str, rev: str | None) -> Path:
    """The workspace; outside of one the working directory, for a film with the record that `aiprod film` wrote."""
    from aiprod.base.state import workspace
    from aiprod.errors import AiprodError
    from aiprod.film.record import record_beside

    try:
        return workspace()
    except AiprodError:
        if rev is not None or not Path(target).is_file() or record_beside(Path(target)) is None:
            raise
        return Path.cwd().resolve()


def _written(root: Path, there: Path, rev: str | None) -> dict[str, Any]:
    """When a page is written, by what, and of which state, so that somebody else can ask for the same again."""
    from datetime import UTC, datetime
    from importlib import metadata

    from aiprod.base.files import sha256_file
    from aiprod.repo.git import differs_from_head, head_commit
    from aiprod.repo.revisions import commit_of

    lock = there / "dvc.lock"
    return {
        "time": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "version": metadata.version("aiprod"),
        "commit": commit_of(root, rev) if rev is not None else head_commit(root),
        "lock": sha256_file(lock) if lock.is_file() else None,
        "changed": rev is None and differs_from_head(lock),
    }


@contextmanager
def _no_garbage() -> Iterator[None]:
    """Nodes by the hundred thousand all live to the end; looking through them for garbage takes a third of the time."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def _print(lineage: Lineage, every: bool) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.tree import Tree

    from aiprod.governance.lineage.labels import label

    console = Console(highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = 240  # a file has no width; nothing is cut there
    tree = Tree(escape(label(lineage.subject)))
    _grow(tree, lineage.subject, every)
    console.print(tree)
    if lineage.used_by:
        below = Tree("made from it")
        for node in lineage.used_by:
            _grow(below.add(escape(label(node))), node, every)
        console.print(below)
    for row in lineage.rights:
        about = " · ".join((row["source"], row["license"], row["right"]))
        console.print(f"{counted(row['films'], 'film')}, {counted(row['clips'], 'clip')} · {about}", markup=False)
    for line in lineage.obligations:
        console.print(f"obligation: {line}", markup=False)
    if lineage.stages:
        console.print(f"stages: {' → '.join(lineage.stages)}", markup=False)
    for line in lineage.notes:
        console.print(f"note: {line}", markup=False)
    for line in lineage.mismatches:
        console.print(f"MISMATCH {line}", markup=False)
    if lineage.checked_files:
        differ = counted(len(lineage.mismatches), "mismatch", "mismatches")
        console.print(f"{counted(lineage.checked_files, 'file')} hashed again, {differ}", markup=False)


def _grow(tree: Any, node: Node, every: bool) -> None:
    from rich.markup import escape

    from aiprod.governance.lineage.at_revision import SHOWN
    from aiprod.governance.lineage.labels import label

    children = node.children if every else node.children[:SHOWN]
    for child in children:
        _grow(tree.add(escape(label(child))), child, every)
    if more := len(node.children) - len(children) + getattr(node, "more", 0):
        tree.add(f"… and {more} more (--all lists them)")


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command()(lineage)
