"""Progress: how far, how fast in clips and in hours of film, and how long still, in lines and as a bar."""

from __future__ import annotations

import io
import json
from datetime import datetime

import pytest
from rich.console import Console

from aiprod.base import progress
from aiprod.base.progress import ticker
from aiprod.executors.executor import ordered_map


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that progress sees, in seconds."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_lines_say_clips_and_film_a_second_and_what_is_left(
    clock: list[float], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    with ticker("qc_measure", 100) as tick:
        for n in range(100):
            clock[0] += 0.5  # two clips a second, each of 36 s of film
            tick.advance(film_s=36.0 * (n + 1))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "  qc_measure: 20/100 (2/s, 40 s left) 72 s of film/s"
    assert lines[-1] == "  qc_measure: 100/100 (2/s, 0 s left) 72 s of film/s"
    assert len(lines) == 5  # one in ten seconds


def test_a_terminal_gets_a_bar_that_says_the_same(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    shown = io.StringIO()
    monkeypatch.setattr(progress, "console", Console(file=shown, force_terminal=True, width=120))
    with ticker("ingest", 10) as tick:
        for n in range(4):
            clock[0] += 2.0
            tick.advance(film_s=72.0 * (n + 1))
    assert "4/10" in shown.getvalue() and "0.5/s 36 s of film/s" in shown.getvalue()


def double(number: int) -> int:
    return 2 * number


def test_work_that_knows_its_films_says_hours_of_film(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", 0.0)
    done = ordered_map(double, [1, 2, 3], workers=1, description="double", film_s=lambda item, value: 3600.0 * item)
    assert [outcome.value for outcome in done] == [2, 4, 6]
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("  double: 3/3 (") and last.endswith(" s of film/s")


def test_every_line_is_json_where_asked(
    clock: list[float], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIPROD_LOG", "json")
    name = "a\x1b[31m\nb \udcff ü"
    progress.log(name)
    progress.log("warning: slow")
    progress.log_error("error: no → fix it")
    with ticker("ingest", 40) as tick:
        for _ in range(40):
            clock[0] += 0.5
            tick.advance()
    lines = capsys.readouterr().err.encode().decode().splitlines()
    told = [json.loads(line) for line in lines]
    assert [line["level"] for line in told[:3]] == ["info", "warning", "error"]
    assert told[0]["message"] == name, "no name can forge a line or colour a terminal"
    assert [line["done"] for line in told[3:]] == [20, 40] and told[3]["per_s"] == 2
    assert all(datetime.fromisoformat(line["time"]).tzinfo is not None for line in told)
