"""``aiprod consent``: records of consent, what rests on each, and withdrawal."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from aiprod.commands.options import As
from aiprod.printable import counted

consent = typer.Typer(no_args_is_help=True, help="Consent of the people seen and heard: records and withdrawal.")


@consent.command()
def show(record: Annotated[str | None, typer.Argument(help="one record; default: all")] = None) -> None:
    """Print records with their state, and the films and clips that depend on each.

    Example: aiprod consent show 2026-014
    """
    from aiprod.base.state import workspace
    from aiprod.governance.policy.consent import find, reach
    from aiprod.rights.agreements import CONSENT, load_consents

    root = workspace()
    known = [find(root, record)] if record else list(load_consents(root / CONSENT).values())
    for one in known:
        rests = reach(root, one.record_id)
        until = one.events[-1].valid_until
        end = f" until {until}" if until else ""
        what = f"{_resting(rests)}, {len(rests.seen) + len(rests.heard)} of them shown to a model"
        typer.echo(f"{one.record_id}  {one.state}{end}  subject {one.pii_principal_id}  {what}")
        if record:
            for event in one.events:
                typer.echo(f"  {event.event_time.isoformat()}  {event.event_state}  by {event.entity_id}")
            for purpose in one.pii_processing.purposes:
                typer.echo(f"  for {purpose.purpose}: {', '.join(purpose.pii_information)}; {purpose.retention_period}")
            for clip in rests.clips:
                typer.echo(f"  {clip}  shown {counted(rests.seen.get(clip, 0), 'time')}")
            for utterance in rests.utterances:
                typer.echo(f"  {utterance}  heard {counted(rests.heard.get(utterance, 0), 'time')}")
    if not known:
        typer.echo(f"no record in {CONSENT}; its README says what one holds")


@consent.command()
def record(
    file: Annotated[
        Path, typer.Argument(help="YAML file with the fields of ISO/IEC TS 27560", exists=True, dir_okay=False)
    ],
    actor: As = None,
) -> None:
    """Add a consent record to datasets/consent.

    Example: aiprod consent record release-014.yaml --as operator
    """
    from aiprod.base.state import workspace
    from aiprod.governance.policy.consent import record as take

    one = take(workspace(), file, actor)
    typer.echo(f"datasets/consent/{one.record_id}.yaml: {one.state}; commit it, and name it as a film's consent_ref")


@consent.command()
def withdraw(record: Annotated[str, typer.Argument(help="id of the record")], actor: As = None) -> None:
    """Withdraw a consent: the next `dvc repro` denies its films. To erase them as well, use `aiprod erase`.

    Example: aiprod consent withdraw 2026-014 --as operator
    """
    from aiprod.base.state import workspace
    from aiprod.governance.policy.consent import reach
    from aiprod.governance.policy.consent import withdraw as end

    root = workspace()
    one = end(root, record, actor)
    rests = reach(root, one.record_id)
    typer.echo(f"consent {one.record_id} is withdrawn; on it rest: {_resting(rests)}")
    typer.echo("commit datasets/consent; `dvc repro` then denies them, and retrains without them")
    for clip in rests.clips:
        times = rests.seen.get(clip)
        remark = f"  # the model was shown it {counted(times, 'time')}" if times else ""
        typer.echo(f"  aiprod erase {clip}{remark}")
    if rests.heard:
        heard, showings = counted(len(rests.heard), "utterance"), counted(sum(rests.heard.values()), "time")
        typer.echo(f"  the model `speech` heard {heard} {showings}; retrain it")


def _resting(rests: Any) -> str:
    spoken = f", {counted(len(rests.utterances), 'utterance')}" if rests.utterances else ""
    return f"{counted(len(rests.films), 'film')}, {counted(len(rests.clips), 'clip')}{spoken}"


def register(app: typer.Typer) -> None:
    """Add the command group to ``app``."""
    app.add_typer(consent, name="consent")
