"""``aiprod release``: generated videos leave with Content Credentials and with the documents that must travel."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def release(
    videos: Annotated[list[Path], typer.Argument(help="generated videos, such as reports/samples/000.mp4")],
    out: Annotated[Path, typer.Option(help="folder for the signed copies and documents")] = Path("release"),
    actor: Annotated[
        str | None, typer.Option("--as", help="who releases; a name in datasets/roles.yaml whose role permits it")
    ] = None,
    share_alike_cleared: Annotated[
        bool, typer.Option(help="legal has decided how share-alike obligations are met")
    ] = False,
    copies_cleared: Annotated[
        bool, typer.Option(help="legal has decided that copies of training clips may be released")
    ] = False,
) -> None:
    """Sign copies of generated videos (C2PA), with credits, model card and training summary.

    Only an earlier release of the same video is ever overwritten: two videos with the same name, the folder of the
    originals, and any other existing file are refused before anything is written.

    The certificate is set in datasets/organisation.yaml (c2pa_certificate, c2pa_key); otherwise a development
    certificate is used.

    Example: aiprod release reports/samples/000.mp4 --out release --as operator
    """
    from aiprod.base.state import workspace
    from aiprod.governance.release.release import release as write

    result = write(
        workspace(),
        videos,
        out,
        actor=actor,
        share_alike_cleared=share_alike_cleared,
        copies_cleared=copies_cleared,
    )
    for line in result.compared:
        typer.echo(line)
    for path in result.videos:
        typer.echo(f"signed {path}; `aiprod lineage {path}` verifies it")
    for path in result.documents:
        typer.echo(f"wrote {path}")
    for path in result.register:
        typer.echo(f"noted in {path.relative_to(workspace())}: commit it, so that the video can be called back")
    if result.signer.timestamps:
        typer.echo(f"time-stamped by {result.signer.timestamps}: verifies after the certificate's end as well")
    else:
        typer.echo(
            f"note: verifies until {result.signer.ends:%Y-%m-%d}, the end of the signing certificate: no time stamp"
            " → name an RFC 3161 authority as c2pa_timestamps in datasets/organisation.yaml"
        )
    if result.signer.development:
        typer.echo("note: signed with a development certificate, which no one else trusts")


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command()(release)
