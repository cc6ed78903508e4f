"""``aiprod doctor``: what this machine has, what is wrong, and the mend."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

_MARKS = {"ok": "ok  ", "note": "·   ", "warn": "warn", "bad": "BAD "}


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object a line")] = False,
    before_run: Annotated[
        bool, typer.Option("--before-run", help="mend what can safely be mended, say what stops a run, else nothing")
    ] = False,
) -> None:
    """Look at this machine and this workspace. Exit code 1 when something would stop a run.

    Example: aiprod doctor
    """
    from aiprod.base.state import workspace
    from aiprod.governance import dvc_locks
    from aiprod.governance.health import examine

    if before_run and dvc_locks.mend(workspace()):
        typer.echo(f"removed {dvc_locks.RWLOCK}, which a killed DVC left damaged; no DVC is at work here", err=True)
    findings = examine(workspace(), quick=before_run)
    if as_json:
        for finding in findings:
            typer.echo(json.dumps(asdict(finding), ensure_ascii=False))
    else:
        for finding in findings:
            if before_run and finding.state in ("ok", "note"):
                continue
            mend = f" → {finding.mend}" if finding.mend else ""
            typer.echo(f"{_MARKS[finding.state]} {finding.name}: {finding.text}{mend}", err=before_run)
    if any(f.state == "bad" for f in findings):
        raise typer.Exit(2 if before_run else 1)


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command()(doctor)
