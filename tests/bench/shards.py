"""What one file for each object costs in DVC, against shards: ``python -m tests.bench.shards [OBJECTS] [SHARD_KIB]``.

Two projects with the same objects of 1 KiB, in both layouts; each DVC command runs in one, then in the other. Printed
are processor seconds (user and system, with DVC's own processes) and their ratio, bytes that one added object rewrites
and pushes, and objects pushed. Needs DVC on the path and a few GiB below the temporary folder.
"""

from __future__ import annotations

import base64
import hashlib
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from aiprod.storage.shards.packing import arrange
from aiprod.storage.shards.params import ShardParams
from aiprod.storage.shards.shards import Shards
from tests.bench.figures import figure

SIZE = 1024


def name_of(number: int) -> str:
    """An opaque clip id with the suffix of a clip."""
    return f"c{base64.b32encode(hashlib.sha256(str(number).encode()).digest())[:16].decode().lower()}-000.mp4"


def content_of(number: int) -> bytes:
    """Random bytes."""
    return random.Random(number).randbytes(SIZE)


def dvc(folder: Path, *words: str) -> float:
    """Processor seconds of one DVC command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "DVC_NO_ANALYTICS": "1", "CI": "1"}
    subprocess.run(["dvc", *words, "-q"], cwd=folder, check=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def project(folder: Path, count: int) -> Path:
    """A DVC project with one stage, whose output holds the objects."""
    data = folder / "data"
    data.mkdir(parents=True)
    for number in range(count):
        (data / name_of(number)).write_bytes(content_of(number))
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    dvc(folder, "init")
    dvc(folder, "config", "core.autostage", "false")
    dvc(folder, "remote", "add", "-d", "local", str(folder.parent / f"{folder.name}-remote"))
    (folder / "dvc.yaml").write_text("stages:\n  make:\n    cmd: 'true'\n    outs:\n    - data\n")
    return data


def pushed(folder: Path) -> tuple[int, int]:
    """Objects in the remote and their bytes."""
    files = [p for p in (folder.parent / f"{folder.name}-remote").rglob("*") if p.is_file()]
    return len(files), sum(p.stat().st_size for p in files)


def main(count: int = 2_000, kib: float | None = None) -> None:
    """Print the table, of shards of so many KiB, or of about a thousand shards."""
    kib = count * 1.75 / 1000 if kib is None else kib
    params = ShardParams(above=0, max_mib=max(kib, 64) / 1024)
    with tempfile.TemporaryDirectory() as place:
        folders = [Path(place) / "files", Path(place) / "shards"]
        data = [project(folder, count) for folder in folders]
        start = time.process_time()
        arrange(data[1], params)
        print(
            f"{count} objects of {SIZE} bytes in {len(Shards(data[1]).paths())} shards, load {os.getloadavg()[0]:.1f}"
        )
        print(f"packing and removing the files: {time.process_time() - start:.2f} s")

        def row(what: str, *words: str) -> float:
            one, other = (dvc(folder, *words) for folder in folders)
            print(f"{what:32} {one:8.2f} {other:8.2f} {one / other:8.1f}", flush=True)
            return other

        print(f"{'processor seconds':32} {'files':>8} {'shards':>8} {'ratio':>8}")
        row("first commit", "commit", "-f")
        row("dvc status, nothing to do", "status")
        nothing = row("dvc repro, nothing to do", "repro")
        row("first push", "push")
        row("push, nothing new", "push")
        before = [pushed(folder) for folder in folders]
        for where in data:
            (where / name_of(count)).write_bytes(content_of(count))
        start = time.process_time()
        done = arrange(data[1], params)
        print(f"one object added: {done.written} shards of {done.bytes_written} bytes written,", end=" ")
        packing = time.process_time() - start
        print(f"{packing:.2f} s of packing")
        added = packing + row("commit of one object added", "commit", "-f")
        row("push of one object added", "push")
        for folder, old in zip(folders, before, strict=True):
            new = pushed(folder)
            print(f"{folder.name}: {new[0] - old[0]} of {new[0]} objects pushed, {new[1] - old[1]} bytes")
        figure(f"{count:,} objects in shards: nothing-to-do dvc repro", nothing, "s", most=10)
        figure(f"{count:,} objects in shards: one added, packing and commit", added, "s", most=30)
        figure("objects uploaded by the push after it", 100 * (new[0] - old[0]) / new[0], "%", most=1)


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:2]), *(float(word) for word in sys.argv[2:3]))
