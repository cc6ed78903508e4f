"""Bounds that hold at scale. They take minutes: `pytest -m long tests/governance/test_scale.py`."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from aiprod.governance.audit.log import AuditLog, Event
from aiprod.governance.audit.verify import proof, verify
from tests.governance.scale import REPOSITORY, build

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]


def test_a_video_of_a_hundred_thousand_clips_reaches_its_films_in_ten_seconds(tmp_path: Path, state_home: Path) -> None:
    root = build(tmp_path / "work", 100_000)
    command = [sys.executable, "-m", "aiprod.cli", "lineage", "reports/samples/000.mp4", "--no-rehash", "--json"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "src")}
    start = time.perf_counter()
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=True)
    assert time.perf_counter() - start < 10
    assert done.stdout.count('"kind":"film"') == 100_000, "each clip names its film, two clips a film"


def test_a_million_entries_verify_in_a_minute_and_prove_in_fifty_milliseconds(tmp_path: Path, state_home: Path) -> None:
    log = AuditLog()
    for batch in range(100):
        log.append([Event("verdict", f"c{n % 5000}", {"n": batch * 10_000 + n}) for n in range(10_000)])
    start = time.perf_counter()
    found = verify(tmp_path, log)
    assert (found.entries, found.problems) == (1_000_000, [])
    assert time.perf_counter() - start < 60
    for index in (0, 500_000, 999_999):
        start = time.perf_counter()
        proof(log, index)
        assert time.perf_counter() - start < 0.05
