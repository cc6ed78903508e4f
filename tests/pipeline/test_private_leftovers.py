"""Whatever ends a stage that takes in a private film, nothing of it is left in the clear: real signals, real stages."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from aiprod.base.files import write_json
from aiprod.base.tempdirs import sweep_private
from aiprod.data.params import IngestParams
from aiprod.data.sources.scan import scan
from aiprod.rights.declarations import load_sources
from aiprod.storage.crypto.film_encryption import private_folder
from tests.data.conftest import short_film
from tests.pipeline.conftest import PARAMS, REPOSITORY, Stage
from tests.private_traces import needles_of, traces

NAME, TITLE = "Erika-Mustermann.mp4", "Kennwort-im-Titel"

pytestmark = pytest.mark.slow


@pytest.fixture
def private(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, dict[str, bytes]]:
    """The workspace with one private film that scan has seen, and what to look for."""
    (workspace / "params.yaml").write_text(PARAMS.format(sources="inbox", more=""))
    film = short_film(workspace / "datasets/inbox" / NAME, 5, seconds=5.0)
    (workspace / "datasets/inbox/SOURCES.csv").write_text(
        f"file,licence,title,personal_data_basis\n{NAME},own,{TITLE},legitimate_interests\n"
    )
    monkeypatch.chdir(workspace)
    for name in ("AIPROD_HOME", "DVC_ROOT"):
        monkeypatch.delenv(name, raising=False)
    offers = scan(IngestParams(sources=["inbox"]), load_sources())
    write_json(workspace / "datasets/v1/offers.json", offers.document())
    return workspace, needles_of(film.read_bytes(), [NAME, NAME.removesuffix(".mp4"), TITLE])


def _ingest(root: Path) -> subprocess.Popen[bytes]:
    """An ingest in a process group of its own, that has the film in the clear on its disk."""
    kept = {k: v for k, v in os.environ.items() if k not in ("DVC_ROOT", "AIPROD_HOME")}
    path = f"{REPOSITORY / 'src'}{os.pathsep}{REPOSITORY}"
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline.ingest"],
        cwd=root,
        env={**kept, "PYTHONPATH": path, "CI": "true"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    _until(lambda: bool(_clear(root)) or process.poll() is not None)
    assert process.poll() is None, "it was over before the film lay in the clear"
    return process


def _clear(root: Path) -> list[Path]:
    return [p for p in (root / ".aiprod/private").glob("*/work/*") if p.stat().st_size]


def _until(holds: object, seconds: float = 240.0) -> None:
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:  # type: ignore[operator]
        time.sleep(0.002)


def _worker(process: subprocess.Popen[bytes]) -> psutil.Process:
    [server] = [c for c in psutil.Process(process.pid).children() if "forkserver" in " ".join(c.cmdline())]
    return server.children()[0]


@pytest.mark.parametrize("end", ["ctrl-c", "terminate", "kill the parent", "kill a worker", "kill all"])
def test_nothing_in_the_clear_outlives_a_stage_that_is_ended(
    end: str,
    private: tuple[Path, dict[str, bytes]],
    stage: Stage,
) -> None:
    root, needles = private
    process = _ingest(root)
    worker = _worker(process)
    if end == "ctrl-c":
        os.killpg(process.pid, signal.SIGINT)
    elif end == "terminate":
        process.terminate()
    elif end == "kill the parent":
        process.kill()
    elif end == "kill a worker":
        worker.kill()
    else:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(60)
    psutil.wait_procs([worker], 30)
    if end == "kill all":  # nobody is left to sweep: the very next stage does, however soon it comes
        stage("scan")
    assert traces(root, needles, but=[root / "datasets/inbox"]) == []
    assert not list((root / ".aiprod/private").iterdir())


def test_only_what_nobody_works_in_is_swept(state_home: Path) -> None:
    left = state_home / "private" / "left"
    (left / "work").mkdir(parents=True)
    (left / "work" / "raw.part").write_bytes(b"film")
    (left / ".lock").touch()
    with private_folder() as mine:
        assert not left.exists(), "its lock was free, so it went, however young it is"
        (mine / "raw.part").touch()
        sweep_private()
        assert (mine / "raw.part").exists()
    assert not list((state_home / "private").iterdir())
