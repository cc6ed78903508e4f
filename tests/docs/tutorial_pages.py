"""Reads what a documentation page marks for testing: commands to run, files to write, edits to apply.

A marker is an HTML comment on the line before a fenced block, so that it shows neither on the site nor elsewhere::

    <!-- test: run -->            the block is run by bash in the project
    <!-- test: prints -->         each line of the block was in the output of the commands before; … stands for anything
    <!-- test: write PATH -->     the block becomes a file
    <!-- test: append PATH -->    the block is added to a file
    <!-- test: edit PATH -->      the block is a diff; its old lines are in the file once, and are replaced
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_MARKED = re.compile(r"^<!-- test: (\w+)(?: (\S+))? -->\n```\w*\n(.*?)^```$", re.M | re.S)


@dataclass(frozen=True)
class Step:
    """One marked block.

    Attributes:
        kind: run, prints, write, append or edit.
        path: the file it is about, relative to the project; empty for run and prints.
        text: the block's content.
    """

    kind: str
    path: str
    text: str


def steps(page: Path) -> Iterator[Step]:
    """The marked blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    found = [Step(kind, path, block) for kind, path, block in _MARKED.findall(text)]
    assert len(found) == text.count("<!-- test:"), f"a marker of {page.name} is not followed by a block"
    return iter(found)


def edited(text: str, diff: str) -> str:
    """``text`` with the lines of a diff replaced, which must occur in it exactly once."""
    lines = diff.splitlines(keepends=True)
    assert all(line[0] in " +-" or not line.strip() for line in lines), diff
    old, new = ("".join(line[1:] or line for line in lines if line[0] != sign) for sign in "+-")
    assert text.count(old) == 1, f"these lines occur {text.count(old)} times:\n{old}"
    return text.replace(old, new)


def missing(expected: str, output: str) -> list[str]:
    """Lines of ``expected`` that are not in ``output``; … matches anything within a line."""
    patterns = [(line, ".*".join(re.escape(part) for part in line.split("…"))) for line in expected.splitlines()]
    return [line for line, pattern in patterns if not re.search(pattern, output)]
