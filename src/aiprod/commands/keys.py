"""``aiprod keys``: the keys of films with personal data: status, backup, restore, rotation of the master key."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from aiprod.printable import counted

keys = typer.Typer(
    no_args_is_help=True, help="The keys that encrypt films with personal data: status, backup, restore, rotation."
)

As = Annotated[str | None, typer.Option("--as", help="who you are; a name in datasets/roles.yaml")]


@keys.command()
def status() -> None:
    """Show which master key is in use, how many films have keys, and which backups exist.

    Example: aiprod keys status
    """
    from aiprod.storage.crypto.film_encryption import Vault
    from aiprod.storage.crypto.key_store import KeyStore

    key_status = KeyStore().status()
    typer.echo(f"master key {key_status.master}, from {key_status.master_from}")
    typer.echo(f"films with a key: {key_status.films}, erased: {len(Vault().tombstones)}")
    if key_status.foreign:
        typer.echo(f"{key_status.foreign} keys are wrapped by another master key: they cannot be read")
    if key_status.rotating:
        typer.echo("a key rotation was interrupted: run `aiprod keys rotate` to finish it")
    for backup in key_status.backups:
        day = datetime.fromtimestamp(backup["unix_time_s"], UTC)
        ended = "" if backup["master"] == key_status.master else ", of no use under this master key"
        typer.echo(
            f"backup of {day:%Y-%m-%d %H:%M} UTC: {counted(backup['keys'], 'key')}, "
            f"SHA-256 {backup['sha256'][:16]}…{ended}"
        )
    if key_status.films and not [backup for backup in key_status.backups if backup["master"] == key_status.master]:
        typer.echo("no backup under this master key is known: run `aiprod keys backup FILE`")
    if key_status.foreign:
        raise typer.Exit(1)


@keys.command()
def backup(
    target: Annotated[Path, typer.Argument(help="file to write; it contains wrapped keys, not the master key")],
    name: As = None,
) -> None:
    """Write all wrapped keys to a file. Keep the master key elsewhere: whoever has both can read everything.

    Example: aiprod keys backup /safe/aiprod-keys.json --as operator
    """
    from aiprod.governance.policy.roles import require
    from aiprod.storage.crypto.film_encryption import Vault
    from aiprod.storage.crypto.key_store import KeyStore

    require(name, "manage_keys")
    store = KeyStore()
    count, films = store.backup(target, Vault().tombstones.keys()), len(store.subjects())
    typer.echo(
        f"{target}: {count} wrapped keys ({films} of films, {count - films} of the project and its signatures); "
        "the master key is not in it, keep that in another place"
    )


@keys.command()
def restore(
    source: Annotated[Path, typer.Argument(help="file written by `aiprod keys backup`")], name: As = None
) -> None:
    """Restore missing keys from a backup, except those of erased films.

    Example: aiprod keys restore /safe/aiprod-keys.json --as operator
    """
    from aiprod.governance.policy.roles import require
    from aiprod.storage.crypto.film_encryption import Vault
    from aiprod.storage.crypto.key_store import KeyStore

    require(name, "manage_keys")
    restored, erased = KeyStore().restore(source, set(Vault().tombstones))
    typer.echo(
        f"{counted(restored, 'key')} restored"
        + (f", {erased} left out because their films were erased" if erased else "")
    )


@keys.command()
def rotate(name: As = None) -> None:
    """Wrap every key with a new master key. Backups under the old one become useless.

    A master key in a file is replaced and the old one overwritten. If it is in the environment or in a key management
    service, pass the new one in AIPROD_NEW_MASTER_KEY or AIPROD_NEW_MASTER_KMS, and put it in place afterwards.

    Example: aiprod keys rotate --as operator
    """
    from aiprod.governance.policy.roles import require
    from aiprod.storage.crypto.key_store import KeyStore
    from aiprod.storage.crypto.master_key import LocalKey, MasterKey, from_service, parse

    require(name, "manage_keys")
    new: MasterKey | None = None
    if service := os.environ.get("AIPROD_NEW_MASTER_KMS"):
        new = from_service(service, "AIPROD_NEW_MASTER_KMS")
    elif text := os.environ.get("AIPROD_NEW_MASTER_KEY"):
        new = LocalKey(parse(text, "AIPROD_NEW_MASTER_KEY"))
    count = KeyStore().rotate(new)
    typer.echo(
        f"{counted(count, 'key')} (of films and the project) wrapped by the new master key; make a new backup now, the "
        "old ones are of no use"
    )
    if new is not None:
        typer.echo("now put the new master key in place of the old one, and destroy the old one")


def register(app: typer.Typer) -> None:
    """Add the command group to ``app``."""
    app.add_typer(keys, name="keys")
