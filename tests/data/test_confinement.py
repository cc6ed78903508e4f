"""A worker that decodes film reaches nothing that it does not need, whatever code a film makes it run."""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from aiprod.base.denials import Refusal, log_to
from aiprod.executors import confinement
from aiprod.executors.executor import ordered_map
from aiprod.executors.local import LocalPool
from aiprod.executors.types import Bounds, Outcome
from aiprod.storage.result_cache import Memo

pytestmark = pytest.mark.skipif(
    len(confinement.offered()) < 2, reason="this kernel offers neither seccomp nor Landlock"
)


@dataclass(frozen=True)
class Attempt:
    """What the code of a film tries."""

    what: str
    memo: Memo
    there: str = ""
    fetches: bool = False


def attempt(item: Attempt) -> str:
    """Do it; what became of it."""
    try:
        _TRIED[item.what](item)
    except OSError as error:
        return f"refused: {os.strerror(error.errno or 0)}"
    return "done"


def connect(item: Attempt) -> None:
    host, _, port = item.there.partition(":")
    socket.create_connection((host, int(port)), timeout=5).close()


def fetch_and_connect(item: Attempt) -> None:
    connect(item)
    confinement.close_network()
    connect(item)


def connect_in_a_thread(item: Attempt) -> None:
    raised: list[OSError] = []

    def run() -> None:
        try:
            connect(item)
        except OSError as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if raised:
        raise raised[0]


def look_into_the_parent(_: Attempt) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(16, os.getppid(), None, None) != 0:  # PTRACE_ATTACH
        raise OSError(ctypes.get_errno(), "ptrace")


def keep(item: Attempt) -> None:
    def build(folder: Path) -> str:
        (folder / "file").write_text("kept")
        (folder / "other").hardlink_to(folder / "file")
        return "kept"

    item.memo.put("ab" * 32, build)
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"temporary")
    with tempfile.TemporaryFile() as file:
        file.write(b"temporary")


_TRIED = {
    "connect": connect,
    "connect in a thread": connect_in_a_thread,
    "fetch, and connect afterwards": fetch_and_connect,
    "a local socket": lambda item: socket.socket(socket.AF_UNIX).connect(item.there),
    "listen": lambda _: socket.create_server(("127.0.0.1", 0)).close(),
    "run a program": lambda _: subprocess.run(["true"], check=True),
    "write elsewhere": lambda item: Path(item.there).write_text("mine"),
    "remove elsewhere": lambda item: Path(item.there).unlink(),
    "rename elsewhere": lambda item: os.replace(item.there, f"{item.there}.gone"),
    "empty elsewhere": lambda item: os.truncate(item.there, 0),
    "link from elsewhere": lambda item: os.link(item.there, item.memo.folder / "link"),
    "end the parent": lambda _: os.kill(os.getppid(), 0),
    "look into the parent": look_into_the_parent,
    "write into the parent's memory": lambda _: Path(f"/proc/{os.getppid()}/mem").open("r+b").close(),
    "keep": keep,
}


def tried(memo: Memo, *attempts: tuple[str, str, bool]) -> list[Outcome[str]]:
    items = [Attempt(what, memo, there, fetches) for what, there, fetches in attempts]
    return list(ordered_map(attempt, items, workers=1, bounds=Bounds(deadline_s=60.0), confined=True))


@pytest.fixture
def memo(tmp_path: Path, state_home: Path) -> Memo:
    return Memo(tmp_path / "memo", "")


@pytest.fixture
def address() -> Iterator[str]:
    """Of a server that accepts connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_results_and_temporary_files_are_all_that_it_writes(memo: Memo, tmp_path: Path) -> None:
    there = tmp_path / "elsewhere"
    there.write_text("whole")
    key = tmp_path / "keys" / "data.key"
    names = ("write elsewhere", "remove elsewhere", "rename elsewhere", "empty elsewhere", "link from elsewhere")
    outcomes = tried(memo, *[(name, str(there), False) for name in names], ("write elsewhere", str(key), False))
    assert all((outcome.value or "").startswith("refused") for outcome in outcomes), outcomes
    assert there.read_text() == "whole" and sorted(tmp_path.iterdir()) == sorted(
        [there, memo.folder, tmp_path / "state"]
    )
    [kept] = tried(memo, ("keep", "", False))
    assert kept.value == "done"
    known = memo.get("ab" * 32)
    assert known is not None and known[0] == "kept" and (known[1] / "other").read_text() == "kept"


def test_it_opens_no_connection_in_any_thread(memo: Memo, address: str) -> None:
    outcomes = tried(memo, *[(name, address, False) for name in ("connect", "connect in a thread", "listen")])
    assert {outcome.value for outcome in outcomes} == {"refused: Operation not permitted"}
    here = ["connect", "listen"]
    assert [attempt(Attempt(name, memo, address)) for name in here] == ["done", "done"], "what is tried works elsewhere"


def test_a_film_elsewhere_is_fetched_and_then_the_network_is_closed(memo: Memo, address: str) -> None:
    """Also after a film that was here: the worker that has no network any more is replaced, and no attempt is lost."""
    after = ("fetch, and connect afterwards", address, True)
    outcomes = tried(memo, ("connect", address, True), ("keep", "", False), ("connect", address, True), after, after)
    said = [outcome.value for outcome in outcomes]
    assert said == ["done", "done", "done", *["refused: Operation not permitted"] * 2]
    assert [outcome.attempts for outcome in outcomes] == [1] * 5


def test_it_starts_no_program_and_touches_no_other_process(memo: Memo) -> None:
    names = ("run a program", "end the parent", "look into the parent", "write into the parent's memory")
    outcomes = tried(memo, *[(name, "", False) for name in names])
    assert all((outcome.value or "").startswith("refused") for outcome in outcomes), outcomes


class Calls:
    """Unpickled, it would call a function."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("called",)


def answer(what: str) -> object:
    """Something to send to the parent."""
    if what == "refuse":
        raise Refusal("no", "ask", lack="right", action="train", subject="f0")
    return {"call": Calls(), "array": np.arange(6).reshape(2, 3), "lock": threading.Lock}[what]


def test_what_it_answers_calls_nothing_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state_home: Path) -> None:
    monkeypatch.chdir(tmp_path)
    call, array, lock = ordered_map(answer, ["call", "array", "lock"], workers=1, confined=True)
    assert not (tmp_path / "called").exists()
    assert call.fault == lock.fault == "raised" and "is no plain value" in call.reason
    assert np.array_equal(array.value, [[0, 1, 2], [3, 4, 5]])  # type: ignore[arg-type]


def test_a_denial_in_it_is_logged_by_the_parent(state_home: Path) -> None:
    logged: list[Refusal] = []

    def log(refusals: Sequence[Refusal], *, once: bool = False) -> None:
        logged.extend(refusals)

    log_to(log)
    try:
        [outcome] = ordered_map(answer, ["refuse"], workers=1, confined=True)
    finally:
        log_to(None)
    assert outcome.fault == "raised" and outcome.reason == "no → ask"
    assert [(r.what, r.lack, r.action, r.subject) for r in logged] == [("no", "right", "train", "f0")]


def test_temporary_files_of_a_worker_that_was_killed_are_removed(memo: Memo, monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(tempfile.mkdtemp(dir=memo.folder.parent))
    monkeypatch.setattr(tempfile, "tempdir", str(root))
    pool = LocalPool(attempt, 2, writable=[])
    with contextlib.closing(pool):
        assert len(list(root.glob("aiprod-worker-*/work/*"))) == 2
    assert list(root.iterdir()) == []
