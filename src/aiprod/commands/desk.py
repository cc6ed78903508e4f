"""``aiprod desk``: the workspace in a browser on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from aiprod.commands.options import As


def desk(
    port: Annotated[int, typer.Option(min=0, max=65535, help="port on 127.0.0.1; 0 = any free port")] = 8766,
    allow_changes: Annotated[
        bool, typer.Option("--allow-changes", help="take review decisions and erasures, as far as the role permits")
    ] = False,
    actor: As = None,
) -> None:
    """Open the desk in a browser on this machine: dossier, lineage, review, samples side by side, erasure.

    Nothing can be changed unless --allow-changes is given. The printed address is its key.

    Example: aiprod desk

    Example: aiprod desk --allow-changes --as operator
    """
    from aiprod.base.state import workspace
    from aiprod.governance.desk.server import DeskServer

    server = DeskServer(workspace(), actor, port, changes=allow_changes)
    mode = "changes allowed" if allow_changes else "read-only"
    typer.echo(f"open {server.url} ({mode}, {server.person.title}; stop with Ctrl-C)")
    with server.serving():
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            if allow_changes:
                typer.echo("decisions are in datasets/reviews, certificates in datasets/erasures: commit them")


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command()(desk)
