"""The `aiprod` command as a newcomer meets it: one list with headings, a version, completion, counts in words."""

from __future__ import annotations

import inspect
import os
import re
import socket
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.main import get_command
from typer.testing import CliRunner

import aiprod
from aiprod.base.crash_report import end_with
from aiprod.base.files import sha256_file
from aiprod.base.opening import open_file, read_file
from aiprod.base.structured import read_bounded
from aiprod.cli import PANELS, app
from aiprod.commands.options import OUTPUTS
from aiprod.errors import AiprodError, NotAFileError
from aiprod.lips.file_audio import read_voice
from aiprod.media.errors import MediaError
from aiprod.media.sniffing import sniff
from aiprod.models.checkpoint.header import read_header
from aiprod.models.checkpoint.json_files import read_json_file
from aiprod.printable import counted
from aiprod.storage.manifest.arrow import readable

run = CliRunner().invoke


def test_every_command_stands_under_one_heading_and_no_heading_names_what_there_is_not() -> None:
    listed = [name for names in PANELS.values() for name in names]
    assert sorted(listed) == sorted(get_command(app).commands)  # type: ignore[attr-defined]
    shown = run(app, ["--help"], env={"COLUMNS": "80", "TERM": "dumb"}).output
    places = [shown.index(heading) for heading in PANELS]
    assert len(set(places)) == len(PANELS)


def test_the_version_is_that_of_the_package() -> None:
    shown = run(app, ["--version"])
    assert (shown.exit_code, shown.output.strip()) == (0, f"aiprod {metadata.version('aiprod')}")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_can_complete_its_words(shell: str) -> None:
    request = {"_AIPROD_COMPLETE": f"complete_{shell}", "COMP_WORDS": "aiprod lin", "COMP_CWORD": "1"}
    request |= {"_TYPER_COMPLETE_ARGS": "aiprod lin", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    assert "lineage" in run(app, [], env=request, prog_name="aiprod").output


@given(st.integers(min_value=0), st.sampled_from([("film", None), ("entry", "entries")]))
def test_one_is_singular_and_everything_else_plural(number: int, words: tuple[str, str | None]) -> None:
    thing, plural = words
    text = counted(number, thing, plural)
    assert text.split(" ")[0] == str(number)
    assert text.endswith(f" {thing}") == (number == 1)


def test_no_line_says_one_times() -> None:
    """A number right before the word is counted, so that it can be one; a factor has a format of its own."""
    once = re.compile(r"\{(?![^{}]*:[^{}'\"]*\})[^{}]*\} times\b")
    allowed = ("spread['most']", "shown['most']", "task.losses", "task.attempts")  # a range; what was tried again
    lines = [
        f"{path.name}: {line.strip()}"
        for path in Path(aiprod.__file__).parent.rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if once.search(line) and not any(words in line for words in allowed)
    ]
    assert not lines


def every_command(group: Any) -> Iterator[Any]:
    """All commands below a group, however deep."""
    for command in group.commands.values():
        yield command
        if hasattr(command, "commands"):
            yield from every_command(command)


def test_the_terminal_breaks_the_lines_of_help_texts() -> None:
    """Typer keeps the line breaks of a docstring, which stand where 120 columns end and not where the terminal does."""
    broken = [c.name for c in every_command(get_command(app)) for part in (c.help or "").split("\n\n") if "\n" in part]
    assert not broken


def paths_of(command: Any) -> dict[str, bool]:
    """Parameters of a command that take a path → whether it is one to write."""
    hints = inspect.get_annotations(inspect.unwrap(command.callback), eval_str=True)
    return {p.name: p.name in OUTPUTS for p in command.params if "Path" in str(hints.get(p.name, ""))}


@pytest.fixture
def specials(tmp_path: Path) -> list[Path]:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.path.relpath(tmp_path / "socket"))
    return [tmp_path / "pipe", tmp_path / "socket", Path("/dev/null")]


def test_no_command_waits_at_a_pipe_or_replaces_a_device(specials: list[Path]) -> None:
    asked = 0
    for command in every_command(get_command(app)):
        names = paths_of(command) if command.callback else {}
        for name in names.keys() - {"files"}:  # of several, each is told by itself (test_odd_files)
            for path in specials:
                for value in (path, [path]):
                    with pytest.raises(NotAFileError, match="not a file"):
                        command.callback.__wrapped__(**{name: value})
            asked += 1
    assert asked > 50 and Path("/dev/null").is_char_device()


@pytest.mark.parametrize("content", [b"", b"no film"], ids=["empty", "garbage"])
@pytest.mark.parametrize("command", [["measure", "lips", "--text", "a"], ["grade", "--exposure", "1"]], ids=" ".join)
def test_a_file_that_is_no_film_is_named_with_what_to_do(command: list[str], content: bytes, tmp_path: Path) -> None:
    film = tmp_path / "a.mp4"
    film.write_bytes(content)
    out = ["--out", str(tmp_path / "b.mp4")] if command[0] == "grade" else []
    for said in (run(app, [*command, str(film), *out]).exception, _exception_of(read_voice, film)):
        assert isinstance(said, AiprodError) and str(said).startswith(f"{film}: ") and " → give " in str(said), said


def _exception_of(read: Callable[[Path], object], path: Path) -> BaseException | None:
    with pytest.raises(AiprodError) as caught:
        read(path)
    return caught.value


@pytest.mark.parametrize("command", [["dataset", "publish", "--note"], ["erase", "--as"], ["lineage"]], ids=" ".join)
def test_words_that_are_no_utf_8_are_refused_in_one_line(command: list[str]) -> None:
    said = run(app, [*command, "a\udcff" * 5000]).exception
    assert isinstance(said, AiprodError) and "is no UTF-8 → " in str(said) and len(str(said)) < 2000, said
    str(said).encode()


def test_a_number_that_nothing_counts_to_and_a_word_without_end_are_one_short_line() -> None:
    said = run(app, ["audit", "show", "--last", "9" * 20]).exception
    assert isinstance(said, AiprodError) and str(said).startswith(f"last: {'9' * 20} is too large → give"), said
    said = run(app, ["params", "check", "x" * 200_000]).exception
    assert len(str(AiprodError(f"{'x' * 200_000} is not there", "y" * 5000))) < 400
    assert said is not None and len(end_with(said)[0]) < 600, said


def test_no_output_replaces_what_is_read_for_it(tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    film.write_bytes(b"film")
    (tmp_path / "link.mp4").symlink_to(film)
    asked = 0
    for command in every_command(get_command(app)):
        paths = paths_of(command) if command.callback else {}
        for out in (name for name, is_output in paths.items() if is_output):
            for read in (name for name, is_output in paths.items() if not is_output):
                with pytest.raises(AiprodError, match="would overwrite it"):
                    command.callback.__wrapped__(**{out: tmp_path / "link.mp4", read: film})
                asked += 1
    assert asked > 15 and film.read_bytes() == b"film"
    shown = run(app, ["lineage", str(film), "--html", str(film)])
    assert isinstance(shown.exception, AiprodError) and film.read_bytes() == b"film"


def test_a_folder_is_no_file_to_write_and_an_empty_word_is_one(tmp_path: Path) -> None:
    """An empty word is the working directory: nothing is computed that could not be written there."""
    film = tmp_path / "film.mp4"
    film.write_bytes(b"film")
    for option, command in {"--scopes": "grade", "--html": "lineage", "--prov": "lineage"}.items():
        for folder in ("", str(tmp_path)):
            said = run(app, [command, str(film), f"{option}={folder}"]).exception
            assert isinstance(said, AiprodError) and "is a folder → name a file in it" in str(said), (
                option,
                folder,
                said,
            )


def bounded(path: Path) -> bytes:
    return read_bounded(path, 1024)


def table(path: Path) -> None:
    with readable(path):
        path.read_bytes()


@pytest.mark.parametrize(
    "read", [open_file, read_file, bounded, sha256_file, read_header, read_json_file, sniff, table]
)
def test_no_reader_waits_at_a_pipe_in_a_folder(read: Callable[[Path], object], specials: list[Path]) -> None:
    for path in specials:
        with pytest.raises((NotAFileError, AiprodError, MediaError), match="not a file"):
            read(path)
