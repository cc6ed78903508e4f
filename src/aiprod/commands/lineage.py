"""``aiprod lineage``: everything a thing came from and everything made from it, with its bytes hashed again."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aiprod.printable import counted

if TYPE_CHECKING:
    from aiprod.governance.lineage.lineage import Lineage
    from aiprod.governance.lineage.node import Node

_SHOWN = 6


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
    from contextlib import nullcontext

    from aiprod.base.state import workspace
    from aiprod.errors import AiprodError
    from aiprod.governance.lineage.signed_video import lineage_of as walk
    from aiprod.repo.revisions import workspace_at

    root, whole = workspace(), as_json or every or html is not None or prov is not None
    with _no_garbage(), nullcontext(root) if rev is None else workspace_at(root, rev) as there:
        name = target if rev is None else _relative(target, root, there)
        try:
            walked = walk(there, name, at=at, rehash=rehash, shown=None if whole else _SHOWN + 3)
        except AiprodError:
            if rev is not None:
                _say_what_is_not_here(there, rev, target)
            raise
        if prov is not None:
            from aiprod.governance.exports.prov import prov_document, write_prov
            from aiprod.repo.dvc_lock import Lock

            lock = Lock(there) if (there / "dvc.lock").is_file() else None
            write_prov(prov_document(walked, lock), prov)
    if html is not None:
        from aiprod.base.files import write_text
        from aiprod.governance.pages import render

        write_text(html, render("lineage.html.j2", lineage=walked))
    if as_json:
        typer.echo(walked.json())
    else:
        _print(walked, every)
        for name, path in (("page", html), ("PROV", prov)):
            if path is not None:
                typer.echo(f"{name}: {path}")
    if walked.mismatches:
        raise typer.Exit(1)


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


def _say_what_is_not_here(there: Path, rev: str, target: str) -> None:
    """Raise where ``target`` is unknown because DVC's cache lacks what that revision recorded.

    Raises:
        AiprodError: says so, and how to get it.
    """
    from aiprod.errors import AiprodError
    from aiprod.repo.revisions import missing_outputs

    if absent := missing_outputs(there):
        raise AiprodError(
            f"{target} cannot be looked up at {rev}: DVC's cache here does not hold "
            f"{next((out for out in absent if target.startswith(out)), absent[0])} as it was then",
            f"`dvc fetch --all-commits` brings what was pushed; else make it again: "
            f"`git worktree add ../at-that-time {rev}` and `make repro` there",
        )


def _relative(target: str, root: Path, there: Path) -> str:
    """A path that the user gave from where they stand, as it is called from the top of the workspace ``there``."""
    full = Path(os.path.abspath(target))
    name = full.relative_to(root).as_posix() if full.is_relative_to(root) else target
    return name if (there / name).exists() else target


def _print(lineage: Lineage, every: bool) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.tree import Tree

    console = Console(highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = 240  # a file has no width; nothing is cut there
    tree = Tree(escape(_label(lineage.subject)))
    _grow(tree, lineage.subject, every)
    console.print(tree)
    if lineage.used_by:
        below = Tree("made from it")
        for node in lineage.used_by:
            _grow(below.add(escape(_label(node))), node, every)
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

    children = node.children if every else node.children[: _SHOWN + 3]
    for child in children:
        _grow(tree.add(escape(_label(child))), child, every)
    if more := len(node.children) - len(children) + getattr(node, "more", 0):
        tree.add(f"… and {more} more (--all lists them)")


def _label(node: Node) -> str:
    """One line about a node: what a reader asks first."""
    facts = node.facts
    parts = {
        "signed": [
            f"Content Credentials: {facts.get('content_credentials', '')}",
            f"signed by {facts.get('signed_by', '')}",
            facts.get("digital_source_type", ""),
        ],
        "sample": [f"“{facts['prompt']}”" if facts.get("prompt") else ""],
        "finished film": [
            f"“{facts.get('title', '')}”",
            facts.get("at", ""),
            facts.get("scene", ""),
            f"known by {facts['known_by']}" if "known_by" in facts else "",
            *facts.get("shows", ()),
        ],
        "release": [f"released {facts.get('released', '')}", f"sha256 {facts.get('sha256', '')}"],
        "shot": [facts.get("track", ""), facts.get("scene", ""), facts.get("shows", "")],
        "sound": [facts.get("bus", ""), f"sample {facts['sample']}" if "sample" in facts else ""],
        "grade": [f"{name} {value}" for name, value in facts.items()],
        "file": [facts.get("license", ""), facts.get("credit", "")],
        "voice": [facts.get("speaker", ""), facts.get("language", ""), facts.get("license", "")],
        "speech": [facts.get("speaker", ""), facts.get("language", ""), facts.get("file", "")],
        "model": [
            f"{counted(facts['clips_seen'], 'clip')} seen" if "clips_seen" in facts else "",
            f"shown {facts['times_shown']} times" if "times_shown" in facts else "",
            f"{counted(facts['utterances_heard'], 'utterance')} heard" if "utterances_heard" in facts else "",
            f"{counted(facts['heads_seen'], 'drawn head')} seen" if "heads_seen" in facts else "",
        ],
        "generated video": [f"“{facts['prompt']}”" if facts.get("prompt") else "", f"seed {facts.get('seed')}"],
        "utterance": [
            f"heard {facts['times_heard']} times" if "times_heard" in facts else "",
            facts.get("split", ""),
            f"“{facts.get('text', '')}”",
        ],
        "head": [
            f"shown {facts['times_shown']} times" if "times_shown" in facts else "",
            facts.get("split", ""),
            *facts.get("provenance", ()),
        ],
        "speaker": [*facts.get("right", ()), *facts.get("provenance", ())],
        "clip": [
            f"shown {facts['times_shown']} times" if "times_shown" in facts else "",
            facts.get("verdict", ""),
            *(f"reviewed: {line}" for line in facts.get("reviews", ())),
            facts.get("split", ""),
            facts.get("caption", ""),
        ],
        "film": [
            facts.get("source_file", ""),
            facts.get("license", ""),
            facts.get("right", ""),
            facts.get("attribution", ""),
        ],
        "source": [facts.get("title", ""), f"policy: {facts['policy']}" if "policy" in facts else ""],
        "latent": [facts.get("status", "")],
    }.get(node.kind, [])
    return " · ".join([f"{node.kind} {node.name}", *(str(s) for s in parts if s)])


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command()(lineage)
