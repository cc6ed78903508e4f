"""A stage that is to run on several ranks starts them, waits for them, and fails where one of them fails."""

from __future__ import annotations

import os
import textwrap
from pathlib import Path

import pytest

from aiprod.errors import AiprodError
from aiprod.trainer.loop.launch import LaunchParams, launched


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "ranks.py").write_text(
        textwrap.dedent("""
        import os, signal, sys, time
        rank, world = os.environ["RANK"], os.environ["WORLD_SIZE"]
        open(f"{os.environ['OUT']}/{rank}-{world}", "w").close()
        print(f"rank {rank} speaks", file=sys.stderr)
        if os.environ["WHAT"] == "fail" and rank == "1":
            sys.exit(2)
        if os.environ["WHAT"] == "both fail":
            time.sleep(0.5 * (rank == "0"))
            sys.exit(2)
        if os.environ["WHAT"] == "die" and rank == "1":
            os.kill(os.getpid(), signal.SIGKILL)
        if os.environ["WHAT"] != "work":
            time.sleep(600)
    """)
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setenv("OUT", str(tmp_path))
    monkeypatch.setenv("WHAT", "work")
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    return "ranks"


def test_every_rank_runs_once_and_the_first_speaks_for_all(
    module: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert launched(module, LaunchParams(processes=3))
    assert sorted(p.name for p in tmp_path.glob("*-3")) == ["0-3", "1-3", "2-3"]
    assert capfd.readouterr().err == "rank 0 speaks\n"


def test_a_machine_without_a_gpu_may_take_another_number(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aiprod.trainer.loop.launch.cores", lambda: 2)
    assert launched(module, LaunchParams(processes=1, cpu_processes=3))
    assert sorted(p.name for p in tmp_path.glob("*-2")) == ["0-2", "1-2"], "no more than cores"
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    assert not launched(module, LaunchParams(processes=1, cpu_processes=3)), "one GPU: one process"


def test_one_process_and_a_rank_itself_start_nothing(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not launched(module, LaunchParams())
    assert not launched(module, LaunchParams(processes=0)), "no GPU: one process"
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert not launched(module, LaunchParams(processes=2))


def test_what_every_rank_refuses_is_said_once(
    module: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WHAT", "both fail")
    with pytest.raises(SystemExit) as stopped:
        launched(module, LaunchParams(processes=2))
    assert stopped.value.code == 2
    assert capfd.readouterr().err == "rank 0 speaks\n"


def test_a_rank_that_fails_ends_the_others_and_is_heard(
    module: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WHAT", "fail")
    with pytest.raises(SystemExit) as stopped:
        launched(module, LaunchParams(processes=2))
    assert stopped.value.code == 2
    assert "rank 1 speaks" in capfd.readouterr().err
    monkeypatch.setenv("WHAT", "die")
    with pytest.raises(AiprodError, match=r"signal 9 → run `dvc repro`"):
        launched(module, LaunchParams(processes=2))
