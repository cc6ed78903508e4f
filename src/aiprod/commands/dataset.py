"""``aiprod dataset``: the version record, the difference between two versions, publishing, and counting by a query."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from aiprod.printable import counted

if TYPE_CHECKING:
    from aiprod.governance.dataset.diff import Difference

dataset = typer.Typer(no_args_is_help=True, help="Versions of the dataset: show, diff, publish.")
_SHOWN = 20


@dataset.command()
def show(
    what: Annotated[
        str,
        typer.Argument(metavar="[WORKSPACE|FOLDER|REVISION]", help="which state; also a git revision or experiment"),
    ] = "workspace",
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object on standard output")] = False,
) -> None:
    """Show counts, sources, licences, Merkle root and changelog of a version.

    Example: aiprod dataset show
    """
    from aiprod.base.state import workspace
    from aiprod.errors import AiprodError
    from aiprod.governance.dataset.diff import side

    record = side(workspace(), what).record
    if record is None:
        raise AiprodError(f"git keeps only digests of version {what}", "name the commit or tag of that version instead")
    if as_json:
        typer.echo(json.dumps(record.model_dump(mode="json"), indent=1, ensure_ascii=False))
        return
    typer.echo(f"{record.dataset} {record.version} ({'published' if record.published else 'not published'})")
    typer.echo(f"root {record.merkle_root}, {record.rows} rows, {record.duration_s:.1f} s of clips")
    for name, values in record.counts.items():
        typer.echo(f"{name}: {', '.join(f'{key} {n}' for key, n in values.items())}")
    typer.echo(f"clips admitted to training: {record.admitted_clips}")
    for share in record.sources:
        about = f"{share.source} · {share.license} · {share.right}"
        typer.echo(
            f"{counted(share.films, 'film')}, {counted(share.clips, 'clip')}, {share.admitted_clips} admitted · {about}"
        )
    for step in record.changelog:
        typer.echo(f"{step.version}: {step.added} added, {step.removed} removed, {step.changed} changed {step.note}")


@dataset.command()
def diff(
    old: Annotated[str, typer.Argument(help="a published version, a git revision, an experiment, or a folder")],
    new: Annotated[str, typer.Argument(help="likewise; default: the current workspace")] = "workspace",
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object on standard output")] = False,
) -> None:
    """Show rows added, removed and changed between two states of the dataset.

    Example: aiprod dataset diff 1.0.0 && aiprod dataset diff HEAD~1 HEAD
    """
    from aiprod.base.state import workspace
    from aiprod.governance.dataset.diff import compare, side

    root = workspace()
    difference = compare(side(root, old), side(root, new))
    if as_json:
        typer.echo(json.dumps(difference.document(), indent=1, ensure_ascii=False))
        return
    _print(difference)


def _print(difference: Difference) -> None:
    for word, ids in (("added", difference.added), ("removed", difference.removed)):
        for name in ids[:_SHOWN]:
            typer.echo(f"{word} {name}")
        if len(ids) > _SHOWN:
            typer.echo(f"{word} … and {len(ids) - _SHOWN} more (--json lists them)")
    for name in difference.changed[:_SHOWN]:
        what = "; ".join(f"{key}: {a!r} → {b!r}" for key, (a, b) in difference.fields.get(name, {}).items())
        typer.echo(f"changed {name} {what}")
    if len(difference.changed) > _SHOWN:
        typer.echo(f"changed … and {len(difference.changed) - _SHOWN} more (--json lists them)")
    counts = f"{len(difference.added)} added, {len(difference.removed)} removed, {len(difference.changed)} changed"
    kind = "" if difference.kind == "none" else f"; that makes a {difference.kind} version"
    typer.echo(f"{difference.old} → {difference.new}: {counts}{kind}")


@dataset.command()
def count(
    query: Annotated[str, typer.Argument(help="for example: count of clips where verdict = APPROVED and shown > 0")],
) -> None:
    """Answer a counting query, as used for the figures in exported documents.

    Example: aiprod dataset count "by license of films where status = ok"
    """
    from aiprod.base.state import workspace
    from aiprod.governance.dataset.queries import Tables
    from aiprod.governance.dataset.records import Records

    typer.echo(json.dumps(Tables(Records(workspace())).ask(query), ensure_ascii=False))


@dataset.command()
def affected(
    as_json: Annotated[bool, typer.Option("--json", help="a JSON list on standard output")] = False,
) -> None:
    """Clips that an earlier version may have stored damaged; the next `dvc repro` ingests their films again.

    Example: aiprod dataset affected --json
    """
    from dataclasses import asdict

    from aiprod.base.state import workspace
    from aiprod.data.ingest.outdated_clips import affected as find
    from aiprod.governance.dataset.records import Records
    from aiprod.storage.crypto.film_encryption import Vault

    records = Records(workspace(), vault=Vault())
    clips = list(find(records.films.values(), records.clips.values()))
    if as_json:
        typer.echo(json.dumps([asdict(clip) for clip in clips], indent=1, ensure_ascii=False))
        return
    for clip in clips:
        typer.echo(f"{clip.clip_id} {'damaged' if clip.certain else 'may be damaged'}: {'; '.join(clip.why)}")
    remedy = "; `dvc repro` ingests their films again" if clips else ""
    typer.echo(f"{len(clips)} of {len(records.clips)} clips{remedy}")


@dataset.command()
def publish(note: Annotated[str, typer.Option(help="one line for the changelog")]) -> None:
    """Publish the current state as the next version: a file in datasets/versions, to be committed to git.

    Example: aiprod dataset publish --note "first version" && git add datasets/versions
    """
    from aiprod.base.state import workspace
    from aiprod.governance.audit.log import AuditLog, Event
    from aiprod.governance.dataset.version import PUBLISHED
    from aiprod.governance.dataset.version import publish as write

    entry = write(workspace(), note)
    counts = {"rows": entry.rows, "added": entry.added, "removed": entry.removed, "changed": entry.changed}
    committed = {"merkle_root": entry.merkle_root, "entry": entry.model_dump(mode="json")}
    AuditLog().append([Event("export", f"dataset/{entry.version}", counts, committed)])
    typer.echo(
        f"{PUBLISHED}/{entry.version}.json: {entry.added} added, {entry.removed} removed, {entry.changed} changed; "
        "commit it, then `dvc repro dossier`"
    )


def register(app: typer.Typer) -> None:
    """Add the command group to ``app``."""
    from aiprod.commands.shards import shards

    dataset.add_typer(shards, name="shards")
    app.add_typer(dataset, name="dataset")
