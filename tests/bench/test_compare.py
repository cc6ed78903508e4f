"""`make bench-compare` measures what it says and flags what became slower."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.bench.compare import Cost, StepFailedError, main, run, steps, table

_WORK = "import time; end = time.process_time() + {seconds}\nwhile time.process_time() < end: pass\n"


def test_a_slower_step_is_flagged_and_a_faster_one_is_not() -> None:
    costs = {
        "slower": ([Cost(1.2, 1, 100), Cost(1.3, 1, 100), Cost(9, 9, 100)], [Cost(1, 1, 50)] * 3),
        "disturbed": ([Cost(1.0, 1, 100), Cost(1.5, 1, 100), Cost(1.5, 1, 100)], [Cost(1, 1, 100)] * 3),
        "within": ([Cost(1.05, 3, 100)] * 3, [Cost(1, 1, 100)] * 3),
        "faster": ([Cost(0.5, 1, 100)] * 3, [Cost(1, 1, 100)] * 3),
    }
    lines, slower = table(costs, 0.1)
    assert slower == ["slower"]
    assert lines[1].split() == ["slower", "1.30", "1.00", "1.30", "1.00", "2.00", "SLOWER"]
    assert table(costs, 0.5)[1] == []


def test_processor_time_and_memory_of_the_command_and_its_children_are_counted(tmp_path: Path) -> None:
    child = _WORK.format(seconds=0.3)
    command = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}], check=True)"
    idle = run([sys.executable, "-c", "pass"], tmp_path, os.environ)
    cost = run([sys.executable, "-c", command], tmp_path, os.environ)
    assert cost.cpu_s - idle.cpu_s >= 0.3
    large = run(
        [sys.executable, "-c", "b = bytearray(200 << 20); b[::4096] = b'1' * len(b[::4096])"], tmp_path, os.environ
    )
    assert 190 < large.peak_mib - idle.peak_mib < 260
    assert idle.peak_mib < 40  # not what the process that measures takes itself


def test_a_step_that_fails_is_told_by_its_last_line(tmp_path: Path) -> None:
    with pytest.raises(StepFailedError, match="no such film"):
        run([sys.executable, "-c", "raise SystemExit('no such film')"], tmp_path, os.environ)


def test_a_folder_that_is_no_checkout_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 2
    assert "is no checkout of AIPROD" in capsys.readouterr().err


def test_the_steps_run_on_a_project_of_their_own(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    for name, command, folder in steps(root, tmp_path, films=2):
        if name == "made films: scan":
            run(command, folder, {**os.environ, "CI": "true", "AIPROD_HOME": str(tmp_path / "state")})
            assert (folder / "datasets" / "v1" / "offers.json").is_file()
            break
    else:
        raise AssertionError("no step scans made films")
