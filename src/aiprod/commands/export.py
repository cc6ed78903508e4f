"""``aiprod export``: documents generated from the manifests."""

from __future__ import annotations

import json
import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from aiprod.printable import counted


class Document(StrEnum):
    """The documents that can be exported."""

    CROISSANT = "croissant"
    EU_AI_ACT = "eu-ai-act"
    PROVENANCE = "provenance"
    ROPA = "ropa"
    MODEL_CARD = "model-card"
    ATTRIBUTIONS = "attributions"
    SCHEMAS = "schemas"
    OPENLINEAGE = "openlineage"


def export(
    what: Annotated[Document, typer.Argument(help="which document")],
    out: Annotated[Path | None, typer.Option(help="file to write; default: standard output")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="eu-ai-act, provenance, ropa: JSON instead of Markdown")
    ] = False,
) -> None:
    """Generate a document from the manifests of the current state.

    eu-ai-act is the public summary of training content, provenance the Data & Trust Alliance's metadata, and ropa the
    records of processing under GDPR Art. 30. They quote datasets/organisation.yaml, and each figure names its query.

    Example: aiprod export model-card --out MODEL_CARD.md
    """
    from aiprod.base.state import workspace
    from aiprod.errors import AiprodError
    from aiprod.governance.dataset.records import Records
    from aiprod.governance.dossier.dossier import attributions
    from aiprod.governance.exports.croissant import croissant
    from aiprod.governance.exports.model_card import model_card
    from aiprod.storage.crypto.film_encryption import Vault

    if what is Document.SCHEMAS:
        from aiprod.governance.exports.json_schemas import FOLDER, write_schemas

        folder = out or workspace() / FOLDER
        typer.echo(f"wrote {counted(len(write_schemas(folder)), 'schema')} to {folder}")
        return
    if what is Document.OPENLINEAGE:
        from aiprod.governance.exports.openlineage import job_events
        from aiprod.repo.dvc_lock import Lock

        events = job_events(workspace(), Lock(workspace()))
        _give("".join(json.dumps(event, ensure_ascii=False) + "\n" for event in events), out)
        return
    credited = what in (Document.MODEL_CARD, Document.ATTRIBUTIONS)  # a licence demands that its holder be named
    facts = Records(workspace(), vault=Vault() if credited else None)
    if not facts.heads:
        raise AiprodError("there are no manifests to write a document from", "run `dvc repro` first")
    if what in (Document.EU_AI_ACT, Document.PROVENANCE, Document.ROPA):
        from aiprod.governance.exports.registry import written

        writer = written(facts)[what.value]
        text = json.dumps(writer.document(), indent=1, ensure_ascii=False) + "\n" if as_json else writer.markdown()
    elif what is Document.CROISSANT:
        top = os.path.relpath(facts.root, out.resolve().parent) if out is not None else ""
        text = json.dumps(croissant(facts, top=top), indent=1, ensure_ascii=False) + "\n"
    else:
        text = model_card(facts) if what is Document.MODEL_CARD else attributions(facts)
    _give(text, out)
    from aiprod.governance.audit.log import AuditLog, Event

    AuditLog().append([Event("export", f"export/{what.value}", {}, {"document": text})])


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
