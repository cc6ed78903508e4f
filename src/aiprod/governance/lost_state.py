"""What is gone when the state folder is, or a key in it: what that costs, what can be made again, by which command."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from aiprod.base.files import read_json
from aiprod.base.state import state
from aiprod.errors import AiprodError
from aiprod.governance.audit.checkpoint import FOLDER, KEY, PUBLIC, newest_size
from aiprod.governance.audit.log import AuditLog
from aiprod.storage.crypto import tombstones
from aiprod.storage.crypto.film_encryption import film_of, is_private
from aiprod.storage.crypto.key_store import PROJECT, KeyStore
from aiprod.storage.crypto.master_key import kind, load_master, master_file
from aiprod.storage.shards.shards import Shards

RAW, SPEECH = "datasets/v1/raw", "datasets/v1/speech"
Loss = tuple[str, str, str]  # what it is about, what is lost, the ways on
_SHOWN = 3


def losses(root: Path) -> Iterator[Loss]:
    """Whatever the workspace at ``root`` shows to have been here and is not."""
    store = KeyStore(state().root / "keys")
    yield from _master(store)
    yield from _films(root, store)
    yield from _tombstones(root, store)
    yield from _log(root)


def _master(store: KeyStore) -> Iterator[Loss]:
    lost = store.folder.with_name("keys.lost")
    if kind() == "file" and store.path(PROJECT).is_file() and not master_file(store.folder).is_file():
        yield (
            "master key",
            f"{master_file(store.folder).name} is missing: no key can be unwrapped, so no encrypted film can be read",
            "put it back, or set AIPROD_MASTER_KEY; if it is gone for good, every version of these films is lost, and "
            f"`mkdir {lost} && mv {store.folder}/project.key {store.folder}/data {lost} && dvc repro` takes in anew, "
            "under new ids, what still lies in its source",
        )
        return
    if kind() == "kms" or not store.path(PROJECT).is_file():  # a service is asked only where a key is needed
        return
    unread = "so no encrypted film can be read"
    try:
        given, right = load_master(store.folder, make=False).id, read_json(store.path(PROJECT))["master"]
    except AiprodError as error:
        yield "master key", f"{error.what}, {unread}", error.hint
        return
    if given != right and not store.status().rotating:
        what = f"it is {given}, and keys are wrapped by {right}, {unread}"
        yield "master key", what, "put the right one back: AIPROD_MASTER_KEY, or its file"


def _films(root: Path, store: KeyStore) -> Iterator[Loss]:
    try:
        erased = set(tombstones.load(root))
    except AiprodError:  # said by whoever needs them
        erased = set()
    objects = [*(root / RAW).glob("f0*"), *(root / SPEECH).glob("u0*")]
    names = {path.name.split(".", 1)[0] for path in objects} | _packed(root / RAW)
    stored = {film_of(name) for name in names if is_private(name)} - erased
    gone = sorted(film for film in stored if not store.path(film).is_file())
    if gone:
        named = ", ".join(gone[:_SHOWN]) + (", …" if len(gone) > _SHOWN else "")
        yield (
            "keys of films",
            f"{len(gone)} of {len(stored)} encrypted films have no key here ({named}): no version of them can be read",
            "`aiprod keys restore BACKUP --as NAME`; without a backup these objects are lost for good, and `dvc repro` "
            "ingests again, under new ids, what is still in its source, and trains on that",
        )


def _packed(folder: Path) -> set[str]:
    try:
        return {member.name.split(".", 1)[0] for member in Shards(folder).members()}
    except AiprodError:  # `aiprod dataset shards verify` says what is damaged
        return set()


def _tombstones(root: Path, store: KeyStore) -> Iterator[Loss]:
    """Erased films are recognised by commitments under the project's key."""
    try:
        stones = list(tombstones.load(root).values())
        if store.path(PROJECT).is_file():
            stones = [s for s in stones if s.by is not None and s.by != store.commitment("tombstone", s.film_id)]
    except AiprodError:
        return
    if stones:
        yield (
            "erased films",
            f"{len(stones)} tombstones were made under a project key that is not here: these films would be taken in "
            "again if they were offered",
            "`aiprod keys restore BACKUP --as NAME` into a state folder without a project.key; without a backup look "
            "through datasets/erasures, and see to it that no source offers what was erased",
        )


def _log(root: Path) -> Iterator[Loss]:
    signed = newest_size(root)
    if signed is None and not (root / FOLDER / PUBLIC).is_file():
        return
    database = state().root / "audit" / "log.db"
    size = AuditLog().size() if database.is_file() else 0
    key = (state().root / "keys" / KEY).is_file()
    if size < (signed or 0):
        yield (
            "audit log",
            f"{size} entries are here, but a checkpoint of {signed} was signed: the entries after {size} are lost",
            "put `.aiprod/audit` back from a copy; without one `git mv datasets/audit datasets/audit-lost`, then "
            "`aiprod audit checkpoint` begins a new log. What the lost one said cannot be made anew, and "
            "`aiprod audit verify` keeps reporting it",
        )
    if not key and (root / FOLDER / PUBLIC).is_file():
        yield (
            "key of the audit log",
            f"{KEY} is missing: the log still verifies and grows, but no checkpoint and no certificate can be signed",
            "`aiprod keys restore BACKUP --as NAME`; without one `git mv datasets/audit datasets/audit-lost`, then "
            "`aiprod audit checkpoint` signs with a new key, and `aiprod audit verify` says that it is another one",
        )
