"""``aiprod sources check``: every source with what the policy says, what the facts allow, and where they disagree."""

from __future__ import annotations

import json
from dataclasses import asdict

import typer

sources = typer.Typer(no_args_is_help=True, help="The declared sources of film and their rights.")


@sources.command()
def check(as_json: bool = typer.Option(False, "--json", help="one JSON object a line")) -> None:
    """Print each source with its effective right and each contradiction between policy and facts, with proof.

    A source that the policy approves and the facts deny is refused at ingest whatever this prints.

    Example: aiprod sources check
    """
    from aiprod.base.state import workspace
    from aiprod.data.sources import load_sources
    from aiprod.governance.contradictions import check_sources

    findings = check_sources(load_sources(workspace() / "datasets" / "sources.yaml"))
    if as_json:
        for finding in findings:
            typer.echo(json.dumps(asdict(finding), ensure_ascii=False))
        return
    disagree = [f for f in findings if f.verdict == "contradiction"]
    for finding in findings:
        if finding.verdict != "contradiction":
            both = f"policy {finding.policy:<11} facts {finding.right:<23}"
            typer.echo(f"{finding.source_id:<24} {both} {finding.verdict}")
    typer.echo(f"\n{len(disagree)} contradictions: approved by policy, denied by the facts (confidence of the facts)")
    for finding in disagree:
        typer.echo(f"\n{finding.source_id} ({finding.title}; confidence {finding.confidence})")
        if finding.note:
            typer.echo(f"  {finding.note}")
        for line in finding.proof:
            typer.echo(f"  - {line}")


def register(app: typer.Typer) -> None:
    """Add the command group to ``app``."""
    app.add_typer(sources, name="sources")
