"""``aiprod review``: draw clips nobody can choose, look at them, record what was decided, report with bounds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from aiprod.commands.options import As
from aiprod.printable import counted

if TYPE_CHECKING:
    from aiprod.governance.review.report import Stratum

review = typer.Typer(
    no_args_is_help=True, help="Manual quality control: random samples, a review page, decisions, error bounds."
)


@review.command()
def sample(
    name: Annotated[str, typer.Argument(help="name of the sample, such as 2026-Q4")],
    announce: Annotated[
        str | None,
        typer.Option(help="first step: which future public value will determine the draw, and when it will be known"),
    ] = None,
    value: Annotated[str | None, typer.Option(help="second step: that value, as published")] = None,
    actor: As = None,
) -> None:
    """Draw a random sample of approved clips: 5 % of each source and licence, at least 59 or all.

    Announce first, commit, then draw when the public value is known, so that nobody can influence the choice.

    Example: aiprod review sample 2026-Q4 --announce "NIST beacon, first pulse of 2026-12-01 UTC" --as operator
    """
    from aiprod.base.state import workspace
    from aiprod.errors import AiprodError
    from aiprod.governance.audit.checkpoint import FOLDER
    from aiprod.governance.audit.log import AuditLog
    from aiprod.governance.policy.roles import require
    from aiprod.governance.review.sampling import SAMPLES, draw
    from aiprod.governance.review.sampling import announce as fix

    if (announce is None) == (value is None):
        raise AiprodError("a sample takes two steps", "first --announce TEXT, then --value V when it is known")
    root, log = workspace(), AuditLog()
    somebody = require(actor, "draw_sample", subject=f"sample/{name}", root=root, log=log)
    if announce is not None:
        fixed = fix(root, name, announce, somebody, log)
        size, groups = counted(sum(fixed.strata.values()), "clip"), counted(len(fixed.strata), "stratum", "strata")
        typer.echo(f"{SAMPLES / name}.json: {size} in {groups}, fixed by")
        typer.echo(f"checkpoint {fixed.checkpoint_size}. Commit {SAMPLES} and {FOLDER} now; when the value is known:")
        typer.echo(f"  aiprod review sample {name} --value VALUE")
        return
    drawn = draw(root, name, value or "", somebody, log)
    for stratum, clips in drawn.drawn.items():
        typer.echo(f"{len(clips):>6} of {drawn.strata[stratum]:<6} {stratum}")
    typer.echo(f"commit {SAMPLES}; look at them with: aiprod review serve {name}")


@review.command()
def serve(
    name: Annotated[str | None, typer.Argument(help="a drawn sample; default: the clips at REVIEW_NEEDED")] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="port on 127.0.0.1; 0 = any free port")] = 8765,
    actor: As = None,
) -> None:
    """Serve the review page on this machine: playback, and decisions by keyboard. The printed address is its key.

    Example: aiprod review serve 2026-Q4 --as operator
    """
    from aiprod.base.state import workspace
    from aiprod.governance.audit.log import AuditLog
    from aiprod.governance.policy.roles import require
    from aiprod.governance.review.server import ReviewServer
    from aiprod.governance.review.session import Sitting

    root, log = workspace(), AuditLog()
    sitting = Sitting(root, require(actor, "review", root=root, log=log), name, log)
    server = ReviewServer(sitting, port)
    who = sitting.actor
    typer.echo(f"{counted(len(sitting.clips()), 'clip')} for {who.name} ({who.role}); stop with Ctrl-C")
    typer.echo(f"open {server.url} (whoever has this address may decide as {who.name}: keep it to yourself)")
    with server.serving():
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            typer.echo("decisions are in datasets/reviews/verdicts.jsonl: commit them, then `dvc repro`")


@review.command()
def record(  # noqa: PLR0917 (typer calls it)
    clip_id: Annotated[str, typer.Argument()],
    verdict: Annotated[str, typer.Argument(help="APPROVED, REVIEW_NEEDED or REJECTED")],
    note: Annotated[str, typer.Option(help="reason; do not name people")] = "",
    sample: Annotated[str | None, typer.Option(help="the drawn sample that the clip was reviewed for")] = None,
    basis: Annotated[str | None, typer.Option(help="GDPR Art. 6 basis for the people shown")] = None,
    basis_ref: Annotated[str | None, typer.Option(help="reference to the record of that basis")] = None,
    actor: As = None,
) -> None:
    """Record a decision on one clip. It takes effect on the next `dvc repro`.

    Example: aiprod review record cabcdefghijklmnop-000 REJECTED --note "logo in the corner" --as operator
    """
    from aiprod.base.state import workspace
    from aiprod.governance.review.recording import Decision
    from aiprod.governance.review.recording import record as write
    from aiprod.qc.decide.reviews import REVIEWS

    wanted = Decision(clip_id, verdict.upper(), note, sample, basis, basis_ref)  # type: ignore[arg-type]
    done = write(workspace(), wanted, actor)
    by = ", ".join(f"{action} as {role}" for action, role in done.authority.items())
    typer.echo(f"{done.clip_id}: {done.automatic} → {done.verdict} by {done.reviewer} ({by}); commit {REVIEWS}")


@review.command("list")
def list_() -> None:
    """List the clips at REVIEW_NEEDED that nobody has reviewed yet, one per line, with film and reasons.

    Example: aiprod review list
    """
    from aiprod.base.state import workspace
    from aiprod.governance.dataset.records import Records
    from aiprod.governance.review.report import waiting
    from aiprod.printable import escape_controls
    from aiprod.qc.decide.reviews import REVIEWS, load_reviews

    root = workspace()
    facts = Records(root)
    for clip_id in waiting(facts, load_reviews(root / REVIEWS)):
        film = facts.films[facts.clips[clip_id].film_id]
        name = escape_controls(f"{film.source_id}/{film.key}")
        typer.echo(f"{clip_id}  {name}  {'; '.join(facts.verdicts[clip_id].reasons)}")


@review.command()
def report(
    name: Annotated[str | None, typer.Argument(help="one sample; default: all")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object")] = False,
) -> None:
    """Report the results, with exact bounds on the share of defects. Exit code 1 if the review fails.

    It fails if a finished stratum does not exclude 5 % defects, a sample does not follow from its public value, or a
    line of datasets/reviews/verdicts.jsonl is not in the audit log.

    Example: aiprod review report 2026-Q4
    """
    from aiprod.base.state import workspace
    from aiprod.governance.audit.log import AuditLog
    from aiprod.governance.review.report import report as read

    reviewed = read(workspace(), name, AuditLog())
    if as_json:
        typer.echo(json.dumps(reviewed.document(), indent=1, ensure_ascii=False))
    else:
        for one in reviewed.samples:
            again = {True: ", drawn again: the same clips", False: ", NOT what its value draws", None: ""}[one.redrawn]
            typer.echo(f"{one.name}: {'drawn' if one.drawn else 'announced'} by {one.public_value}{again}")
            for stratum in one.strata:
                typer.echo(f"  {_line(stratum)}")
        typer.echo(
            f"{reviewed.reviews} reviews, {reviewed.overridden} verdicts changed by them, {len(reviewed.waiting)} wait"
        )
        for line in reviewed.unlogged:
            typer.echo(f"NOT IN THE LOG: {line}")
    refuted = [s for one in reviewed.samples if one.done for s in one.strata if not s.excludes_limit]
    if refuted or reviewed.unlogged or any(one.redrawn is False for one in reviewed.samples):
        raise typer.Exit(1)


def _line(stratum: Stratum) -> str:
    bounds = stratum.bounds
    seen = f"{stratum.defects} defects in {stratum.looked_at} of {stratum.clips} clips"
    if bounds.share is None:
        return f"{stratum.stratum}: nothing looked at yet ({stratum.drawn} drawn)"
    if bounds.exact:
        return f"{stratum.stratum}: {seen}: {bounds.share:.1%}, all were looked at; {stratum.verdict}"
    interval = f"95 % interval {bounds.low:.1%} to {bounds.high:.1%}, at most {bounds.upper:.1%} at 95 %"
    return f"{stratum.stratum}: {seen}: {bounds.share:.1%}, {interval}; {stratum.verdict}"


def register(app: typer.Typer) -> None:
    """Add the command group to ``app``."""
    app.add_typer(review, name="review")
