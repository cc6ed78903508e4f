"""The policy's page names what enforces each rule; every test, module, command and option that it names exists."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest
from typer.main import get_command

from aiprod.cli import app

REPOSITORY = Path(__file__).resolve().parents[2]
TEXT = "\n".join((REPOSITORY / "docs" / name).read_text() for name in ("DATA_GOVERNANCE.md", "erasure.md"))
TESTS = sorted(set(re.findall(r"`(?:tests/)?(?:\w+/)*(test_\w+\.py)`", TEXT)))
MODULES = sorted(set(re.findall(r"`(aiprod(?:\.\w+)+)`", TEXT)))
COMMANDS = sorted({" ".join(words.split()) for words in re.findall(r"`aiprod ([^`]+)`", TEXT)})


def test_the_page_names_some_of_each() -> None:
    assert len(TESTS) > 15 and len(MODULES) > 5 and len(COMMANDS) > 20


@pytest.mark.parametrize("name", TESTS)
def test_a_named_test_exists(name: str) -> None:
    assert list((REPOSITORY / "tests").rglob(name))


@pytest.mark.parametrize("name", MODULES)
def test_a_named_module_or_function_exists(name: str) -> None:
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        for part in parts[count:]:
            found = getattr(found, part)
        return
    pytest.fail(f"nothing is called {name}")


@pytest.mark.parametrize("words", COMMANDS)
def test_a_named_command_takes_what_the_page_says(words: str) -> None:
    command = get_command(app)
    for word in words.split():
        if hasattr(command, "commands"):
            command = command.commands[word]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    assert set(re.findall(r"--[a-z0-9-]+", words)) <= known


def test_every_section_with_rules_says_what_enforces_them_or_that_nothing_does() -> None:
    page = (REPOSITORY / "docs/DATA_GOVERNANCE.md").read_text()
    sections = re.split(r"^#{2,3} ", page, flags=re.M)[1:]
    bare = [s.split("\n")[0] for s in sections if "nforced by" not in s and "**Nothing" not in s and len(s) > 120]
    assert bare == ["1. Purpose"], "this states an aim, the others state rules"
