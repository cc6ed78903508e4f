"""``aiprod qc`` and ``aiprod caption`` on whatever lies in a folder: a line for each, whatever it is called or is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from aiprod.cli import app
from aiprod.errors import AiprodError
from aiprod.qc.measure.standalone import FileJob, examine, expand
from aiprod.qc.params import QcMeasureParams
from tests.data.conftest import short_film

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, and no project."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "films").mkdir()
    return tmp_path / "films"


def names(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in expand([folder])]


def reasons(path: Path) -> list[str]:
    return examine(FileJob(path, QcMeasureParams()))[0].reasons


def test_films_named_like_documents_are_films_and_documents_are_not(folder: Path) -> None:
    for name in ("film.txt", "film.json", "film.mp4"):
        short_film(folder / name, seconds=0.3)
    (folder / "notes.txt").write_text("notes")
    (folder / "film.mp4.json").write_text("{}")
    assert names(folder) == ["film.json", "film.mp4", "film.txt"]
    assert examine(FileJob(folder / "film.txt", QcMeasureParams()))[0].status == "ok"


@pytest.mark.timeout(60)
def test_what_cannot_be_read_is_there_and_says_why(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "gone.mp4").symlink_to("nowhere")
    os.mkfifo(folder / "pipe.mp4")
    (folder / "round").symlink_to(folder)
    (folder / "closed").mkdir()
    real = os.scandir

    def scandir(path: Any = ".") -> Any:  # the permissions of a folder say nothing to root
        if Path(path) == folder / "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert names(folder) == ["closed", "gone.mp4", "pipe.mp4", "round"]
    assert [reasons(path)[0] for path in expand([folder])] == [
        "unreadable: it cannot be read (Permission denied)",
        "unreadable: it cannot be read (No such file or directory)",
        "unreadable: it is a pipe, not a file",
        "unreadable: it is a link to a folder, which is not followed",
    ]
    with pytest.raises(AiprodError, match="does not exist"):
        expand([folder / "never.mp4"])


@pytest.mark.timeout(60)
def test_a_pipe_is_answered_at_once(folder: Path) -> None:
    os.mkfifo(folder / "pipe.mp4")
    result = run("qc", str(folder / "pipe.mp4"))
    assert result.exit_code == 1 and "a pipe, not a file" in result.stdout


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--workers", "1"])


@pytest.mark.parametrize("command", ["qc", "caption"])
def test_any_name_is_one_line_of_text_and_is_shown_on_the_report_page(folder: Path, command: str) -> None:
    names = [b"two\nlines.mp4", b"\x1b[2Jclear.mp4", b"caf\xe9.mp4"]
    paths = [os.fsdecode(os.path.join(os.fsencode(folder), name)) for name in names]
    for path in paths:
        short_film(Path(path), seconds=0.3)
    result = run(command, *paths, *(["--html", "page"] if command == "qc" else []))
    assert result.exception is None or isinstance(result.exception, SystemExit)
    for line, escaped in zip(result.stdout.splitlines()[:3], (r"two\n", r"\x1b", r"\xe9"), strict=True):
        assert line.isprintable() and escaped in line
    lines = run(command, *paths, "--json").stdout_bytes.decode("utf-8").splitlines()
    assert [os.fsencode(json.loads(line)["file"]) for line in lines] == [os.fsencode(path) for path in paths]
    if command == "qc":
        assert r"caf\xe9.mp4" in Path("page/index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("arguments", [["qc", "film.mp4"], ["params", "--help"]])
def test_an_output_that_takes_nothing_is_one_line(folder: Path, arguments: list[str]) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    short_film(folder / "film.mp4", seconds=0.3)
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "aiprod.cli", *arguments],
            cwd=folder,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=100,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY / "src")},
        )
    assert done.returncode == 2
    *before, last = done.stderr.splitlines()
    assert last == "error: no space left on the disk, or where the output goes → free some space and run again"
    assert all(line.startswith("bundled networks: ") for line in before)
