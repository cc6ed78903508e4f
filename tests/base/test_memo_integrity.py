"""A memo entry is used again only as it was kept: a flipped bit anywhere in it makes it absent."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aiprod.base import files
from aiprod.base.files import sha256_file
from aiprod.base.state import state
from aiprod.storage.leftovers import sweep_once
from aiprod.storage.result_cache import Memo, Seal, damaged
from pipeline import running

CONTENT = bytes(range(256)) * 4


def build(folder: Path) -> dict[str, object]:
    (folder / "raw.mp4").write_bytes(CONTENT)
    os.link(folder / "raw.mp4", folder / "000.mp4")
    return {"n": 1, "figure": 0.5}


def flip(path: Path, bit: int) -> None:
    """Change one bit as a disk does: size, mode and time of change stay."""
    about = path.stat()
    data = bytearray(path.read_bytes())
    data[bit // 8 % len(data)] ^= 1 << bit % 8
    path.chmod(0o644)
    path.write_bytes(data)
    path.chmod(about.st_mode & 0o777)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))


@given(name=st.sampled_from(["raw.mp4", "result.json"]), bit=st.integers(0, 8 * 4096))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_one_flipped_bit_makes_it_absent_and_it_is_made_anew(tmp_path: Path, name: str, bit: int) -> None:
    memo = Memo(tmp_path / "memo", "c")
    key = memo.key(name, bit)
    _, place = memo.put(key, build)
    assert memo.get(key) == ({"n": 1, "figure": 0.5}, place)
    flip(place / name, bit)
    assert memo.get(key) is None
    assert damaged(tmp_path / "memo")[1] == [place]
    memo.put(key, build)
    assert memo.get(key) == ({"n": 1, "figure": 0.5}, place) and (place / "000.mp4").read_bytes() == CONTENT
    assert damaged(tmp_path / "memo")[1] == []


def test_sealed_entries_too(tmp_path: Path, state_home: Path) -> None:
    memo = Memo(state().memo("ingest"), "c")
    film = "f0" + "a" * 16
    key = memo.key(1)
    memo.put(key, build, Seal(film, lambda name: f"raw:{film}"))
    found = memo.get(key)
    assert found is not None
    flip(found[1] / "raw.mp4", 4000)
    assert memo.get(key) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda entry: entry["files"].pop("000.mp4"),
        lambda entry: entry["files"].update(more="0" * 64),
        lambda entry: entry.update(result={"n": 2}),
        lambda entry: entry.update(subject="f0" + "b" * 16),
        lambda entry: entry.pop("sha256"),
        lambda entry: entry.update(files=["raw.mp4"]),
    ],
)
def test_an_entry_that_was_edited_or_is_misshapen_is_absent(tmp_path: Path, change: Callable[[dict], object]) -> None:
    memo = Memo(tmp_path, "c")
    _, place = memo.put(memo.key(1), build)
    entry = json.loads((place / "result.json").read_text())
    change(entry)
    (place / "result.json").chmod(0o644)
    (place / "result.json").write_text(json.dumps(entry))
    assert memo.get(memo.key(1)) is None


def test_entries_from_before_there_were_digests_are_neither_used_nor_reported(tmp_path: Path) -> None:
    memo = Memo(tmp_path, "c")
    _, place = memo.put(memo.key(1), build)
    (place / "result.json").write_text(json.dumps({"result": {"n": 1}, "files": {"raw.mp4": 1024, "000.mp4": 1024}}))
    assert memo.get(memo.key(1)) is None and damaged(tmp_path) == (1, [])


def test_what_is_used_again_is_read_once_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memo = Memo(tmp_path, "c")
    _, place = memo.put(memo.key(1), build)
    read: list[str] = []
    monkeypatch.setattr(files, "sha256_file", lambda path: read.append(path.name) or sha256_file(path))
    monkeypatch.setattr(files.time, "time", lambda: (place / "raw.mp4").stat().st_ctime + 60)
    for _ in range(3):
        assert memo.get(memo.key(1)) is not None
    assert len(read) == 1, "a clip that is the whole film is another name of the same bytes"


def test_a_stage_sweeps_what_was_under_way_though_it_keeps_nothing(
    tmp_path: Path, state_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dvc.yaml").write_text("stages: {}")
    monkeypatch.chdir(tmp_path)
    left = state().memo("qc_measure") / "ab" / ".new.killed"
    (left / "work").mkdir(parents=True)
    (left / ".lock").touch()
    os.utime(left, (time.time() - 120,) * 2)
    sweep_once.cache_clear()
    running.run(lambda: None)  # another stage, all of whose results are reused
    assert not left.exists()
