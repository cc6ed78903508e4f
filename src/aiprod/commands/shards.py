"""``aiprod dataset shards``: what is packed, whether it is whole, and changing the layout of a folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aiprod.printable import counted

if TYPE_CHECKING:
    from aiprod.storage.shards.shards import Shards

shards = typer.Typer(no_args_is_help=True, help="Objects packed into shards: list, find, verify, migrate.")
_JSON = Annotated[bool, typer.Option("--json", help="one JSON object on standard output")]


def _folders() -> list[Path]:
    from aiprod.base.state import workspace

    folders = ("raw", "processed", "qc/measure/thumbs", "latents")
    return [p for folder in folders if (p := workspace() / "datasets" / "v1" / folder).is_dir()]


@shards.command("list")
def list_(
    members: Annotated[bool, typer.Option("--members", help="name every packed object, with shard and size")] = False,
    as_json: _JSON = False,
) -> None:
    """Show for raw, processed, thumbs and latents how many objects are in how many shards.

    Example: aiprod dataset shards list
    """
    from aiprod.storage.shards.shards import Shards

    described: dict[str, Any] = {}
    for folder in _folders():
        about = described[folder.name] = _about(Shards(folder))
        if members:
            for path in Shards(folder).paths():
                for member in Shards(folder).index(path).members.values():
                    typer.echo(f"{folder.name}/{member.name} {path.name} {member.size}", err=as_json)
        if not as_json:
            size = (
                f"{about['objects']} objects of {about['bytes'] / 2**20:.1f} MiB in {counted(about['shards'], 'shard')}"
            )
            typer.echo(f"{folder.name}: {size if about['shards'] else 'one file for each object'}")
    if as_json:
        typer.echo(json.dumps(described, indent=1))


def _about(packed: Shards) -> dict[str, int]:
    paths = packed.paths()
    sizes = [member.size for path in paths for member in packed.index(path).members.values()]
    largest = max((path.stat().st_size for path in paths), default=0)
    return {"shards": len(paths), "objects": len(sizes), "bytes": sum(sizes), "largest_shard_bytes": largest}


@shards.command()
def find(
    object_id: Annotated[str, typer.Argument(metavar="ID", help="a film (f…) or a clip (c…)")],
    as_json: _JSON = False,
) -> None:
    """Show which shards hold the objects of a film or a clip, and at which offsets.

    Example: aiprod dataset shards find c4h3jzwf2qq3jbukm-000
    """
    from aiprod.errors import AiprodError
    from aiprod.storage.crypto.film_encryption import film_of
    from aiprod.storage.shards.shards import Shards

    matches = []
    for folder in _folders():
        packed = Shards(folder)
        for name in packed.of_film(film_of(object_id)):
            place = packed.find(name)
            if place is not None and Path(name).name.split(".", 1)[0] in (object_id, film_of(object_id)):
                shard, member = place
                entry = {"name": f"{folder.name}/{name}", "shard": shard.name, "offset": member.offset}
                matches.append({**entry, "size": member.size, "sha256": member.sha256})
    if not matches:
        raise AiprodError(f"nothing of {object_id} is in a shard", "`aiprod dataset shards list` shows what is")
    if as_json:
        typer.echo(json.dumps(matches, indent=1))
        return
    for entry in matches:
        typer.echo(f"{entry['name']}: {entry['shard']}, {entry['size']} bytes from {entry['offset']}")


@shards.command()
def verify() -> None:
    """Read every shard and name each one, and each object, that is not as it was packed. Exit status 1 if any is.

    Example: aiprod dataset shards verify
    """
    count = _verify(_folders())
    if count:
        raise typer.Exit(1)


def _verify(folders: list[Path]) -> int:
    from aiprod.base.state import workspace
    from aiprod.storage.shards.archive import REMEDY
    from aiprod.storage.shards.shards import Shards

    wrong = 0
    for folder in folders:
        packed = Shards(folder.relative_to(workspace()) if Path.cwd() == workspace() else folder)
        for fault in packed.faults():
            typer.echo(fault)
            wrong += 1
        typer.echo(f"{folder.name}: {counted(len(packed.paths()), 'shard')} read")
    if wrong:
        typer.echo(f"{counted(wrong, 'fault')}: {REMEDY}")
    return wrong


@shards.command()
def migrate(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would be done; change nothing")] = False,
) -> None:
    """Bring raw, processed, thumbs and latents into the layout that params.yaml asks for (`shards`), and verify it.

    Every shard is whole before a file is removed; after an interruption the same call goes on. What readers get does
    not change, but the files that DVC lists do: `dvc commit -f` records them, so that nothing runs again.

    Example: aiprod dataset shards migrate && dvc commit -f
    """
    from aiprod.base.params import load_params
    from aiprod.base.state import state, workspace
    from aiprod.storage.shards.packing import arrange, planned
    from aiprod.storage.shards.params import ShardParams

    params = load_params(ShardParams, "shards", workspace() / "params.yaml")
    for folder in _folders():
        objects, number = planned(folder, params)
        what = f"{counted(number, 'shard')}" if number else "one file for each object"
        if dry_run:
            typer.echo(f"{folder.name}: {counted(objects, 'object')} → {what}")
            continue
        done = arrange(folder, params, state().cache("shards") / folder.name)
        counts = f"{done.written} written, {done.reused} as they were" if number else ""
        typer.echo(f"{folder.name}: {counted(objects, 'object')} → {what}{counts and f' ({counts})'}")
    if not dry_run:
        if _verify(_folders()):
            raise typer.Exit(1)
        typer.echo("record it with `dvc commit -f` if `dvc status` was clean before, else with `dvc repro`")
