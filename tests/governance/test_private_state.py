"""Keys and state are for their owner only, whatever the umask, so that a neighbour on the machine reads nothing."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from aiprod.base.state import state
from aiprod.base.tempdirs import private_root
from aiprod.base.timing import timed
from aiprod.governance.audit.log import AuditLog, Event
from aiprod.governance.credentials.signing_identity import identity
from aiprod.storage.crypto import tombstones
from aiprod.storage.crypto.film_encryption import Vault
from aiprod.storage.crypto.key_store import KeyStore
from tests.projects import enter_project


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=oct)
def project(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty project under a umask."""
    enter_project(tmp_path, monkeypatch)
    before = os.umask(request.param)
    yield tmp_path
    os.umask(before)


def _others(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode) & 0o077


def _time_a_stage() -> None:
    with timed("scan"):
        pass


FIRST = {
    "a key": lambda: Vault().private_film_id("inbox", "a.mp4", "0" * 64),
    "clear content": private_root,
    "the audit log": lambda: AuditLog().append([Event("export", "export/x", {}, {})]),
    "a tombstone": lambda: tombstones.add([], published=False),
    "a time": _time_a_stage,
    "the tracker": lambda: state().mlflow_database,
}


@pytest.mark.parametrize("first", list(FIRST))
def test_whatever_is_written_first_the_folder_is_closed_to_others(project: Path, first: str) -> None:
    FIRST[first]()
    assert (project / ".aiprod").is_dir() and not _others(project / ".aiprod")


def test_each_key_and_salt_is_closed_by_itself(project: Path) -> None:
    for write in FIRST.values():
        write()
    identity(project)
    keys = [path for path in (project / ".aiprod/keys").rglob("*") if path.is_file()]
    assert {"master.key", "salts.db", "c2pa-key.pem"} <= {path.name for path in keys}
    assert not _others(project / ".aiprod/keys")
    secret = [path for path in keys if path.suffix in (".key", ".pem") or path.name == "salts.db"]
    assert not [path.name for path in secret if _others(path)]


def test_whatever_the_commands_on_keys_write_is_closed_too(project: Path) -> None:
    """`aiprod doctor` reports any file there that others can read, so none of ours may be one."""
    FIRST["a key"]()
    KeyStore().backup(project / "backup.json")
    KeyStore().rotate()
    files = [path for path in (project / ".aiprod/keys").rglob("*") if path.is_file() and ".lock" not in path.name]
    assert "backups.json" in {path.name for path in files}
    assert not [path.name for path in [*files, project / "backup.json"] if _others(path)]
