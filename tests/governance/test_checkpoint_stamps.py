"""Checkpoints of the audit log are time-stamped by an authority and verified offline (RFC 3161)."""

from __future__ import annotations

import builtins
import shutil
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType

import pytest
from typer.testing import CliRunner

from aiprod.commands.audit import audit
from aiprod.errors import AiprodError
from aiprod.governance.audit.checkpoint import FOLDER
from aiprod.governance.audit.log import AuditLog, Event
from aiprod.governance.audit.publishing import write_checkpoint
from aiprod.governance.audit.timestamps import stamp
from aiprod.governance.audit.verify import verify
from tests.governance.tsa import Authority, serve
from tests.projects import enter_project

pytest.importorskip("rfc3161_client", reason="needs the extra `timestamps`")


@pytest.fixture
def authority(tmp_path: Path) -> Iterator[Authority]:
    with serve(tmp_path / "tsa") as made:
        yield made


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkpoint of a log of seven entries, in a project of its own."""
    root = tmp_path / "project"
    root.mkdir()
    enter_project(root, monkeypatch)
    log = AuditLog()
    log.append([Event("verdict", f"c{n}", {"status": "APPROVED"}, {}) for n in range(6)])
    return root / FOLDER / write_checkpoint(root, log).name


def test_a_stamp_is_written_beside_its_checkpoint_and_verified_offline(checkpoint: Path, tmp_path: Path) -> None:
    root = checkpoint.parents[2]
    before = datetime.now(UTC) - timedelta(seconds=2)
    with serve(tmp_path / "tsa") as authority:
        options = ["timestamp", "--tsa", authority.address, "--roots", str(authority.root)]
        told = CliRunner().invoke(audit, options)
        assert told.exit_code == 0, told.output
        assert checkpoint.name in told.output and f"{checkpoint.stem}.tsr" in told.output
        assert len(authority.asked) == 1 and checkpoint.read_bytes()[:20] not in authority.asked[0], "a digest is sent"
        assert len(authority.asked[0]) < 120
    verdict = verify(root, AuditLog())  # the authority is gone
    assert verdict.problems == [] and [name for name, _ in verdict.stamped] == [checkpoint.name]
    assert before <= verdict.stamped[0][1] <= datetime.now(UTC) + timedelta(seconds=2)
    assert f"stamp  {checkpoint.name} existed at 20" in CliRunner().invoke(audit, ["verify"]).output
    token, roots = checkpoint.with_suffix(".tsr"), checkpoint.with_suffix(".tsa.pem")
    words = ["openssl", "ts", "-verify", "-data", checkpoint, "-in", token, "-CAfile", roots]
    assert subprocess.run(words, capture_output=True, check=False).returncode == 0, "OpenSSL agrees"


def test_a_second_stamp_never_replaces_the_first(checkpoint: Path, authority: Authority) -> None:
    stamp(checkpoint, authority.address, authority.root)
    with pytest.raises(AiprodError, match="stamped already"):
        stamp(checkpoint, authority.address, authority.root)
    assert len(authority.asked) == 1


def test_verify_names_what_no_longer_holds(checkpoint: Path, authority: Authority, tmp_path: Path) -> None:
    when = stamp(checkpoint, authority.address, authority.root)
    root = checkpoint.parents[2]
    token, roots = checkpoint.with_suffix(".tsr"), checkpoint.with_suffix(".tsa.pem")
    whole, trusted = token.read_bytes(), roots.read_bytes()

    def wrong() -> list[str]:
        verdict = verify(root, AuditLog())
        assert verdict.stamped == []
        return verdict.problems

    later = write_checkpoint(root, AuditLog())
    shutil.copy(token, root / FOLDER / f"{later.size:012d}.tsr")
    shutil.copy(roots, root / FOLDER / f"{later.size:012d}.tsa.pem")
    token.unlink()
    assert wrong() == [f"{FOLDER}/{later.size:012d}.tsr: it stamps something else than this checkpoint"]
    (root / FOLDER / f"{later.size:012d}.tsr").unlink()
    with serve(tmp_path / "other") as other:
        token.write_bytes(whole)
        roots.write_bytes(other.root.read_bytes())
    assert len(wrong()) == 1 and "does not verify" in wrong()[0]
    roots.write_bytes(b"nothing")
    assert "no PEM certificates" in wrong()[0]
    roots.unlink()
    assert "cannot be read" in wrong()[0]
    roots.write_bytes(trusted)
    for place in range(0, len(whole), 97):  # one bit anywhere: an error line, never another time
        token.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        verdict = verify(root, AuditLog())
        assert len(verdict.problems) == 1 or verdict.stamped == [(checkpoint.name, when)], place
    for part in (b"", whole[:200], b"<html>"):
        token.write_bytes(part)
        assert wrong() == [f"{FOLDER}/{token.name}: it is not a time-stamp response"]


@pytest.mark.parametrize(
    ("made", "line"),
    [
        ({"status": 500}, "answered HTTP 500"),
        ({"status": 404, "answer": b"x" * 5000}, "answered HTTP 404"),
        ({"answer": b""}, "not a time-stamp response"),
        ({"answer": b"<html>Sign in</html>"}, "not a time-stamp response"),
        ({"answer": bytes.fromhex("3005300302 0102".replace(" ", ""))}, "refused"),  # PKIStatus: rejection
        ({"answer": b"0" * (1 << 21)}, "more than 1048576 bytes"),
    ],
)
def test_an_answer_that_is_no_stamp_is_one_line(
    checkpoint: Path, authority: Authority, made: dict[str, object], line: str
) -> None:
    vars(authority).update(made)
    _refused(checkpoint, authority, line)


def test_a_stamp_of_something_else_is_refused(checkpoint: Path, authority: Authority, tmp_path: Path) -> None:
    """An answer that was recorded earlier, or is one to another request."""
    other = tmp_path / "000000000001.checkpoint"
    for data, line in ((b"other", "answers another request"), (checkpoint.read_bytes(), "answers another request")):
        other.write_bytes(data)
        stamp(other, authority.address, authority.root)
        authority.answer = other.with_suffix(".tsr").read_bytes()
        _refused(checkpoint, authority, line)
        other.with_suffix(".tsr").unlink()
        authority.answer = None


def test_a_certificate_that_had_ended_or_is_anothers_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    with serve(tmp_path / "ended", ends=datetime.now(UTC) - timedelta(minutes=5)) as authority:
        _refused(checkpoint, authority, "does not verify")
    with serve(tmp_path / "good") as authority, serve(tmp_path / "stranger") as stranger:
        authority.root = stranger.root
        _refused(checkpoint, authority, "does not verify")


def test_a_certificate_that_ends_later_takes_nothing_back(checkpoint: Path, tmp_path: Path) -> None:
    """A token is judged at the time it states: it outlives its certificate."""
    ends = datetime.now(UTC) + timedelta(seconds=3)
    with serve(tmp_path / "short", ends=ends) as authority:
        stamp(checkpoint, authority.address, authority.root)
    time.sleep(max(0.0, (ends - datetime.now(UTC)).total_seconds()) + 1.1)
    verdict = verify(checkpoint.parents[2], AuditLog())
    assert verdict.problems == [] and len(verdict.stamped) == 1


def test_who_does_not_answer_is_named(checkpoint: Path, tmp_path: Path) -> None:
    with serve(tmp_path / "tsa") as authority:
        pass
    _refused(checkpoint, authority, "does not answer")
    for address in ("file:///etc/hostname", "tsa.example", "https://", "ftp://127.0.0.1/"):
        authority.address = address
        _refused(checkpoint, authority, "not the address of a time-stamp authority")


def test_without_its_library_the_log_is_verified_and_says_so(
    checkpoint: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    stamp(checkpoint, authority.address, authority.root)
    real = builtins.__import__

    def missing(name: str, *rest: object, **more: object) -> ModuleType:
        if name == "rfc3161_client":
            raise ImportError(name)
        return real(name, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", missing)
    verdict = verify(checkpoint.parents[2], AuditLog())
    assert verdict.problems == [] and verdict.stamped == []
    assert any("time stamps were not checked" in line and "aiprod[timestamps]" in line for line in verdict.warnings)


def test_roots_that_cannot_be_read_are_named_before_anybody_is_asked(checkpoint: Path, authority: Authority) -> None:
    for data, line in ((None, "cannot be read"), (b"\xff\x00", "no PEM certificates")):
        authority.root = checkpoint.parents[2] / "roots.pem"
        if data is not None:
            authority.root.write_bytes(data)
        _refused(checkpoint, authority, line)
    assert authority.asked == []


def test_a_checkpoint_that_is_not_there_is_named(checkpoint: Path, authority: Authority) -> None:
    checkpoint.unlink()
    options = ["timestamp", "--tsa", authority.address, "--roots", str(authority.root)]
    told = CliRunner().invoke(audit, options)
    assert isinstance(told.exception, AiprodError) and "aiprod audit checkpoint" in str(told.exception)


def _refused(checkpoint: Path, authority: Authority, line: str) -> None:
    with pytest.raises(AiprodError) as caught:
        stamp(checkpoint, authority.address, authority.root)
    assert line in str(caught.value) and "\n" not in str(caught.value), caught.value
    assert not list(checkpoint.parent.glob(f"{checkpoint.stem}.ts*")), "nothing is left"
