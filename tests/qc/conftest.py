"""Fixtures of the tests of quality control."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from aiprod.executors.executor import ordered_map
from aiprod.qc.measure.standalone import FileJob, examine
from aiprod.qc.params import QcMeasureParams

TRUTH = Path(__file__).with_name("open_truth.csv")


@pytest.fixture(scope="session")
def open_films(shared_clips: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What is measured of each open film as it is, by file: once for all workers of a session."""
    folder = tmp_path_factory.getbasetemp()
    kept = (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "open_films.json"
    with FileLock(f"{kept}.lock", timeout=600), TRUTH.open(encoding="utf-8") as table:
        if not kept.is_file():
            jobs = [FileJob(shared_clips / "open" / row["file"], QcMeasureParams()) for row in csv.DictReader(table)]
            found = {}
            for job, outcome in zip(jobs, ordered_map(examine, jobs), strict=True):
                assert outcome.value is not None and outcome.value[0].status == "ok", (job.path.name, outcome.reason)
                found[job.path.name] = outcome.value[0].measurements
            kept.write_text(json.dumps(found))
        measured: dict[str, dict[str, Any]] = json.loads(kept.read_text())
    return measured


@pytest.fixture(autouse=True)
def state_of_its_own(state_home: Path) -> Path:
    """What a test leaves to be tried again must not reach this checkout's own next ``dvc repro``."""
    return state_home
