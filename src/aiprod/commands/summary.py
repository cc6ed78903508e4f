"""``aiprod summary``: what the last run is worth, on one screen."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from aiprod.commands.run_results import SummaryTable


def summary(
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object on standard output")] = False,
    places: Annotated[bool, typer.Option("--where", help="also print where the results are")] = False,
) -> None:
    """Summarise the last run: time per stage, quality compared with chance, counts, what is left to do.

    Example: aiprod summary
    """
    from dataclasses import asdict

    from aiprod.base.state import workspace
    from aiprod.commands.run_results import tables
    from aiprod.errors import AiprodError

    results = tables(workspace())
    if not any(table.rows for table in results):
        raise AiprodError("nothing has been made here yet", "run `make repro` first")
    if as_json:
        typer.echo(json.dumps([asdict(table) for table in results], ensure_ascii=False))
        return
    for table in results:
        if table.rows or table.note:
            typer.echo("\n".join(_lines(table)))
    if places:
        from aiprod.commands.where import where

        where()


def _lines(table: SummaryTable) -> list[str]:
    """A heading, the rows in columns as wide as they need, and the note."""
    lines = ["", table.title]
    widths = [max(len(row[place]) for row in table.rows) for place in range(len(table.rows[0]))] if table.rows else []
    for row in table.rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        lines.append(f"  {'  '.join(cells)}".rstrip())
    return [*lines, *([f"  {table.note}"] if table.note else [])]


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command()(summary)
