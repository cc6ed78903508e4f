"""Peak memory of one worker on a 4K film: taking it in, and measuring it with every check on.

``python -m tests.bench.worker_memory [SECONDS]`` makes a film of 3840x2160 at 24 fps with sound.
"""

from __future__ import annotations

import os
import sys
import tempfile
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from aiprod.base.files import sha256_file
from aiprod.data.ingest.ingest_film import IngestJob, ingest_film
from aiprod.data.params import IngestParams
from aiprod.media.encoding import encode
from aiprod.qc.measure.measure_clip import measure_file
from aiprod.qc.params import QcMeasureParams
from aiprod.storage.result_cache import Memo
from tests.bench.figures import figure
from tests.bench.processor_time import peak_mib


def make_film(path: Path, seconds: float) -> None:
    """A pan over a coarse texture, so that coding it is quick."""
    ground = np.kron(np.random.default_rng(0).integers(20, 235, (90, 200, 3), np.uint8), np.ones((24, 24, 1), np.uint8))
    tone = (0.2 * np.sin(np.arange(round(48_000 * seconds)) / 20)).astype(np.float32)
    pictures = (ground[:, 8 * n : 8 * n + 3840] for n in range(round(24 * seconds)))
    encode(path, pictures, 24, np.stack([tone, tone]), preset="veryfast")


def take(path: Path) -> int:
    """Peak resident bytes of a fresh process that takes the film in."""
    with tempfile.TemporaryDirectory() as place:
        memo = Memo(Path(place), "")
        ingest_film(IngestJob(str(path), None, sha256_file(path), memo.key("x"), memo, IngestParams()))
    return round(peak_mib(os.getpid()) * 2**20)


def measure(path: Path) -> int:
    """Peak resident bytes of a fresh process that measures it."""
    measure_file(path, QcMeasureParams())
    return round(peak_mib(os.getpid()) * 2**20)


def peaks(seconds: float) -> dict[str, int]:
    """Both, in bytes."""
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "film.mp4"
        with get_context("spawn").Pool(1, maxtasksperchild=1) as pool:  # a process an item: peaks never fall
            pool.apply(make_film, (path, seconds))
            return {work.__name__: pool.apply(work, (path,)) for work in (take, measure)}


if __name__ == "__main__":
    for name, peak in peaks(float(sys.argv[1]) if len(sys.argv) > 1 else 2.0).items():
        figure(f"peak memory of a worker that has to {name} a film of 3840x2160", peak / 2**20, "MiB", most=1024)
