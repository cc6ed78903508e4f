"""``aiprod sign``: model folders signed in the OpenSSF model-signing format, and checked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def sign(  # noqa: PLR0917 (typer calls it)
    folders: Annotated[list[Path] | None, typer.Argument(help="model folders; default: all below models/")] = None,
    key: Annotated[
        Path | None, typer.Option(help="PEM private key (P-256, P-384, P-521); default: created on first use")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="folder of the signatures; default: datasets/signatures of the workspace")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="verify instead; exit code 1 if one is invalid")] = False,
    public: Annotated[
        Path | None,
        typer.Option(help="--check: PEM public key; default: required.pub or models.pub beside them"),
    ] = None,
    require: Annotated[
        bool, typer.Option("--require", help="from now on, load models only if this key signed them")
    ] = False,
) -> None:
    """Sign model folders (OpenSSF model-signing format), or verify them. Needs the extra `signing`; works offline.

    NAME.sig and the public key (models.pub) are written side by side, to be committed or passed on. With
    required.pub among the signatures of a workspace (--require), `aiprod generate`, `aiprod film` and AVPipeline load
    only models that its key signed.

    Example: aiprod sign --require · aiprod sign models/diffusion --check --public models.pub
    """
    import os

    from aiprod.base.files import write_bytes
    from aiprod.base.state import state, workspace
    from aiprod.errors import AiprodError
    from aiprod.governance.audit.log import AuditLog, Event
    from aiprod.models.artifacts import MODELS
    from aiprod.models.checkpoint.signing import REQUIRED, SIGNATURES, make_key, public_key, sign_folder, verify_folder

    place = out or Path(os.path.relpath(workspace() / SIGNATURES))
    chosen = [Path(folder) for folder in folders or ()] or [p for p in sorted(MODELS.glob("*")) if p.is_dir()]
    if not chosen:
        raise AiprodError("there is no model below models/", "run `dvc repro` first, or name a folder")
    if check:
        known = [public] if public else [place / REQUIRED.name, place / "models.pub"]
        trusted = next((path for path in known if path.is_file()), known[-1])
        failed = 0
        for folder in chosen:
            try:
                verify_folder(folder, place / f"{folder.resolve().name}.sig", trusted)
                typer.echo(f"{folder}: signed with {trusted}")
            except AiprodError as error:
                typer.echo(str(error), err=True)
                failed += 1
        if failed:
            raise typer.Exit(1)
        return
    if key is None:
        key = state().keys / "models.pem"
        if not key.is_file():
            make_key(key)
            typer.echo("made a key in the state folder; `aiprod keys backup` saves it with the others", err=True)
    pem = public_key(key)
    for folder in chosen:
        name = folder.resolve().name
        sign_folder(folder, place / f"{name}.sig", key)
        typer.echo(f"signed {folder}: {place / f'{name}.sig'}")
        AuditLog().append([Event("model", f"model/{name}", {"signed": True}, {"key": pem.decode()})])
    for path in (place / "models.pub", *([place / REQUIRED.name] if require else [])):
        write_bytes(path, pem)
    if require:
        typer.echo(f"models are loaded only with these signatures from now on; `rm {place / REQUIRED.name}` ends that")


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command()(sign)
