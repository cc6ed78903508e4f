"""The page for other projects says what is so: every example on it runs and prints what it shows."""

from __future__ import annotations

import doctest
from pathlib import Path

_PAGE = Path(__file__).resolve().parents[2] / "docs" / "core.md"


def test_every_example_on_the_page_runs() -> None:
    flags = doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL
    text = _PAGE.read_text(encoding="utf-8").replace("```", "\n")  # a fence would be taken for output
    test = doctest.DocTestParser().get_doctest(text, {}, "core.md", str(_PAGE), 0)
    report: list[str] = []
    result = doctest.DocTestRunner(optionflags=flags).run(test, out=report.append)
    assert result.attempted > 40 and not result.failed, "".join(report)
