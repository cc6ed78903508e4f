"""The long-film benchmark decodes, counts and reports; its memory figures are for a run of minutes."""

from __future__ import annotations

import pytest

from tests.bench import decode_memory


def test_it_reports_at_each_duration(capsys: pytest.CaptureFixture[str]) -> None:
    rows = decode_memory.measure([1 / 60, 2 / 60], height=32, width=48)
    assert [(round(60 * minutes), frames) for minutes, frames, *_ in rows] == [(1, 12), (2, 24)]
    assert all(mib > 50 for _, _, mib, _ in rows) and len(capsys.readouterr().out.splitlines()) == 2
