"""How much of a Ray cluster's time its workers work: many clips, measured on two nodes of one processor each.

``python -m tests.bench.cluster [CLIPS]`` measures a film that many times. Utilisation is the time in which a worker's
process was at an item, over all workers, as a share of the time from the first item's beginning to the last one's end:
what packing, sending, unpacking and keeping results cost beside it is the rest. Then one of the nodes is taken away in
the middle of another run, which costs time and no result.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from aiprod.base.files import sha256_file
from aiprod.executors import ray
from aiprod.executors.executor import ordered_map
from aiprod.executors.types import Bounds, Engine
from aiprod.media.encoding import encode
from aiprod.media.probing import probe
from aiprod.qc.measure.stage import MeasureJob, measure_job
from aiprod.qc.params import QcMeasureParams
from aiprod.storage.result_cache import Memo
from tests.bench.figures import figure

_WORKERS = 2
_NODE = {"num_cpus": 1, "object_store_memory": 80 << 20, "node_ip_address": "127.0.0.1", "include_dashboard": False}


def share_at_work(jobs: list[MeasureJob], engine: Engine) -> tuple[float, float]:
    """Utilisation, and seconds from the first item's beginning to the last one's end."""
    busy, begun, ended = 0.0, 0.0, 0.0
    for outcome in ordered_map(
        measure_job, jobs, workers=_WORKERS, bounds=Bounds(deadline_s=3600, memory_bytes=0), engine=engine
    ):
        assert outcome.ok, outcome.reason
        ended = time.monotonic()
        begun = begun or ended - outcome.seconds
        busy += outcome.seconds
    return busy / (_WORKERS * (ended - begun)), ended - begun


def _make_film(path: Path, seconds: float) -> None:
    """A pan over a coarse texture at 640x360, with a tone."""
    ground = np.kron(np.random.default_rng(0).integers(20, 235, (15, 60, 3), np.uint8), np.ones((24, 24, 1), np.uint8))
    tone = (0.2 * np.sin(np.arange(round(48_000 * seconds)) / 20)).astype(np.float32)
    pictures = (ground[:, 4 * n : 4 * n + 640] for n in range(round(24 * seconds)))
    encode(path, pictures, 24, np.stack([tone, tone]))


def main(clips: int = 150, seconds: float = 2.0) -> None:
    """Print the figures of both engines, and of a run in which a node is taken away."""
    os.environ.setdefault("RAY_ADDRESS", "127.0.0.1")  # read when Ray is loaded, to stay on this address
    os.environ.setdefault("RAY_worker_niceness", "0")  # as local processes: 15 lets any other work go first
    try:
        ray._ray()
    except Exception as error:
        print(f"cluster: skipped ({error})")
        return
    here = os.getcwd()
    with tempfile.TemporaryDirectory(prefix="aiprod-bench-") as place:
        os.chdir(place)
        Path("dvc.yaml").touch()
        try:
            _measure(Path(place), clips, seconds)
        finally:
            os.chdir(here)


def _measure(place: Path, clips: int, seconds: float) -> None:
    from ray.cluster_utils import Cluster

    film = place / "film.mp4"
    _make_film(film, seconds)
    facts, digest = probe(film).model_dump(mode="json"), sha256_file(film)

    def run(name: str, engine: Engine, count: int = clips) -> tuple[float, float, list[Any]]:
        memo = Memo(place / name, "")
        keys = [memo.key(digest, n) for n in range(count)]
        jobs = [MeasureJob(key, film, facts, 0.0, seconds, QcMeasureParams(), memo) for key in keys]
        at_work, took_s = share_at_work(jobs, engine)
        return at_work, took_s, [_kept(memo, key) for key in keys]

    here, here_s, wanted = run("local", "local")
    made = Cluster(initialize_head=True, head_node_args=_NODE)
    second = made.add_node(**_NODE)
    os.environ["RAY_ADDRESS"] = made.address
    try:
        there, there_s, found = run("ray", "ray")
        few = max(2, clips // 3)
        killer = threading.Timer(there_s / 6, lambda: made.remove_node(second, allow_graceful=False))
        killer.start()
        _, alone_s, left = run("killed", "ray", few)
        killer.cancel()
    finally:
        made.shutdown()
    size = f"{clips} clips of {seconds:g} s, {_WORKERS} workers"
    figure(f"{size}: share of the time at work on Ray", there, least=0.9)
    figure(f"{size}: share of the time at work in local processes", here, least=0.9)
    figure("time on Ray over time in local processes", there_s / here_s)
    figure("results on Ray that are those of local processes, share", _alike(wanted, found), least=1)
    figure("the same where one of two nodes is killed in the middle", _alike(wanted[:few], left), least=1)
    figure("time with the node killed over time without", alone_s / (there_s * few / clips))


def _kept(memo: Memo, key: str) -> tuple[Any, dict[str, bytes]]:
    """A clip's figures and the bytes of its files."""
    known = memo.get(key)
    assert known is not None, "every clip is measured"
    return known[0], {path.name: path.read_bytes() for path in sorted(known[1].iterdir())}


def _alike(wanted: list[Any], found: list[Any]) -> float:
    return sum(one == other for one, other in zip(wanted, found, strict=True)) / len(wanted)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 150)
