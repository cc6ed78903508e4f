"""What a killed DVC leaves of its locks: the doctor names it and its fix, and `make repro` removes it where it may."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import Result
from typer import Typer
from typer.testing import CliRunner

from aiprod.commands import audit, lineage
from aiprod.commands import doctor as command
from aiprod.commands.health import Diagnosis, examine
from aiprod.governance.dataset.records import Records
from aiprod.repo import dvc_locks
from aiprod.repo.dvc_locks import RWLOCK, damage, repair, running, strangers
from aiprod.storage.crypto.key_store import KeyStore
from tests.projects import commit_all

DAMAGED = [
    b"",
    b"\n",
    b"\0" * 64,
    b'{"write": {"a"',
    b"{}{",
    b"[]",
    b'{"write": 1}',
    b'{"read": {"a": {}}}',
    b"\xff\xfe",
    b'{"write": {"a": {"pid": "1", "cmd": "x"}}}',
    b"[" * 900,
]
WHOLE = [b"{}", b'{"write": {}, "read": {}}', b'{"read": {"a": [{"pid": 999999999, "cmd": "dvc repro"}]}}']


@pytest.fixture
def repository(finished: Path) -> Path:
    commit_all("dvc.yaml")
    (finished / RWLOCK).parent.mkdir(parents=True)
    return finished


def told(root: Path) -> Diagnosis | None:
    return next((f for f in examine(root, quick=True) if f.name == "dvc locks"), None)


@pytest.fixture
def dvc_at_work(repository: Path) -> Iterator[subprocess.Popen[bytes]]:
    """What looks like a DVC of this repository, busy."""
    (repository.parent / "dvc").write_text("import sys; print(flush=True); sys.stdin.read()")
    process = subprocess.Popen(
        [sys.executable, str(repository.parent / "dvc"), "repro"],
        cwd=repository / "datasets",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None and process.stdout.readline()
    yield process
    process.kill()
    process.wait()


@pytest.mark.parametrize("content", DAMAGED)
def test_a_damaged_one_is_named_and_removed_before_a_run(repository: Path, content: bytes) -> None:
    (repository / RWLOCK).write_bytes(content)
    found = told(repository)
    assert found is not None and found.state == "bad" and "rm .dvc/tmp/rwlock" in found.hint
    app = Typer()
    command.register(app)
    app.command()(lambda: None)
    said = CliRunner().invoke(app, ["doctor", "--before-run"])
    assert f"removed {RWLOCK}" in said.output and not (repository / RWLOCK).exists()
    assert told(repository) is None


@pytest.mark.parametrize("content", WHOLE)
def test_a_whole_one_and_none_are_left_alone(repository: Path, content: bytes) -> None:
    assert told(repository) is None and not repair(repository)
    (repository / RWLOCK).write_bytes(content)
    (repository / ".dvc/tmp/lock").touch()  # empty, and healthy
    assert told(repository) is None and not repair(repository) and (repository / RWLOCK).read_bytes() == content


def test_dvc_reads_the_same_files_as_whole(repository: Path) -> None:
    rwlock = pytest.importorskip("dvc.rwlock")
    for content in [*DAMAGED, *WHOLE]:
        try:
            rwlock.SCHEMA(json.loads(content))
            reads = True
        except (ValueError, RecursionError, rwlock.Invalid):
            reads = False
        (repository / RWLOCK).write_bytes(content)
        assert (damage(repository) is None) == reads, content


def test_nothing_is_removed_while_dvc_is_at_work(repository: Path, dvc_at_work: subprocess.Popen[bytes]) -> None:
    (repository / RWLOCK).write_bytes(b"")
    assert running(repository) == [dvc_at_work.pid]
    assert not repair(repository) and (repository / RWLOCK).exists()
    found = told(repository)
    assert found is not None and f"kill {dvc_at_work.pid}" in found.hint
    assert running(repository.parent / "elsewhere") == []


def test_what_does_not_match_while_a_run_is_at_work_is_said_to_be_unfinished(
    repository: Path, dvc_at_work: subprocess.Popen[bytes]
) -> None:
    """A stage's outputs are not those of dvc.lock until DVC has recorded them, and that is nobody's tampering."""
    clip_id = next(iter(Records(repository).exposure))

    def asked(of: ModuleType, *words: str) -> Result:
        app = Typer()
        of.register(app)
        app.command()(lambda: None)
        return CliRunner().invoke(app, list(words))

    whole = asked(lineage, "lineage", clip_id)
    assert whole.exit_code == 0 and "at work" not in whole.output
    (repository / f"datasets/v1/processed/{clip_id}.mp4").write_bytes(b"half")
    for said in (asked(lineage, "lineage", clip_id), asked(audit, "audit", "verify", "--files")):
        assert said.exit_code == 1 and f"a run is at work here (process {dvc_at_work.pid})" in said.stderr
    dvc_at_work.kill()
    dvc_at_work.wait()
    for said in (asked(lineage, "lineage", clip_id), asked(audit, "audit", "verify", "--files")):
        assert said.exit_code == 1 and "at work" not in said.output


@pytest.mark.parametrize("name", ["lock", "rwlock.lock"])
def test_nothing_is_removed_while_a_program_holds_dvcs_locks(repository: Path, name: str) -> None:
    """One that uses DVC as a library has another name."""
    (repository / RWLOCK).write_bytes(b"")
    with open(repository / ".dvc/tmp" / name, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert not repair(repository) and (repository / RWLOCK).exists()
    assert repair(repository)


def test_a_living_process_that_is_no_dvc_is_told_of(repository: Path) -> None:
    entry = {"pid": os.getpid(), "cmd": "dvc repro"}
    (repository / RWLOCK).write_text(json.dumps({"write": {"datasets": entry}, "read": {"a": [entry]}}))
    assert strangers(repository) == [os.getpid()]
    found = told(repository)
    assert found is not None and found.state == "warn" and not repair(repository)


def test_the_lock_of_the_key_store_is_no_key_that_others_can_read(repository: Path) -> None:
    store = KeyStore()
    store.ensure("project")
    (store.folder / ".lock").touch()
    (store.folder / ".lock").chmod(0o644)
    assert [f for f in examine(repository) if f.name == "keys" and f.state == "bad"] == []
    assert dvc_locks.damage(repository) is None
