"""A stage waits for its own kind in its workspace, and ends with the DVC that started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

SCRIPT = """
import sys, time
from pathlib import Path
from aiprod.base.stage import run

def main():
    Path(sys.argv[1]).write_text("begun")
    while not Path(sys.argv[2]).exists():
        time.sleep(0.02)

run(main)
"""
DVC = """
import subprocess, sys
subprocess.run(sys.argv[1:])  # as DVC does: waits for the shell that runs the stage's command
"""


BEGUN: list[subprocess.Popen[str]] = []


@pytest.fixture(autouse=True)
def pipes_are_closed() -> Iterator[None]:
    """Close what the processes of a test wrote to."""
    yield
    while BEGUN:
        pipe = BEGUN.pop().stderr
        assert pipe is not None
        pipe.close()


@pytest.fixture
def project(tmp_path: Path, state_home: Path) -> Path:
    for name in ("work", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "dvc.yaml").write_text("stages: {}")
    (tmp_path / "stage.py").write_text(SCRIPT)
    return tmp_path


def begin(
    project: Path, name: str, *, stage: str = "ingest", where: str = "work", **more: str
) -> subprocess.Popen[str]:
    command = [sys.executable, str(project / "stage.py"), str(project / name), str(project / f"{name}.end")]
    environment = {**os.environ, "DVC_STAGE": stage, **more}
    process = subprocess.Popen(command, cwd=project / where, env=environment, stderr=subprocess.PIPE, text=True)
    BEGUN.append(process)
    return process


def until(path: Path, process: subprocess.Popen[str] | None = None) -> None:
    while not path.exists():
        assert process is None or process.poll() is None, process.communicate()
        time.sleep(0.02)


def test_a_second_one_says_whom_it_waits_for_and_then_runs(project: Path) -> None:
    first = begin(project, "first")
    until(project / "first", first)
    second = begin(project, "second")
    assert second.stderr is not None
    said = second.stderr.readline()
    assert f"process {first.pid} is at this stage" in said and said.startswith("ingest: ")
    assert not (project / "second").exists()
    for name in ("first.end", "second.end"):
        (project / name).touch()
    assert first.wait() == 0 and second.wait() == 0 and (project / "second").exists()


def test_others_run_beside_it(project: Path) -> None:
    """Another stage, the same one in another workspace (an experiment), and ranks of one training."""
    running = [begin(project, "first")]
    until(project / "first", running[0])
    more = {"second": {"stage": "caption"}, "third": {"where": "other"}, "fourth": {"WORLD_SIZE": "2"}}
    for name, how in more.items():
        running.append(begin(project, name, **how))
        until(project / name, running[-1])
    for name in ("first", *more):
        (project / f"{name}.end").touch()
    assert [process.wait() for process in running] == [0] * 4


def test_after_a_kill_the_place_is_free(project: Path) -> None:
    first = begin(project, "first")
    until(project / "first", first)
    first.kill()
    first.wait()
    second = begin(project, "second")
    until(project / "second", second)
    (project / "second.end").touch()
    assert second.wait() == 0 and second.stderr is not None and second.stderr.read() == ""


@pytest.mark.parametrize("shell", [False, True])
def test_a_stage_ends_when_its_dvc_is_killed(project: Path, shell: bool) -> None:
    command = [sys.executable, str(project / "stage.py"), str(project / "a"), str(project / "never")]
    if shell:  # one that stays, and would go on by itself
        command = ["/bin/sh", "-c", f"{' '.join(command)}; true"]
    (project / "dvc.py").write_text(DVC)
    with open(project / "said", "w") as said:
        dvc = subprocess.Popen(
            [sys.executable, str(project / "dvc.py"), *command],
            cwd=project / "work",
            stderr=said,
            env={**os.environ, "DVC_STAGE": "ingest"},
        )
    until(project / "a")
    below = psutil.Process(dvc.pid).children(recursive=True)
    assert len(below) == (2 if shell else 1)
    os.kill(dvc.pid, signal.SIGKILL)  # it stays a zombie until it is waited for: that must not count as alive
    _, left = psutil.wait_procs(below, timeout=20)
    assert left == [] and "has ended" in (project / "said").read_text()
    dvc.wait()


def test_a_stage_that_dvc_did_not_start_outlives_its_parent(project: Path) -> None:
    command = [sys.executable, str(project / "stage.py"), str(project / "a"), str(project / "a.end")]
    code = f"import subprocess; print(subprocess.Popen({command!r}, stdout=subprocess.DEVNULL).pid)"
    environment = {k: v for k, v in os.environ.items() if k != "DVC_STAGE"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=project / "work",
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    until(project / "a")
    time.sleep(1.5)  # longer than it takes to notice
    assert psutil.pid_exists(int(done.stdout))
    (project / "a.end").touch()
    psutil.wait_procs([psutil.Process(int(done.stdout))], timeout=20)
