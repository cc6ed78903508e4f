"""``aiprod export``: documents generated from the manifests."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aiprod.governance.exports.registry import DOCUMENTS
from aiprod.printable import counted

if TYPE_CHECKING:
    from aiprod.governance.dataset.records import Records

ALL, SCHEMAS = "all", "schemas"
Document = StrEnum("Document", {name: name for name in (*DOCUMENTS, SCHEMAS, ALL)})  # type: ignore[misc]
_COUNTED = ", ".join(name for name, kind in DOCUMENTS.items() if kind.write is None)


def export(
    what: Annotated[Document, typer.Argument(help="which document; all: every one, into the folder --out")],
    out: Annotated[
        Path | None,
        typer.Option(help="file to write (all, schemas: a folder); default: standard output (all: export)"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help=f"{_COUNTED}: JSON instead of Markdown")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="validate each with its standard's own validator; exit code 1 if one fails")
    ] = False,
) -> None:
    """Generate a document from the manifests of the current state.

    eu-ai-act is the public summary of training content, provenance the Data & Trust Alliance's metadata, and ropa the
    records of processing under GDPR Art. 30. They quote datasets/organisation.yaml, and each figure names its query.
    cyclonedx (1.6, ML-BOM) and spdx (3.0.1) are bills of materials, slsa is an in-toto statement of the run.

    Examples: aiprod export model-card --out MODEL_CARD.md · aiprod export all --check --out documents
    """
    from aiprod.base.state import workspace

    if what == SCHEMAS:
        from aiprod.governance.exports.json_schemas import FOLDER, write_schemas

        folder = out or workspace() / FOLDER
        typer.echo(f"wrote {counted(len(write_schemas(folder)), 'schema')} to {folder}")
        return
    if what == ALL:
        folder = out or Path("export")
        places: dict[str, Path | None] = {name: folder / kind.file for name, kind in DOCUMENTS.items()}
    else:
        places = {str(what): out}
    problems = 0
    for number, (name, place) in enumerate(places.items()):
        problems += _export(name, place, as_json=as_json or what == ALL, check=check, warn=number == 0)
    if problems:
        raise typer.Exit(1)


def _export(name: str, out: Path | None, *, as_json: bool, check: bool, warn: bool) -> int:
    """Write one document and log that; how many problems its validator found."""
    from aiprod.base.state import workspace
    from aiprod.governance.audit.log import AuditLog, Event
    from aiprod.governance.dataset.statistics import unknown_clips
    from aiprod.governance.exports.registry import problems_of, text_of

    facts = _records(workspace(), credited=DOCUMENTS[name].credits)
    top = os.path.relpath(facts.root, out.resolve().parent) if out is not None else ""
    text = text_of(name, facts, top, markdown=not as_json)
    _give(text, out)
    if warn and (unknown := unknown_clips(facts)):
        typer.echo(f"warning: {unknown} → finish `dvc repro`, or export at the commit that made the model", err=True)
    AuditLog().append([Event("export", f"export/{name}", {}, {"document": text})])
    if not check:
        return 0
    checked = text_of(name, facts) if DOCUMENTS[name].write is None and not as_json else text
    problems = problems_of(name, checked, facts, out.resolve().parent if out is not None else facts.root)
    for problem in problems:
        typer.echo(f"{name}: {problem}", err=True)
    typer.echo(f"{name}: {counted(len(problems), 'problem') if problems else 'valid'}", err=True)
    return len(problems)


def _records(root: Path, *, credited: bool) -> Records:
    from aiprod.errors import AiprodError
    from aiprod.governance.dataset.records import Records
    from aiprod.storage.crypto.film_encryption import Vault

    facts = Records(root, vault=Vault() if credited else None)  # a licence demands that its holder be named
    if not facts.heads:
        raise AiprodError("there are no manifests to write a document from", "run `dvc repro` first")
    return facts


def _give(text: str, out: Path | None) -> None:
    """To a file or to standard output."""
    from aiprod.base.files import write_text

    if out is None:
        typer.echo(text, nl=False)
        return
    write_text(out, text)
    typer.echo(f"wrote {out}")


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command()(export)
