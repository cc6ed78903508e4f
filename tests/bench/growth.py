"""How processor time grows with the number of clips: the exponent of a power law, 1 = in proportion.

``python -m tests.bench.growth [PARTS…] [SIZES…]`` measures scan, lineage, qc_decide, the bucket sampler and shards at
sizes of their own, up to a million, or at those given, and prints the slope of the logarithms. What a process needs to
start counts, too, which makes the slope of short commands smaller; so it is also given for the two largest sizes alone.
Each figure is the least of ``ROUNDS`` in which the sizes take turns: on a busy machine caches are cold, and more so for
what takes longer.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from aiprod.data.latents.buckets import Bucket, BucketSampler
from aiprod.data.params import IngestParams
from aiprod.data.sources.registry import load_sources
from aiprod.data.sources.scan import scan
from aiprod.storage.shards.packing import arrange
from aiprod.storage.shards.params import ShardParams
from aiprod.storage.shards.shards import Shards
from tests.bench.decide_many import make
from tests.bench.figures import exponent, figure
from tests.bench.one_more_film import ROOT, workspace
from tests.bench.processor_time import adopt_orphans, children_cpu_s
from tests.bench.shards import content_of, name_of
from tests.governance.scale import multiply

ROUNDS = 2


def of_scan(folder: Path, count: int) -> float:
    """Seconds that `scan` takes of films of a KiB in an inbox, which it has never seen."""
    inbox = folder / "datasets" / "inbox"
    inbox.mkdir(parents=True)
    (folder / "dvc.yaml").touch()
    for number in range(count):
        (inbox / f"{number:06d}.mp4").write_bytes(b"\0\0\0\x18ftypisom" + content_of(number))
    rows = "".join(f"{number:06d}.mp4,CC0-1.0,none\n" for number in range(count))
    (inbox / "SOURCES.csv").write_text("file,licence,personal_data_basis\n" + rows)
    sources, before = load_sources(ROOT / "datasets/sources.yaml"), time.process_time()
    assert len(scan(IngestParams(sources=["inbox"]), sources).offers) == count
    return time.process_time() - before


def of_sampler(folder: Path, count: int) -> float:
    """Seconds in which the bucket sampler draws every clip of 20 buckets twice; it is given them as read: by id."""
    buckets = [Bucket(32, 48 + 8 * number, 9, True) for number in range(20)]
    names = "\n".join(sorted(name_of(number) for number in range(count))).split("\n")
    clips = {name: buckets[number % 20] for number, name in enumerate(names)}
    before = time.process_time()
    sampler = BucketSampler(clips, batch=16, seed=1)
    for _ in range(2 * count // 16):
        sampler.next()
    return time.process_time() - before


def of_shards(folder: Path, count: int) -> float:
    """Seconds of packing objects of a KiB into shards of a MiB, listing and verifying them."""
    data = folder / "processed"
    data.mkdir()
    for number in range(count):
        (data / name_of(number)).write_bytes(content_of(number))
    before = time.process_time()
    arrange(data, ShardParams(above=0, max_mib=1.0), folder / "shelf")
    packed = Shards(data)
    assert sum(1 for _ in packed.members()) == count
    assert not any(packed.faults())
    return time.process_time() - before


def of_lineage(folder: Path, count: int) -> float:
    """Seconds of `aiprod lineage` of a sample whose model saw every clip."""
    root = multiply(folder / "project", count)
    return _child(root, "-m", "aiprod.cli", "lineage", "reports/samples/000.mp4", "--no-rehash")


def of_decide(folder: Path, count: int) -> float:
    """Seconds of the stage qc_decide with its workers and reports."""
    make(workspace(folder / "project") / "datasets/v1", count)
    return _child(folder / "project", "-m", "pipeline.qc_decide")


def _child(folder: Path, *words: str) -> float:
    before = children_cpu_s()
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    environment = {**os.environ, "CI": "true", "PYTHONPATH": path}
    environment.pop("AIPROD_HOME", None)
    subprocess.run([sys.executable, *words], cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
    return children_cpu_s() - before


MEASURED: dict[str, tuple[Callable[[Path, int], float], tuple[int, ...]]] = {
    "scan": (of_scan, (10_000, 30_000, 100_000)),
    "lineage": (of_lineage, (100_000, 300_000, 1_000_000)),
    "qc_decide": (of_decide, (30_000, 100_000, 300_000)),
    "sampler": (of_sampler, (100_000, 300_000, 1_000_000)),
    "shards": (of_shards, (10_000, 30_000, 100_000)),
}


def main(sizes: tuple[int, ...] = (), only: tuple[str, ...] = ()) -> None:
    """Print seconds and exponents, beside the bound of 1.05.

    Raises:
        SystemExit: there is no such part.
    """
    if unknown := [word for word in only if word not in MEASURED]:
        raise SystemExit(f"error: {', '.join(unknown)} is not measured → one of {', '.join(MEASURED)}")
    adopt_orphans()
    for what, (measure, usual) in MEASURED.items():
        if only and what not in only:
            continue
        _one(what, measure, sizes or usual)


def _one(what: str, measure: Callable[[Path, int], float], sizes: tuple[int, ...]) -> None:
    taken: dict[int, list[float]] = {count: [] for count in sizes}
    for count in [count for _ in range(ROUNDS) for count in sizes]:
        with tempfile.TemporaryDirectory(prefix="aiprod-bench-") as place:
            here = os.getcwd()
            os.chdir(place)
            try:
                taken[count].append(measure(Path(place), count))
            finally:
                os.chdir(here)
    seconds = [min(taken[count]) for count in sizes]
    said = ", ".join(f"{count:,}: {took:.2f} s" for count, took in zip(sizes, seconds, strict=True))
    print(f"{what}: {said}", flush=True)
    if len(sizes) > 2:
        figure(f"{what}: exponent of growth, {sizes[0]:,} to {sizes[-1]:,}", exponent(sizes, seconds), most=1.05)
    last = exponent(sizes[-2:], seconds[-2:])
    figure(f"{what}: exponent of growth, {sizes[-2]:,} to {sizes[-1]:,}", last, most=1.05)


if __name__ == "__main__":
    chosen = tuple(word for word in sys.argv[1:] if not word.isdigit())
    main(tuple(int(word) for word in sys.argv[1:] if word.isdigit()), chosen)
