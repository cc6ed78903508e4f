"""``aiprod erase``: takes a film or a voice and everything that identifies it out of every store, and certifies it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aiprod.printable import counted

if TYPE_CHECKING:
    from aiprod.governance.erasure.erase import ErasurePlan
    from aiprod.governance.erasure.procedure import Done
    from aiprod.governance.erasure.scan import Count
    from aiprod.storage.crypto.film_encryption import Vault


def erase(  # noqa: PLR0917
    what: Annotated[
        str | None, typer.Argument(help="id of film, clip or speaker, verify or resume", show_default=False)
    ] = None,
    cert: Annotated[Path | None, typer.Argument(help="with `verify`: the certificate", show_default=False)] = None,
    sha256: Annotated[str | None, typer.Option(help="SHA-256 of the file as it was ingested")] = None,
    source_url: Annotated[str | None, typer.Option(help="URL of the film, as stated in its sidecar")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="show what would be done, without changing anything")
    ] = False,
    name: Annotated[str | None, typer.Option("--as", help="who decides; a name in datasets/roles.yaml")] = None,
) -> None:
    """Erase a film: destroy its key, delete what is within reach, search every store, write a signed certificate.

    A speaker (`s0…`, or as their source calls them) is erased in the same way, with all their recordings.

    A clip is a shot of a film and part of the raw film, so the whole film is erased. Exit code 1 if something is still
    unencrypted somewhere (the output says where), or if a certificate does not verify. Everything that can fail is
    tried first; `resume` finishes an erasure that was interrupted nevertheless, which `aiprod audit verify` and `aiprod
    doctor` report until then.

    Example: aiprod erase c0abcdefghijklmnop-000 --dry-run

    Example: aiprod erase --source-url https://example.org/film --as operator

    Example: aiprod erase resume --as operator

    Example: aiprod erase verify datasets/erasures/20260101-abcdefgh.json
    """
    from aiprod.base.state import workspace
    from aiprod.errors import AiprodError
    from aiprod.governance.audit import unfinished_erasures as unfinished
    from aiprod.governance.erasure.erase import plan, search
    from aiprod.governance.erasure.procedure import carry_out
    from aiprod.governance.erasure.resolve import ErasureRequest
    from aiprod.governance.policy.roles import require
    from aiprod.storage.crypto.film_encryption import Vault

    root = workspace()
    if what == "verify":
        if cert is None:
            raise AiprodError("no certificate is named", "give a file of datasets/erasures")
        _verify(root, cert)
        return
    if what == "resume":
        _resume(root, Vault(), name)
        return
    request, vault = ErasureRequest(what, sha256, source_url), Vault()
    if dry_run:
        for line in unfinished.problems():
            typer.echo(f"note: {line}")
        todo = plan(root, request, vault)
        _say_plan(todo)
        _say_counts(search(todo), len(todo.consents))
        typer.echo("nothing was changed (--dry-run)")
        return
    actor = require(name, "erase", subject=what or "")
    if waiting := unfinished.problems():
        raise AiprodError(waiting[0])
    todo = plan(root, request, vault)
    _say_plan(todo)
    done = carry_out(todo, vault, actor=actor.name, role=actor.role)
    if _say_certificate(root, done):
        raise typer.Exit(1)


def _resume(root: Path, vault: Vault, name: str | None) -> None:
    from aiprod.governance.audit.unfinished_erasures import unfinished
    from aiprod.governance.erasure.procedure import resume
    from aiprod.governance.policy.roles import require

    actor = require(name, "erase", subject="resume")
    left = 0
    for waiting in (names := unfinished()):
        typer.echo(f"finishing the erasure {waiting}")
        left += _say_certificate(root, resume(root, waiting, vault, actor=actor.name, role=actor.role))
    if not names:
        typer.echo("no erasure is unfinished")
    if left:
        raise typer.Exit(1)


def _verify(root: Path, cert: Path) -> None:
    from aiprod.governance.erasure.certificate import verify

    checked = verify(root, cert)
    for line in checked.holds:
        typer.echo(f"holds: {line}")
    for line in checked.problems:
        typer.echo(f"FAILS: {line}")
    if checked.problems:
        raise typer.Exit(1)


def _say_plan(todo: ErasurePlan) -> None:
    from aiprod.printable import escape_controls

    spoken = todo.voices
    clips = sum(len(target.clips) for target in todo.targets if target.film_id not in spoken)
    if films := ", ".join(sorted(todo.films - spoken)):
        typer.echo(f"films to erase: {films} with {counted(clips, 'clip')}; a film goes with all its shots")
    for target in (t for t in todo.targets if t.film_id in spoken):
        what = counted(len(target.clips), "recording")
        typer.echo(f"voice to erase: s{target.film_id[1:]} with {what}; a voice goes with all its recordings")
    typer.echo(f"  working tree: {len(todo.objects)} objects; memo: {todo.memo} results; keys: {len(todo.targets)}")
    for path in todo.sources:
        inside = path.is_relative_to(todo.repository)
        what = "is also deleted" if inside else "is outside the repository: delete it yourself"
        typer.echo(f"  source file {escape_controls(path)}: {what}")
    for path in todo.beside.about:
        typer.echo(f"  file beside it {escape_controls(path)}: is also deleted")
    for path, count in todo.beside.tables.items():
        typer.echo(f"  table {escape_controls(path)}: {count} of its lines are deleted")
    for path, why in todo.beside.left.items():
        typer.echo(f"  left: {escape_controls(path)} ({why})")
    for model in todo.models:
        for md5, revisions in model.affected.items():
            where = ", ".join(r if " " in r else r[:9] for r in revisions)
            typer.echo(f"  model {model.model} {md5[:12]} saw it {counted(model.showings[md5], 'time')} ({where})")
        last = model.last_unexposed
        none = "none of those that are known" if model.unknown else "none, train again from the start"
        words = f"{last['md5'][:12]} ({last['revision'][:12]})" if last else none
        typer.echo(f"  model {model.model}: the last version that never saw it is {words}")
        if model.unknown:
            unknown = len(model.unknown)
            typer.echo(
                f"    of {counted(unknown, 'version')} in git it is not known whether they saw it: their exposure "
                "ledgers are not in DVC's cache (`dvc fetch -A` gets them)"
            )
    for cost in todo.costs:
        took = f", about {cost.seconds / 60:.1f} min" if cost.again and cost.seconds is not None else ""
        typer.echo(f"  {cost.stage} makes {cost.again} of its {counted(cost.steps, 'step')} again{took}")
    if todo.samples:
        typer.echo(f"  generated by an affected model: {', '.join(todo.samples)}")
    for digest, what in todo.released.items():
        typer.echo(f"  released {escape_controls(what)}; ask for it back: sha256 {digest}")
    if todo.consents:
        typer.echo(f"  kept as proof: {counted(len(todo.consents), 'consent record')} ({', '.join(todo.consents)})")
    for film, lines in todo.finished.items():
        typer.echo(f"  film {escape_controls(film)} uses it; make it again without:")
        for line in lines:
            typer.echo(f"    {escape_controls(line)}")


def _say_counts(counts: dict[str, Count], consents: int) -> None:
    from aiprod.governance.erasure.words import kept_lines

    typer.echo("in the clear:      objects   bytes-of-it   hashes   names")
    for store, count in counts.items():
        if count.skipped:
            typer.echo(f"  {store:<16} not searched whole: {count.skipped}")
        if not count.skipped or count.objects:
            typer.echo(f"  {store:<16} {count.objects:>7} {count.pieces:>13} {count.hashes:>8} {count.names:>7}")
        for place in count.where:
            typer.echo(f"      {place}")
    for line in kept_lines(consents, {store: count.consents for store, count in counts.items()}):
        typer.echo(line)


def _say_certificate(root: Path, done: Done) -> int:
    """Print what was found afterwards; how many stores still hold something or could not be searched."""
    from aiprod.governance.erasure.words import certificate_lines

    lines, left = certificate_lines(root, done)
    for line in lines:
        typer.echo(line)
    return left


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command()(erase)
