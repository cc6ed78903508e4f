"""What somebody who has the key, the state folder and git could do to the log, and what tells of it."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from typer import Typer
from typer.testing import CliRunner

from aiprod.base.state import state
from aiprod.commands import audit as command
from aiprod.errors import AiprodError
from aiprod.governance.audit.checkpoint import FOLDER, KEY, PUBLIC
from aiprod.governance.audit.head import places
from aiprod.governance.audit.log import AuditLog, Event
from aiprod.governance.audit.publishing import write_checkpoint
from aiprod.governance.audit.verify import verify
from aiprod.governance.dataset.audit_events import log_state
from tests.projects import git


def event(number: int) -> Event:
    return Event("verdict", f"c{number:04d}", {"status": "APPROVED"}, {"score": number / 7})


@pytest.fixture
def log(finished: Path) -> AuditLog:
    git("init", "-q")
    made = AuditLog()
    made.append([event(n) for n in range(20)])
    return made


def commit(*more: str) -> None:
    git("add", "-A", FOLDER.as_posix())
    git("commit", "-qm", "x", *more)


def drop(log: AuditLog, keep: int) -> None:
    """Forget the newest entries so that all that is left fits together, as the program itself would have written it."""
    entries = [entry.data for entry in log.entries(0, keep)]
    with sqlite3.connect(log.database) as connection:
        connection.execute("delete from entries")
        connection.execute("delete from nodes")
        _write(connection, entries)
    connection.close()


def _write(connection: sqlite3.Connection, entries: list[bytes]) -> None:
    from aiprod.governance.audit import tree

    nodes: dict[tuple[int, int], bytes] = {}
    for index, data in enumerate(entries):
        connection.execute("insert into entries values (?, ?)", (index, data))
        for level, place, digest in tree.completed(index, tree.leaf_hash(data), lambda lv, i: nodes[lv, i]):
            nodes[level, place] = digest
            connection.execute("insert into nodes values (?, ?, ?)", (level, place, digest))


def anew(log: AuditLog, count: int) -> None:
    """Write another history in place of the log, one entry changed."""
    for path in log.database.parent.glob(f"{log.database.name}*"):
        path.unlink()
    AuditLog().append([event(n + (n == 7)) for n in range(count)])


@pytest.mark.parametrize("checkpoint", [True, False])
def test_the_last_entry_dropped_after_the_newest_checkpoint(finished: Path, log: AuditLog, checkpoint: bool) -> None:
    if checkpoint:
        write_checkpoint(finished, log)
        commit()
    log.append([event(50)])
    whole = verify(finished, log)
    assert whole.problems == []
    drop(log, whole.entries - 1)
    assert "truncated" in verify(finished, log).problems[0]
    log.append([event(51)])  # going on does not hide it
    assert "rewritten" in verify(finished, log).problems[0]
    log.append([event(52), event(53)])
    assert "rewritten" in verify(finished, log).problems[0]


def test_an_old_log_put_back_and_an_uncommitted_checkpoint_deleted(
    finished: Path, log: AuditLog, tmp_path: Path
) -> None:
    shutil.copytree(log.database.parent, tmp_path / "old")
    log.append([event(30)])
    point = write_checkpoint(finished, log)
    assert "is not in git" in verify(finished, log).warnings[0]
    shutil.rmtree(log.database.parent)  # with the head that lies beside it
    shutil.copytree(tmp_path / "old", log.database.parent)
    (finished / FOLDER / point.name).unlink()
    assert "keys/audit.head" in verify(finished, AuditLog()).problems[0]


def test_history_rewritten_with_the_key_and_the_commit_amended(finished: Path, log: AuditLog) -> None:
    write_checkpoint(finished, log)
    commit()
    anew(log, 20)
    for path in [*places(), *(finished / FOLDER).glob("*.checkpoint")]:
        path.unlink()  # whoever has the key knows where the heads are, too
    forged = AuditLog()
    write_checkpoint(finished, forged)
    commit("--amend")
    assert "another one in an earlier commit" in verify(finished, forged).problems[0]


def test_with_a_witness_it_is_seen_though_git_forgot_as_well(finished: Path, log: AuditLog, tmp_path: Path) -> None:
    witness = tmp_path / "elsewhere"
    witness.mkdir()
    (finished / "datasets/organisation.yaml").write_text(f"audit_witness: {witness}\n")
    log_state(finished, log)
    write_checkpoint(finished, log)
    commit()
    assert verify(finished, log).problems == []
    kept = {path.name: path.read_bytes() for path in witness.iterdir()}
    assert PUBLIC in kept and len(kept) == 2
    size = log.size()
    anew(log, size)
    for path in [*places(), *(finished / FOLDER).glob("*.checkpoint")]:
        path.unlink()
    write_checkpoint(finished, AuditLog())
    commit("--amend")
    git("reflog", "expire", "--expire=now", "--all")
    git("gc", "--prune=now", "-q")
    [problem] = verify(finished, AuditLog()).problems
    assert "the witness's" in problem and "rewritten" in problem
    log_state(finished, AuditLog())
    assert {n: (witness / n).read_bytes() for n in kept} == kept, "what a witness saw is never replaced"


def test_a_witness_that_cannot_be_reached_costs_a_warning(
    finished: Path, log: AuditLog, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (finished / "datasets/organisation.yaml").write_text(f"audit_witness: {tmp_path / 'away'}\n")
    log_state(finished, log)
    said = capsys.readouterr()
    assert "warning: the log's head could not be put" in said.err + said.out
    found = verify(finished, log)
    assert found.problems == [] and "cannot be read" in found.warnings[0]


def test_what_nothing_vouches_for_is_warned_of(finished: Path, log: AuditLog) -> None:
    def warned() -> str:
        found = verify(finished, log)
        assert found.problems == []
        return "\n".join(found.warnings)

    assert "no checkpoint was ever written" in warned()
    write_checkpoint(finished, log)
    assert "not in git" in warned()
    commit()
    assert "in no remote of git" in warned()
    git("init", "-q", "--bare", "../remote.git")
    git("remote", "add", "origin", "../remote.git")
    git("push", "-q", "origin", "HEAD:main")
    assert warned() == ""
    for path in places():
        path.unlink()
    assert "never signed here, or was deleted" in warned()
    (state().keys / KEY).rename(finished / "key.pem")
    log.append([event(60)])
    assert "are signed by nothing" in warned()
    (finished / "key.pem").rename(state().keys / KEY)
    log_state(finished, log)
    assert warned() == "", "the end of a run signs what was left"


def test_a_log_from_before_there_were_heads_is_signed_at_the_end_of_a_run(finished: Path) -> None:
    log = AuditLog()
    log_state(finished, log)
    for path in places():
        path.unlink()
    assert log_state(finished, log) == 0 and all(path.is_file() for path in places())


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"\xff" * 90),
        lambda path: path.write_text(path.read_text().replace("20\n", "19\n")),
    ],
)
def test_a_damaged_head_is_named_and_stays(finished: Path, log: AuditLog, damage: Callable[[Path], object]) -> None:
    head = places()[0]
    damage(head)
    content = head.read_bytes()
    log.append([event(70)])
    assert head.read_bytes() == content
    [problem] = verify(finished, log).problems
    assert "audit/audit.head is malformed" in problem


def test_without_a_key_that_may_sign_entries_are_still_taken(finished: Path, log: AuditLog) -> None:
    write_checkpoint(finished, log)
    (state().keys / KEY).unlink()
    with pytest.raises(AiprodError, match="missing"):
        write_checkpoint(finished, log)
    assert log.append([event(80)]) == 1 and not (state().keys / KEY).exists(), "and no new key is made in secret"


def test_the_command_says_warnings_apart_and_ends_well(finished: Path, log: AuditLog) -> None:
    app = Typer()
    command.register(app)
    said = CliRunner().invoke(app, ["audit", "verify"])
    assert said.exit_code == 0 and "warn   no checkpoint" in said.output and "0 problems, 1 warning" in said.output
    drop(log, 19)
    said = CliRunner().invoke(app, ["audit", "verify"])
    assert said.exit_code == 1 and "BROKEN the log ends at 19 entries" in said.output


def test_processes_that_make_the_key_at_once_come_to_one(tmp_path: Path) -> None:
    code = (
        "import sys, time\nfrom aiprod.governance.audit.checkpoint import public_line, signing_key\n"
        "time.sleep(max(0, float(sys.argv[1]) - time.time()))\nprint(public_line(signing_key().public_key()))"
    )
    home = {**os.environ, "AIPROD_HOME": str(tmp_path / "state")}
    start = str(time.time() + 1.5)
    makers = [
        subprocess.Popen(
            [sys.executable, "-c", code, start], env=home, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(6)
    ]
    said = [maker.communicate() for maker in makers]
    assert [maker.returncode for maker in makers] == [0] * 6, said
    assert len({out for out, _ in said}) == 1
    assert [path.name for path in (tmp_path / "state" / "keys").glob("*.new.*")] == []
