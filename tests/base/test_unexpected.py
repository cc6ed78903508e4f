"""What nobody foresaw ends a command or a stage in one line, and its traceback is in the state folder."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import pytest

from aiprod import cli
from aiprod.base import stage
from aiprod.base.crash_report import end_with
from aiprod.base.files import write_text
from aiprod.errors import UNEXPECTED, USER_ERROR
from tests.projects import enter_project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state_home: Path) -> Path:
    enter_project(tmp_path, monkeypatch, state=state_home)
    monkeypatch.delenv("AIPROD_TRACEBACK", raising=False)
    return tmp_path


def boom() -> None:
    raise KeyError("a library's\nown words")


def test_a_stage_says_one_line_and_keeps_the_traceback(
    project: Path, state_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        stage.run(boom)
    said = capsys.readouterr().err
    [kept] = (state_home / "errors").glob("*.txt")
    assert caught.value.code == UNEXPECTED and said.count("\n") == 1 and "Traceback" not in said
    assert said.startswith("error: unexpected: KeyError: ") and str(kept) in said
    assert "Traceback" in kept.read_text() and "in boom" in kept.read_text()
    assert kept.stat().st_mode & 0o077 == 0 and kept.parent.stat().st_mode & 0o077 == 0


def test_so_does_a_command(project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(cli, "run", boom)
    with pytest.raises(SystemExit) as caught:
        cli.main()
    said = capsys.readouterr().err
    assert caught.value.code == UNEXPECTED and said.count("\n") == 1 and "KeyError" in said


def test_the_traceback_is_shown_to_whoever_asks(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AIPROD_TRACEBACK", "1")
    with pytest.raises(SystemExit):
        stage.run(boom)
    assert "Traceback" in capsys.readouterr().err


def test_twenty_are_kept_and_no_state_folder_is_no_trouble(
    project: Path, state_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(25):
        end_with(RuntimeError("x"))
    assert len(list((state_home / "errors").glob("*.txt"))) == 20
    monkeypatch.setenv("AIPROD_HOME", str(project / "dvc.yaml"))
    line, status = end_with(RuntimeError("x"))
    assert status == UNEXPECTED and "AIPROD_TRACEBACK=1" in line


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only to the super-user")
def test_a_read_only_output_is_one_line(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "out").mkdir(mode=0o555)
    with pytest.raises(SystemExit) as caught:
        stage.run(lambda: write_text("out/metrics.json", "{}"))
    said = capsys.readouterr().err
    assert caught.value.code == USER_ERROR and "out/" in said and "permissions" in said


@pytest.mark.parametrize(
    ("make", "hint"),
    [
        (lambda: write_text("out/metrics.json", "{}"), "another kind"),
        (lambda: open("..", "w"), "folder where a file belongs"),  # noqa: SIM115
        (lambda: (_ for _ in ()).throw(OSError(errno.EROFS, os.strerror(errno.EROFS), "out")), "mounted read-only"),
        (lambda: (_ for _ in ()).throw(PermissionError(errno.EACCES, "Permission denied", "a\x1b[2J")), "permissions"),
    ],
)
def test_what_the_file_system_refuses_is_the_users_to_fix(
    project: Path, capsys: pytest.CaptureFixture[str], make: object, hint: str
) -> None:
    (project / "out").write_text("a file")

    def main() -> None:
        next(made) if hasattr(made := make(), "__next__") else None  # type: ignore[operator]

    with pytest.raises(SystemExit) as caught:
        stage.run(main)
    said = capsys.readouterr().err
    assert caught.value.code == USER_ERROR and hint in said and said.count("\n") == 1 and "\x1b" not in said


def test_memory_that_is_lacking_is_said_in_words(project: Path) -> None:
    out = type("OutOfMemoryError", (RuntimeError,), {})
    for error in (MemoryError(), out("CUDA out of memory. Tried to allocate")):
        line, status = end_with(error)
        assert status == UNEXPECTED and line.startswith("error: out of memory") and "batch" in line


def test_deep_recursion_ends_in_one_line_too(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> None:
        main()

    limit = sys.getrecursionlimit()
    with pytest.raises(SystemExit) as caught:
        stage.run(main)
    assert caught.value.code == UNEXPECTED and "RecursionError" in capsys.readouterr().err
    assert sys.getrecursionlimit() == limit
