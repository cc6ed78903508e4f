"""``aiprod doctor``: what this machine has, what is wrong, and the fix."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from aiprod.commands.health import Diagnosis

_MARKS = {"ok": "ok  ", "note": "·   ", "warn": "warn", "bad": "BAD "}


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object per line")] = False,
    before_run: Annotated[
        bool, typer.Option("--before-run", help="repair what can be repaired safely; report only what would stop a run")
    ] = False,
) -> None:
    """Check this machine and this workspace. Exit code 1 if something would stop a run.

    Example: aiprod doctor
    """
    from aiprod.base import timing
    from aiprod.base.state import workspace
    from aiprod.commands.health import examine
    from aiprod.repo import dvc_locks

    if before_run and dvc_locks.repair(workspace()):
        typer.echo(f"removed {dvc_locks.RWLOCK}, which a killed DVC left damaged; no DVC is at work here", err=True)
    if before_run:
        timing.run_begins()
    findings = examine(workspace(), quick=before_run)
    if not any(f.name == "params.yaml" and f.state == "bad" for f in findings):
        findings += _wrong_values(workspace() / "params.yaml", again=not before_run)
    if as_json:
        for finding in findings:
            typer.echo(json.dumps(asdict(finding), ensure_ascii=False))
    else:
        for finding in findings:
            if before_run and finding.state in ("ok", "note"):
                continue
            hint = f" → {finding.hint}" if finding.hint else ""
            typer.echo(f"{_MARKS[finding.state]} {finding.name}: {finding.text}{hint}", err=before_run)
    if any(f.state == "bad" for f in findings):
        raise typer.Exit(2 if before_run else 1)


def _wrong_values(path: Path, *, again: bool) -> list[Diagnosis]:
    """What the models of the stages say of the parameter file, before the first of them runs.

    A file that was found good is not looked at a second time, unless ``again`` is asked for.
    """
    from aiprod.commands.checked_params import identity_of, remember, was_good
    from aiprod.commands.health import Diagnosis
    from aiprod.errors import AiprodError

    if not again and was_good(path):
        return []
    from aiprod.commands.param_files import check_file

    decided_by = identity_of(path)
    try:
        check_file(path)
    except AiprodError as error:
        return [Diagnosis("params.yaml", "bad", error.what.removeprefix(f"{path}: "), error.hint)]
    remember(decided_by)
    return []


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command()(doctor)
