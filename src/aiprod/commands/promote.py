"""``aiprod promote``: a model becomes candidate or champion in MLflow's registry, if its gate is open."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from aiprod.commands.options import As
from aiprod.printable import counted


class Alias(StrEnum):
    """The aliases that have a gate."""

    CANDIDATE = "candidate"
    CHAMPION = "champion"


def promote(
    alias: Annotated[Alias, typer.Argument(help="the alias to set")],
    model: Annotated[
        str | None, typer.Argument(help="version, alias or run in the registry; default: the workspace's model")
    ] = None,
    name: As = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="check the gate and change nothing")] = False,
) -> None:
    """Give a model the alias candidate or champion in MLflow, or list what prevents it (exit code 1).

    A candidate is better than chance on held-out data, its samples copy no training clip, every right and consent
    behind it holds now, its lineage and the audit log verify. A champion is a candidate whose samples follow their
    prompts, and whose clips were reviewed in a random sample that excludes 5 % defects.

    Example: aiprod promote candidate --as operator · aiprod promote champion --as operator
    """
    from aiprod.base.state import workspace
    from aiprod.commands.promotion_gate import lacking
    from aiprod.governance.audit.log import AuditLog, Event
    from aiprod.governance.policy.roles import require
    from aiprod.tracking.promotion import Registry
    from aiprod.tracking.state import LockedState, track_params

    root = workspace()
    person = require(name, "promote", subject=f"model/{alias}", root=root)
    registry = Registry(track_params(), LockedState.read(root / "dvc.lock"))
    version = registry.version(alias, model)
    against = lacking(root, alias)
    if alias is Alias.CHAMPION and not registry.has(version, Alias.CANDIDATE):
        against.insert(0, "it is not the candidate → `aiprod promote candidate`")
    if not dry_run:
        facts = {"promoted": alias.value, "granted": not against, "against": len(against)}
        committed = {"actor": person.name, "version": version.number, "md5": version.md5, "reasons": against}
        AuditLog().append([Event("model", f"model/{alias}", facts, committed)])
    if against:
        typer.echo(f"{version.name} {version.number} ({version.run}) stays as it is: {counted(len(against), 'reason')}")
        for reason in against:
            typer.echo(f"  - {reason}")
        raise typer.Exit(1)
    if dry_run:
        typer.echo(f"{version.name} {version.number} ({version.run}) may become {alias}")
        return
    registry.promote(version, alias)
    instead = f", in place of {version.held_by}" if version.held_by not in (None, version.number) else ""
    typer.echo(f"{version.name} {version.number} ({version.run}) is {alias}{instead}: models:/{version.name}@{alias}")


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command()(promote)
