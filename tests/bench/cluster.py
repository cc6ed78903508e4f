"""How much of a Ray cluster's time its workers work: many clips, measured on two nodes of one processor each.

``python -m tests.bench.cluster [CLIPS]`` measures a film that many times. Utilisation is the time in
which a worker's process was at an item, over all workers, as a share of the time from the first item's beginning to the
last one's end: what packing, sending, unpacking and keeping results cost beside it is the rest.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

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


def main(clips: int = 60, seconds: float = 2.0) -> None:
    """Print both engines' figures."""
    os.environ.setdefault("RAY_ADDRESS", "127.0.0.1")  # read when Ray is loaded, to stay on this address
    try:
        ray._ray()
    except Exception as error:
        print(f"cluster: skipped ({error})")
        return
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        Path("dvc.yaml").touch()
        film = Path(place, "film.mp4")
        _make_film(film, seconds)
        facts = probe(film).model_dump(mode="json")
        digest, shares = sha256_file(film), {}
        for engine in ("local", "ray"):
            memo = Memo(Path(place, engine), "")
            jobs = [
                MeasureJob(memo.key(digest, n), film, facts, 0.0, seconds, QcMeasureParams(), memo)
                for n in range(clips)
            ]
            if engine == "ray":
                from ray.cluster_utils import Cluster

                made = Cluster(initialize_head=True, head_node_args=_NODE)
                made.add_node(**_NODE)
                os.environ["RAY_ADDRESS"] = made.address
            shares[engine] = share_at_work(jobs, engine)  # type: ignore[arg-type]
        made.shutdown()
        os.chdir("/")
    (here, here_s), (there, there_s) = shares["local"], shares["ray"]
    size = f"{clips} clips of {seconds:g} s, {_WORKERS} workers"
    print(f"{size}: at work {there:.3f} of the time on Ray, {here:.3f} in local processes")
    print(f"time on Ray over time in local processes: {there_s / here_s:.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 60)
