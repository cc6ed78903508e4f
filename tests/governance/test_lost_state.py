"""The state folder, or a part of it, is lost: what that costs and what can be done is said, and the ways lead on."""

from __future__ import annotations

import base64
import shutil
import subprocess

import pytest

from aiprod.base.state import state
from aiprod.commands.health import examine
from aiprod.data.params import IngestParams
from aiprod.data.sources.scan import load_offers, scan
from aiprod.errors import AiprodError
from aiprod.governance.audit.log import AuditLog, Event
from aiprod.governance.audit.publishing import write_checkpoint
from aiprod.governance.lost_state import losses
from aiprod.rights.declarations import load_sources
from aiprod.storage.crypto import tombstones
from aiprod.storage.crypto.film_encryption import Vault
from aiprod.storage.crypto.key_store import KeyStore
from tests.governance.erasable import NAME, Project


def told(project: Project) -> dict[str, str]:
    return {name: f"{text} {hint}" for name, text, hint in losses(project.root)}


def test_nothing_is_said_to_be_lost_where_nothing_is(project: Project) -> None:
    write_checkpoint(project.root, AuditLog())
    assert told(project) == {}


def test_the_whole_folder(project: Project) -> None:
    root = project.root
    vault = Vault()
    stone = tombstones.Tombstone(
        film_id="f0aaaaaaaaaaaaaaaa",
        source_id="inbox",
        clips=1,
        content="x",
        by=vault.keys.commitment("tombstone", "f0aaaaaaaaaaaaaaaa"),
    )
    tombstones.add([stone], root)
    AuditLog().append([Event("source", "s")])
    write_checkpoint(root, AuditLog())
    subprocess.run(["git", "add", "datasets/audit"], cwd=root, check=True)
    shutil.rmtree(root / ".aiprod")
    said = told(project)
    assert set(said) == {"keys of films", "erased films", "audit log", "key of the audit log"}
    assert "2 of 2 encrypted films" in said["keys of films"] and "dvc repro" in said["keys of films"]
    assert "lost" in said["audit log"] and "aiprod audit checkpoint" in said["audit log"]
    with pytest.raises(AiprodError, match="aiprod doctor"):
        Vault().read(project.data / f"raw/{project.films[NAME]}.mp4")
    with pytest.raises(AiprodError, match="aiprod doctor"):
        write_checkpoint(root, AuditLog())
    found = {f.name: f for f in examine(root)}
    assert {found[name].state for name in said} == {"warn"}
    # the ways on lead on: a new log, and the films anew
    subprocess.run(["git", "mv", "datasets/audit", "datasets/audit-lost"], cwd=root, check=True)
    assert write_checkpoint(root, AuditLog()).size == 1
    offers = scan(IngestParams(sources=["inbox"]), load_sources(root / "datasets/sources.yaml"))
    assert {o.key for o in offers.offers} == set(project.bytes)
    assert "erased films" in told(project), "a new key does not hide that the old tombstones recognise nothing"


def test_the_master_key_alone(project: Project) -> None:
    (state().keys / "master.key").unlink()
    assert set(told(project)) == {"master key"}
    with pytest.raises(AiprodError, match="aiprod doctor"):
        load_offers(project.data / "offers.json")
    (state().root / "keys.lost").mkdir()
    for name in ("project.key", "data"):
        shutil.move(state().keys / name, state().root / "keys.lost")
    assert set(told(project)) == {"keys of films"}
    scan(IngestParams(sources=["inbox"]), load_sources(project.root / "datasets/sources.yaml"))


@pytest.mark.parametrize("key", [base64.b64encode(b"a" * 32).decode(), "no key", ""])
def test_a_master_key_that_is_another_or_none_is_told(project: Project, key: str) -> None:
    (state().keys / "master.key").write_text(key)
    assert set(told(project)) == {"master key"} and "no encrypted film can be read" in told(project)["master key"]


def test_one_films_key(project: Project) -> None:
    KeyStore().destroy(project.films[NAME])
    assert f"1 of 2 encrypted films have no key here ({project.films[NAME]})" in told(project)["keys of films"]
