"""``aiprod sources``: where policy and facts disagree, and decisions about a source by who may take them."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aiprod.commands.options import As
from aiprod.printable import counted

if TYPE_CHECKING:
    from aiprod.governance.policy.source_policy import Policy, PolicyDecision

sources = typer.Typer(no_args_is_help=True, help="The declared sources of films and their rights.")

Source = Annotated[str, typer.Argument(help="id of a source in datasets/sources.yaml")]
Reason = Annotated[str, typer.Option(help="reason, in one sentence; the audit log commits to it")]


@sources.command()
def check(as_json: bool = typer.Option(False, "--json", help="one JSON object per line")) -> None:
    """Show each source with its effective right, and each contradiction between policy and facts, with proof.

    Ingest refuses a source that the facts deny, even if the policy approves it.

    Example: aiprod sources check
    """
    from aiprod.base.state import workspace
    from aiprod.data.sources.registry import load_sources
    from aiprod.governance.policy.conflicts import check_sources

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


@sources.command()
def inspect(  # noqa: PLR0917 - options of a command
    place: Annotated[str, typer.Argument(help="folder, s3:// or https:// address")],
    source: Annotated[
        str | None,
        typer.Option("--source", help="judge by this source's declaration (default: the source in that folder)"),
    ] = None,
    adapter: Annotated[
        str | None,
        typer.Option(help="kind of source; see `aiprod sources adapters` (default: from the files)"),
    ] = None,
    template: Annotated[bool, typer.Option("--template", help="write SOURCES.csv with the films' names")] = False,
    read_gib: Annotated[float, typer.Option(min=0, help="open local films up to this many GiB in total")] = 8.0,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object with every film")] = False,
) -> None:
    """Show what would be ingested from a folder, a bucket or a web server, and why. Only --template writes anything.

    Lists films, what is understood of the tables beside them, each film's right with its reasons, and what is missing.

    Example: aiprod sources inspect ~/films
    """
    from aiprod.data.inspection.inspect_source import inspect as look_at
    from aiprod.data.inspection.plan import plan_of
    from aiprod.data.inspection.template import write_template
    from aiprod.data.inspection.text_report import as_values, in_words
    from aiprod.printable import json_text

    inspection = look_at(plan_of(place, source, adapter), round(read_gib * 2**30))
    written = write_template(inspection) if template else None
    if as_json:
        typer.echo(json_text(json.dumps(as_values(inspection), ensure_ascii=False)))
    else:
        typer.echo(in_words(inspection, written[0] if written else None))
    if written:
        path, count = written
        typer.echo(f"wrote {path} with {counted(count, 'film')}: fill in licence and personal_data_basis", err=True)


@sources.command()
def adapters() -> None:
    """List the adapters: the kinds of source that can be declared.

    Example: aiprod sources adapters
    """
    from aiprod.data.sources.registry import described

    typer.echo(described())


@sources.command()
def approve(source: Source, reason: Reason, actor: As = None) -> None:
    """Approve a source in the policy. This is necessary but never sufficient: whatever else denies is printed.

    Example: aiprod sources approve open-film --reason "licences of all films were looked up" --as operator
    """
    _decide(source, "approved", reason, actor)


@sources.command()
def prohibit(source: Source, reason: Reason, actor: As = None) -> None:
    """Prohibit a source in the policy: the next `dvc repro` denies its films and retrains without them.

    Example: aiprod sources prohibit open-film --reason "a notice came in" --as operator
    """
    _decide(source, "prohibited", reason, actor)


@sources.command()
def contract(
    source: Source,
    file: Annotated[Path, typer.Argument(help="YAML: id, license_symbol, expires, permits_training, obligations")],
    reason: Reason,
    actor: As = None,
) -> None:
    """Register a licence contract for a source, replacing the previous one.

    Example: aiprod sources contract shutterstock contract.yaml --reason "signed on 2 March" --as operator
    """
    from aiprod.base.state import workspace
    from aiprod.governance.policy.source_policy import register as take

    _say(take(workspace(), source, file, reason, actor))


def _decide(source: str, policy: Policy, reason: str, actor: str | None) -> None:
    from aiprod.base.state import workspace
    from aiprod.governance.policy.source_policy import decide

    _say(decide(workspace(), source, policy, reason, actor))


def _say(decision: PolicyDecision) -> None:
    after = decision.after
    typer.echo(f"{decision.source_id}: policy {decision.before.policy_approval} → {after.policy_approval}")
    if after.contract is not None and after.contract != decision.before.contract:
        end = f"until {after.contract.expires}" if after.contract.expires else "without an end"
        permits = "permits" if after.contract.permits_training else "does not permit"
        typer.echo(f"contract {after.contract.id} ({after.contract.license_symbol}) {permits} training, {end}")
        if after.contract.expires and after.contract.expires < dt.date.today():
            typer.echo("  that day has passed: the contract denies")
    if decision.right.permits_training or decision.against:
        typer.echo(f"effective right of the source: {decision.right.right.replace('_', ' ')}")
    else:
        typer.echo("effective right: as the licence of each film has it")
    for line in decision.against:
        typer.echo(f"  - {line}")
    typer.echo("next: git add datasets/sources.yaml && git commit; dvc repro")


def register(app: typer.Typer) -> None:
    """Add the command group to ``app``."""
    app.add_typer(sources, name="sources")
