"""Memo, state folder and stage wrapper."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from aiprod.base import progress, stage
from aiprod.base.state import main_repository, state, workspace
from aiprod.errors import AiprodError
from aiprod.storage.leftovers import sweep_once
from aiprod.storage.result_cache import Memo


def _build(folder: Path) -> dict[str, int]:
    (folder / "a.bin").write_bytes(b"12345")
    return {"n": 1}


def test_memo_returns_what_was_kept_and_nothing_for_another_context(tmp_path: Path) -> None:
    memo = Memo(tmp_path, "context")
    key = memo.key("clip", "digest")
    assert memo.get(key) is None
    result, place = memo.put(key, _build)
    assert memo.get(key) == (result, place)
    assert Memo(tmp_path, "other").key("clip", "digest") != key
    memo.link(place, "a.bin", tmp_path / "out" / "a.bin")
    assert (tmp_path / "out" / "a.bin").read_bytes() == b"12345"


def test_a_damaged_or_failed_result_counts_as_absent(tmp_path: Path) -> None:
    memo = Memo(tmp_path, "c")
    key = memo.key(1)
    _, place = memo.put(key, _build)
    (place / "a.bin").unlink()
    assert memo.get(key) is None
    memo.put(key, _build)
    (place / "result.json").write_text("{")
    assert memo.get(key) is None

    def fail(folder: Path) -> None:
        (folder / "part").write_text("x")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        memo.put(memo.key(2), fail)
    assert memo.get(memo.key(2)) is None
    assert not list(tmp_path.rglob(".new.*"))


def test_what_was_just_kept_and_cannot_be_read_back_stops_the_run_and_names_the_disk(tmp_path: Path) -> None:
    memo = Memo(tmp_path, "c")
    key = memo.key(1)
    _, place = memo.put(key, _build)
    assert memo.kept(key) == memo.get(key) is not None
    (place / "result.json").unlink()
    (place / "result.json").mkdir()  # what is no file cannot be read, as what lies on a bad sector
    with pytest.raises(AiprodError, match=r"cannot be read back: Is a directory → look at the disk"):
        memo.kept(key)


def _killed(folder: str) -> None:
    def build(place: Path) -> None:
        (place / "raw.part").write_bytes(b"half a film")
        os.kill(os.getpid(), signal.SIGKILL)

    Memo(Path(folder), "c").put("ab" * 32, build)


def _age(folder: Path, seconds: float) -> list[Path]:
    """Make what is under way older."""
    found = list(folder.rglob(".new.*"))
    for path in found:
        os.utime(path, (time.time() - seconds,) * 2)
    return found


def test_what_a_killed_run_left_goes_and_what_another_is_at_stays(tmp_path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(target=_killed, args=(str(tmp_path),))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL and list(tmp_path.rglob("raw.part"))
    memo = Memo(tmp_path, "c")

    def slow(folder: Path) -> dict[str, int]:
        assert len(_age(tmp_path, 7 * 86400)) == 1  # this one, however long it takes; the killed one's lock was free
        sweep_once.cache_clear()  # as in a process of its own
        memo.put("cd" * 32, _build)
        return _build(folder)

    memo.put("ef" * 32, slow)
    assert memo.get("ef" * 32) is not None, "it was taken away while it was made"
    assert not list(tmp_path.rglob("raw.part")) and not list(tmp_path.rglob(".new.*"))


def test_what_was_left_before_there_were_locks_goes_after_a_day(tmp_path: Path) -> None:
    (tmp_path / "ab" / ".new.x").mkdir(parents=True)
    (tmp_path / "ab" / ".new.x" / "raw.part").touch()
    for age, left in ((3600, True), (2 * 86400, False)):
        _age(tmp_path, age)
        sweep_once.cache_clear()
        Memo(tmp_path, "c").put("cd" * 32, _build)
        assert (tmp_path / "ab" / ".new.x").exists() == left


def _put(folder: str) -> None:
    Memo(Path(folder), "c").put("ab" * 32, _build)


def test_a_result_that_another_run_kept_meanwhile_stays_readable(tmp_path: Path) -> None:
    memo = Memo(tmp_path, "c")
    key = memo.key(1)

    def slower(folder: Path) -> dict[str, int]:
        memo.put(key, _build)  # another run, which reads its result from now on
        return _build(folder)

    _, place = memo.put(key, slower)
    kept = place.stat().st_ino
    memo.put(key, _build)
    assert place.stat().st_ino == kept and memo.get(key) == ({"n": 1}, place)


def test_two_processes_that_keep_the_same_result_both_succeed(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        pool.map(_put, [str(tmp_path)] * 6)
    assert Memo(tmp_path, "c").get("ab" * 32) is not None


def test_experiments_in_temporary_workspaces_share_the_main_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "repo" / ".dvc" / "tmp" / "exps" / "standalone" / "tmpx"
    temporary.mkdir(parents=True)
    (temporary / "dvc.yaml").write_text("stages: {}")
    monkeypatch.delenv("AIPROD_HOME", raising=False)
    monkeypatch.chdir(temporary)
    monkeypatch.setenv("DVC_ROOT", str(temporary))
    assert workspace() == temporary
    assert main_repository() == tmp_path / "repo"
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "repo"))
    assert state().root == tmp_path / "repo" / ".aiprod"
    monkeypatch.setenv("AIPROD_HOME", str(tmp_path / "home"))
    assert state().root == tmp_path / "home"


def test_outside_a_project_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    with pytest.raises(AiprodError, match=r"no dvc\.yaml"):
        workspace()


def test_a_stage_turns_an_error_into_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "dvc.yaml").write_text("stages: {}")
    monkeypatch.chdir(tmp_path)

    def main() -> None:
        raise AiprodError("the film\nis gone", "bring it back")

    with pytest.raises(SystemExit) as caught:
        stage.run(main)
    assert caught.value.code == 2
    assert capsys.readouterr().err == "error: the film is gone → bring it back\n"


def test_counters_are_printed_and_kept(state_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stage.record_counters("qc", stage.Counters(processed=1, reused=2), clips_per_s=3.0)
    assert json.loads((state_home / "counters" / "qc.json").read_text())["reused"] == 2


def test_progress_yields_everything_in_order(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", 0.0)
    assert list(progress.progress(iter(range(3)), "counting", total=3)) == [0, 1, 2]
    assert "counting: 3/3" in capsys.readouterr().err
    assert os.environ.get("CI")
