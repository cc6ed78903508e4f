"""Seeded damage to small real films, and what ingest and quality control make of each: the job of the fuzz tests."""

from __future__ import annotations

import os
import random
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from aiprod.base.files import sha256_file
from aiprod.data.ingest.ingest_film import IngestJob, ingest_film
from aiprod.data.params import IngestParams
from aiprod.executors.executor import ordered_map
from aiprod.executors.types import Bounds
from aiprod.media.encoding import encode
from aiprod.qc.measure.standalone import FileJob, examine
from aiprod.qc.params import QcMeasureParams
from aiprod.storage.result_cache import Memo

CONTAINERS = (".mp4", ".mkv", ".ts", ".mov")
BOUNDS = Bounds(deadline_s=60.0, memory_bytes=1 << 30)
_INGESTED = 4  # one film in so many is taken in too
_EXTREMES = (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x00\x00\x00\x00", b"\x80\x00\x00\x00", b"\x00\x00\x00\x01")


@dataclass(frozen=True)
class Damage:
    """One film to damage; ``seed`` says how."""

    film: str
    seed: int


def make_films(folder: Path) -> list[Path]:
    """Half a second of a moving texture with a tone, in four containers."""
    rng = np.random.default_rng(7)
    ground = np.kron(rng.integers(40, 220, (8, 30, 3), np.uint8), np.ones((8, 8, 1), np.uint8))
    tone = (0.2 * np.sin(2 * np.pi * 440 * np.arange(24_000) / 48_000)).astype(np.float32)
    first = folder / "film.mp4"
    encode(first, [ground[:, 4 * n : 4 * n + 96] for n in range(12)], 24, np.stack([tone, tone]), preset="ultrafast")
    return [first, *(_rewrap(first, suffix) for suffix in CONTAINERS[1:])]


def _rewrap(film: Path, suffix: str) -> Path:
    target = film.with_suffix(suffix)
    with av.open(str(film)) as source, av.open(str(target), "w") as made:
        streams = {s.index: made.add_stream_from_template(s) for s in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                made.mux(packet)
    return target


def damaged(data: bytes, seed: int) -> bytes:
    """Flipped bytes, extreme numbers, holes, repeats, cuts, often in the header; the same seed gives the same."""
    rng = random.Random(seed)
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        if not out:
            break
        reach = len(out) if rng.random() < 0.5 else min(len(out), 1500)
        # MP4 has its table last
        at = rng.randrange(reach) if rng.random() < 0.7 else len(out) - 1 - rng.randrange(reach)
        size = rng.randrange(1, 400)
        match rng.randrange(6):
            case 0 | 1:
                out[at] ^= 1 << rng.randrange(8)
            case 2:
                out[at : at + 4] = rng.choice(_EXTREMES)
            case 3:
                del out[at : at + size]
            case 4:
                out[at:at] = out[at : at + size]
            case 5:
                out[at : at + size] = bytes(len(out[at : at + size]))
    if rng.random() < 0.1:
        del out[rng.randrange(len(out) + 1) :]
    return bytes(out)


def survive(job: Damage) -> tuple[str, str]:
    """Damage, measure, and sometimes take in. Returns the row's status and the first word of its reason."""
    film = Path(job.film)
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / f"x{film.suffix}"
        path.write_bytes(damaged(film.read_bytes(), job.seed))
        row, _ = examine(FileJob(path, QcMeasureParams()))
        if job.seed % _INGESTED == 0:
            memo = Memo(Path(place) / "memo", "")
            ingest_film(IngestJob(os.fspath(path), None, sha256_file(path), memo.key("x"), memo, IngestParams()))
        return row.status, row.reasons[0].split(":")[0] if row.reasons else ""


def fuzz(films: Sequence[Path], seeds: Sequence[int], description: str = "") -> tuple[int, Counter[str], list[str]]:
    """Rows, rows by status and reason, and the films that cost a worker or raised what nobody foresaw."""
    jobs = [Damage(str(films[seed % len(films)]), seed) for seed in seeds]
    found: Counter[str] = Counter()
    faults = []
    rows = 0
    for job, outcome in zip(jobs, ordered_map(survive, jobs, bounds=BOUNDS, description=description), strict=True):
        rows += 1
        if outcome.value is None:
            faults.append(f"seed {job.seed} {Path(job.film).suffix}: {outcome.fault}: {outcome.reason}")
            found[str(outcome.fault)] += 1
        else:
            found[" ".join(filter(None, outcome.value))] += 1
            if outcome.attempts > 1:
                faults.append(f"seed {job.seed} {Path(job.film).suffix}: {outcome.attempts} attempts")
    return rows, found, faults
