"""Fixtures that every test folder uses."""

from __future__ import annotations

import functools
import gc
import multiprocessing
import os
import sqlite3
import sys
import uuid
from collections.abc import Iterator
from multiprocessing import forkserver
from pathlib import Path
from typing import IO, Any

import pytest
import typer.main
import typer.testing

from aiprod.base.denials import denial_log, log_to
from aiprod.governance.audit.denials import append
from tests.warm import client as warm

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("CI", "true")  # progress as plain lines

gc.disable()  # until tests are collected: see `pytest_collection_finish`

REPOSITORY = Path(__file__).resolve().parents[1]
# What workers run, and what they import when they first measure sound: 1.4 s of processor time.
_OF_WORKERS = (
    "aiprod.executors.worker",
    "aiprod.qc.measure.standalone",
    "aiprod.data.ingest.ingest_film",
    "scipy.signal",
)


@pytest.fixture(scope="session")
def shared_clips() -> Path:
    """Folder with real films (open/ and bad/); tests that need them are skipped where it is absent."""
    folder = REPOSITORY.parent / "shared" / "clips"
    if not folder.is_dir():
        pytest.skip(f"needs real film in {folder}, where there is no such folder")
    return folder


@pytest.fixture(scope="session")
def shared_faults() -> Path:
    """Folder with small films on which something once failed; tests that need them are skipped where it is absent."""
    folder = REPOSITORY.parent / "shared" / "faults"
    if not folder.is_dir():
        pytest.skip(f"needs the films in {folder}, where there is no such folder")
    return folder


@pytest.fixture
def state_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder of the test's own."""
    home = tmp_path / "state"
    monkeypatch.setenv("AIPROD_HOME", str(home))
    return home


class _Unsynced(sqlite3.Connection):
    """A database that syncs nothing, whatever it is asked."""

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        if sql.startswith("pragma journal_mode"):  # what makes the files
            super().execute("pragma synchronous = off")
        return super().execute(sql.replace("synchronous = full", "synchronous = off"), *values)


@pytest.fixture(autouse=True, scope="session")
def nobody_waits_for_the_disk() -> Iterator[None]:
    """Tests end processes and not machines, so what was written is there, synced or not; a file takes 4 ms to sync."""

    def checked(file: int | IO[bytes]) -> None:
        os.fstat(file if isinstance(file, int) else file.fileno())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", checked)
        patch.setattr(sqlite3, "connect", functools.partial(sqlite3.connect, factory=_Unsynced))
        yield


@pytest.fixture(autouse=True, scope="session")
def workers_import_once() -> Iterator[None]:
    """Workers are forked from a server that has imported what all need, whichever of them a session runs first.

    It serves all tests of a process; a worker would import the rest each time.
    """
    with pytest.MonkeyPatch.context() as patch:
        chosen = forkserver.set_forkserver_preload
        patch.setattr(forkserver, "set_forkserver_preload", lambda names: chosen([*names, *_OF_WORKERS]))
        yield


@pytest.fixture(autouse=True, scope="session")
def the_command_line_is_put_together_once() -> Iterator[None]:
    """Typer makes all commands anew for each call, which takes longer than most calls; a user's process makes one."""
    make = typer.main.get_command
    made: dict[int, Any] = {}

    def once(app: typer.Typer) -> Any:
        whole = vars(sys.modules["aiprod.cli"]).get("app") if "aiprod.cli" in sys.modules else None
        if app is not whole:
            return make(app)
        if id(app) not in made:
            made[id(app)] = make(app)
        return made[id(app)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typer.main, "get_command", once)
        patch.setattr(typer.testing, "_get_command", once)
        yield


@pytest.fixture(autouse=True)
def denials_are_logged() -> Iterator[None]:
    """Denials go to the audit log, as in every command and stage."""
    before = denial_log()
    log_to(append)
    yield
    log_to(before)


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("numprocesses", None) and config.option.testrunuid is None:
        config.option.testrunuid = uuid.uuid4().hex  # xdist would make one up where nobody sees it


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config, specs: list[Any]) -> None:
    """Workers begin with the libraries imported: each would spend a quarter of a minute on them."""
    for spec in specs:
        if spec.popen and not spec.python:
            spec.python = warm.python_of_workers(config.option.testrunuid)


def pytest_sessionstart() -> None:
    """Where lines are counted, workers are forked from a server without tracing: killed, they would write no count."""
    traced = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_PROCESS")}
    if traced:
        for name in traced:
            del os.environ[name]
        multiprocessing.set_forkserver_preload(list(_OF_WORKERS))
        forkserver.ensure_running()
        os.environ.update(traced)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that run whole pipelines first, then those with slow tests: last, they would leave a worker idle."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: ("end_to_end" not in item.path.parts, item.path not in slow))


def pytest_collection_finish() -> None:
    """The garbage collector passes over what imports left, a million objects: it took a quarter of the tests' time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000)
    gc.enable()
