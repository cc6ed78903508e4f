"""The same work on a Ray cluster of two nodes: the same outcomes, the same bytes, whoever dies meanwhile."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from aiprod.data.ingest.ingest import ingest
from aiprod.data.params import IngestParams
from aiprod.data.rows import ClipRow, FilmRow
from aiprod.data.sources.scan import scan
from aiprod.errors import AiprodError
from aiprod.executors import ray
from aiprod.executors.executor import ordered_map
from aiprod.executors.types import Bounds, Engine
from aiprod.qc.measure.stage import measure_all
from aiprod.qc.params import QcMeasureParams
from aiprod.qc.rows import MeasureRow
from aiprod.rights.declarations import load_sources
from aiprod.storage.clip_store import ClipStore
from aiprod.storage.manifest.manifest import write_manifest
from aiprod.storage.result_cache import Memo
from tests.data.test_engine import behave

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def cluster() -> Iterator[object]:
    """Two nodes of one processor each on the loopback address, joined through RAY_ADDRESS as any cluster is."""
    os.environ["RAY_ADDRESS"] = "127.0.0.1"  # read when Ray is loaded, to stay on this address
    os.environ["PYTHONPATH"] = str(REPOSITORY)  # of the functions of tests; the package itself is sent
    try:
        ray._ray()
    except AiprodError as error:
        pytest.fail(str(error))  # these tests run only when they are asked for: skipped, they would prove nothing
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": 80 << 20, "node_ip_address": "127.0.0.1", "include_dashboard": False}
    made = Cluster(initialize_head=True, head_node_args=node)
    made.add_node(**node)
    os.environ["RAY_ADDRESS"] = made.address
    yield made
    made.shutdown()
    del os.environ["RAY_ADDRESS"]


def test_without_ray_the_hint_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(ray.importlib, "import_module", absent)
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    with pytest.raises(AiprodError, match=r"pip install 'aiprod\[ray\]'"):
        list(ordered_map(behave, [("fine", "x")], engine="ray"))


@pytest.mark.long
def test_every_fault_reads_as_it_does_here(cluster: object, tmp_path: Path) -> None:
    names = ["fine", "die", "die once", "hang", "eat", "raise", "refuse", "fine"]
    bounds = Bounds(deadline_s=2.5, memory_bytes=600 << 20)

    def run(engine: Engine) -> list[tuple[object, ...]]:
        items = [(name, str(tmp_path / f"{engine}{n}")) for n, name in enumerate(names)]
        found = ordered_map(behave, items, workers=2, bounds=bounds, engine=engine)
        return [(o.index, str(o.value).split(":")[0], o.fault, o.reason, o.attempts) for o in found]

    assert run("ray") == run("local")


def supervised(order: tuple[int, str]) -> int:
    """Work that says which process does it, and that does not end before one was killed."""
    number, folder = order
    Path(folder, f"{number}-{os.getpid()}").touch()
    until = time.monotonic() + 60
    while not Path(folder, "killed").exists() and time.monotonic() < until:
        time.sleep(0.05)
    return number * number


@pytest.mark.long
def test_killing_a_worker_and_a_node_in_the_middle_changes_nothing_but_the_time(
    cluster: object, tmp_path: Path
) -> None:
    lost = cluster.add_node(num_cpus=1, object_store_memory=80 << 20, node_ip_address="127.0.0.1")  # type: ignore[attr-defined]

    def kill() -> None:
        until = time.monotonic() + 60
        while len(begun := list(tmp_path.iterdir())) < 3 and time.monotonic() < until:
            time.sleep(0.05)  # until each of the three nodes is at work
        os.kill(int(begun[0].name.split("-")[1]), signal.SIGKILL)
        cluster.remove_node(lost, allow_graceful=False)  # type: ignore[attr-defined]
        (tmp_path / "killed").touch()

    threading.Thread(target=kill, daemon=True).start()
    outcomes = list(ordered_map(supervised, [(n, str(tmp_path)) for n in range(14)], engine="ray"))
    assert [(o.index, o.value, o.fault) for o in outcomes] == [(n, n * n, None) for n in range(14)]
    assert len(list(tmp_path.glob("*-*"))) > 14  # something was begun twice


def take_in_and_measure(folder: Path, engine: Engine) -> dict[str, bytes]:
    """Both worker stages on an inbox of films, with a memo of their own; every file they leave."""
    offers = scan(PARAMS, load_sources(REPOSITORY / "datasets/sources.yaml"))
    store = ClipStore(folder)
    films, clips, _ = ingest(
        offers,
        load_sources(REPOSITORY / "datasets/sources.yaml"),
        PARAMS,
        seed=1,
        memo=Memo(folder.with_suffix(".memo") / "ingest", ""),
        store=store,
        engine=engine,
    )
    rows, counters = measure_all(
        films,
        clips,
        QcMeasureParams(),
        memo=Memo(folder.with_suffix(".memo") / "qc", ""),
        store=store,
        thumbs=folder / "thumbs",
        engine=engine,
    )
    assert counters.processed == 6 and [film.status for film in films].count("error") == 1
    for name, values, model, key in (
        ("films", films, FilmRow, lambda row: row.film_id),
        ("clips", clips, ClipRow, lambda row: row.clip_id),
        ("measure", rows, MeasureRow, lambda row: row.clip_id),
    ):
        write_manifest(folder / name, values, row_model=model, stage=name, key=key, params_digest="", inputs={})
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


PARAMS = IngestParams(sources=["inbox"])


def kill_one_supervisor(once: Path, killed: list[int]) -> None:
    """Kill a Ray worker of this process's cluster as soon as the first result lies in ``once``."""
    until = time.monotonic() + 120
    while time.monotonic() < until:
        if once.is_dir() and any(path.is_file() for path in once.rglob("*")):
            for process in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    if process.cmdline()[:1] and process.cmdline()[0].startswith("ray::Supervisor"):
                        process.kill()
                        killed.append(process.pid)
                        return
        time.sleep(0.01)


@pytest.mark.long
def test_both_engines_leave_the_same_bytes_though_a_ray_worker_dies(
    cluster: object, tmp_path: Path, make_film: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dvc.yaml").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AIPROD_HOME", str(tmp_path / "state"))
    inbox = tmp_path / "datasets/inbox"
    inbox.mkdir(parents=True)
    for n in range(6):
        make_film(inbox / f"{n}.mp4", seed=n)
    (inbox / "broken.mp4").write_bytes((inbox / "0.mp4").read_bytes()[:3000])
    (inbox / "SOURCES.csv").write_text(
        "file,licence,personal_data_basis\n" + "".join(f"{p.name},CC0-1.0,none\n" for p in sorted(inbox.glob("*.mp4")))
    )
    here = take_in_and_measure(tmp_path / "local", "local")
    killed: list[int] = []
    killer = threading.Thread(target=kill_one_supervisor, args=(tmp_path / "ray.memo" / "ingest", killed))
    killer.start()
    there = take_in_and_measure(tmp_path / "ray", "ray")
    killer.join()
    assert len(killed) == 1, "a Ray worker was to die in the middle"
    assert there.keys() == here.keys() and there == here
    assert sum(name.startswith("processed/") for name in here) == 6
