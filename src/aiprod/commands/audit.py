"""``aiprod audit``: verify, show, prove, checkpoint and time-stamp the tamper-evident log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from aiprod.printable import counted

audit = typer.Typer(no_args_is_help=True, help="The tamper-evident audit log: verify, show, prove, checkpoint, stamp.")


@audit.command()
def verify(
    files: Annotated[
        bool, typer.Option("--files", help="also rehash every output, checkpoint, version and certificate")
    ] = False,
) -> None:
    """Recompute the log and compare it with the checkpoints in git. Exit code 1 if something does not match.

    It is also held against the signed head of every run, and against the witness where datasets/organisation.yaml names
    one. Time stamps of checkpoints are verified offline, with the roots that lie beside them. A warning says what
    nobody could see if it were wrong.

    Example: aiprod audit verify --files
    """
    from aiprod.base.state import workspace
    from aiprod.governance.audit.log import AuditLog
    from aiprod.governance.audit.verify import verify as check

    root, log = workspace(), AuditLog()
    result = check(root, log)
    agree = "agrees" if result.checkpoints == 1 else "agree"
    summary = f"{counted(result.entries, 'entry', 'entries')}, {counted(result.checkpoints, 'checkpoint')} {agree}"
    problems = list(result.problems)
    if files:
        from aiprod.governance.integrity import verify_files

        count, wrong = verify_files(root, log)
        problems, summary = [*problems, *wrong], f"{summary}, {counted(count, 'file')} hashed again"
    for name, when in result.stamped:
        typer.echo(f"stamp  {name} existed at {when:%Y-%m-%d %H:%M:%S} UTC")
    for line in problems:
        typer.echo(f"BROKEN {line}")
    for line in result.warnings:
        typer.echo(f"warn   {line}")
    typer.echo(f"{summary}, {counted(len(problems), 'problem')}, {counted(len(result.warnings), 'warning')}")
    if problems:
        from aiprod.repo.dvc_locks import at_work

        if files and (busy := at_work(root)):
            typer.echo(f"note: {busy}", err=True)
        raise typer.Exit(1)


@audit.command()
def show(
    subject: Annotated[str | None, typer.Option(help="only entries about this id, for example a clip")] = None,
    kind: Annotated[str | None, typer.Option(help="only entries of this kind")] = None,
    last: Annotated[int, typer.Option(min=1, help="how many of the newest matching entries")] = 50,
) -> None:
    """Print entries, oldest first, one JSON object per line.

    Example: aiprod audit show --kind refusal
    """
    from collections import deque

    from aiprod.governance.audit.log import AuditLog

    kept: deque[dict[str, object]] = deque(maxlen=last)
    kinds = set()
    for entry in AuditLog().entries():
        value = entry.value
        kinds.add(str(value["kind"]))
        if (subject is None or value["subject"] == subject) and (kind is None or value["kind"] == kind):
            kept.append({"index": entry.index, **value})
    for value in kept:
        typer.echo(json.dumps(value, ensure_ascii=False))
    if not kept:  # else a misspelt kind would look like one that never happened
        typer.echo(f"no entry matches; the log has these kinds: {', '.join(sorted(kinds)) or 'none'}", err=True)


@audit.command()
def prove(
    index: Annotated[int, typer.Argument(min=0, help="number of the entry; ignored with --since")] = 0,
    since: Annotated[
        int | None, typer.Option(help="prove instead that the first entries, up to this size, are unchanged")
    ] = None,
    size: Annotated[int | None, typer.Option(help="size of the tree; default: that of the newest checkpoint")] = None,
    opened: Annotated[
        list[str] | None,
        typer.Option(
            "--open", metavar="NAME=VALUE", help="show what the entry commits to, with the salt that proves it"
        ),
    ] = None,
) -> None:
    """Print a proof that a third party can check with docs/verify_audit.py and the checkpoint of that size.

    An entry holds commitments in place of digests. --open shows what one is to, for entries about models, stages and
    documents; those about films and clips are opened to nobody.

    Example: aiprod audit prove 17 > proof.json

    Example: aiprod audit prove 42 --open model_digest=3f9a… > proof.json
    """
    from aiprod.base.state import workspace
    from aiprod.errors import AiprodError
    from aiprod.governance.audit.checkpoint import newest_size
    from aiprod.governance.audit.log import AuditLog
    from aiprod.governance.audit.verify import consistency_proof, proof

    log, whole = AuditLog(), size or newest_size(workspace())
    if wrong := [words for words in opened or () if "=" not in words]:
        raise AiprodError(f"--open {wrong[0]} has no value", "write --open NAME=VALUE")
    values = dict(words.split("=", 1) for words in opened or ())
    document = proof(log, index, whole, values) if since is None else consistency_proof(log, since, whole)
    typer.echo(json.dumps(document, indent=1))


@audit.command()
def checkpoint() -> None:
    """Sign the current head and write it to datasets/audit, to be committed to git.

    Example: aiprod audit checkpoint && git add datasets/audit && git commit -m "Audit checkpoint"
    """
    from aiprod.base.state import workspace
    from aiprod.governance.audit.checkpoint import FOLDER
    from aiprod.governance.audit.head import give_to_witness
    from aiprod.governance.audit.log import AuditLog
    from aiprod.governance.audit.publishing import write_checkpoint

    log = AuditLog()
    point = write_checkpoint(workspace(), log)
    give_to_witness(workspace(), log)
    typer.echo(
        f"{FOLDER / point.name}: {counted(point.size, 'entry', 'entries')}, root {point.root.hex()}; commit it to git"
    )


@audit.command()
def timestamp(
    tsa: Annotated[str, typer.Option(help="address of the RFC 3161 time-stamp authority, http or https")],
    roots: Annotated[Path, typer.Option(help="PEM file of the authority's root certificates")],
    size: Annotated[int | None, typer.Option(help="size of the checkpoint; default: the newest")] = None,
) -> None:
    """Have a checkpoint time-stamped: an authority attests that it existed. Needs the extra `timestamps`.

    The authority gets the checkpoint's SHA-256 and nothing else. The token (SIZE.tsr) and the roots (SIZE.tsa.pem) are
    written beside the checkpoint, to be committed to git; `aiprod audit verify` checks them without a network.

    Example: aiprod audit timestamp --tsa https://tsa.example/tsr --roots tsa_root.pem
    """
    from aiprod.base.state import workspace
    from aiprod.errors import AiprodError
    from aiprod.governance.audit.checkpoint import FOLDER, newest_size
    from aiprod.governance.audit.timestamps import TOKEN, stamp

    chosen = newest_size(workspace()) if size is None else size
    name = FOLDER / f"{chosen or 0:012d}.checkpoint"
    path = workspace() / name
    if chosen is None or not path.is_file():
        what = "no checkpoint was ever written" if chosen is None else f"there is no {name}"
        raise AiprodError(what, "`aiprod audit checkpoint` signs one")
    when = stamp(path, tsa, roots)
    typer.echo(f"{name} existed at {when:%Y-%m-%d %H:%M:%S} UTC; commit {name.with_suffix(TOKEN)} and its roots to git")


def register(app: typer.Typer) -> None:
    """Add the command group to ``app``."""
    app.add_typer(audit, name="audit")
