"""The `aiprod` command as a newcomer meets it: one list with headings, a version, completion, counts in words."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import metadata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.main import get_command
from typer.testing import CliRunner

from aiprod.cli import PANELS, app
from aiprod.printable import counted

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
