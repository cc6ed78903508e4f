"""Time of lineage over 100,000 clips and, printed, a million; of verifying and proving in a log of a million."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from aiprod.governance.audit.log import AuditLog, Event
from aiprod.governance.audit.verify import proof, verify
from tests.bench.processor_time import watch
from tests.governance.scale import REPOSITORY, build, multiply

CLIPS, PRINTED, ENTRIES = 100_000, 1_000_000, 1_000_000
_BATCH = 10_000


def lineage_of_many(folder: Path) -> tuple[str, float]:
    """What `aiprod lineage` prints of a video of many clips, and the seconds it takes."""
    root = build(folder / "work", CLIPS)
    command = [sys.executable, "-m", "aiprod.cli", "lineage", "reports/samples/000.mp4", "--no-rehash", "--json"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "src")}
    start = time.perf_counter()
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=True)
    return done.stdout, time.perf_counter() - start


def printed_lineage_of_many(folder: Path, clips: int) -> tuple[str, float, float]:
    """What `aiprod lineage` prints of a video of very many clips, its processor seconds, and its peak memory in MiB."""
    root = multiply(folder / "printed", clips)
    command = [sys.executable, "-m", "aiprod.cli", "lineage", "reports/samples/000.mp4", "--no-rehash"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "src")}
    with open(folder / "said", "wb+") as said:
        seconds, peak = watch(subprocess.Popen(command, cwd=root, env=environment, stdout=said))
        said.seek(0)
        return said.read().decode(), seconds, peak


def log_of_many(folder: Path) -> tuple[Any, float, list[float]]:
    """What verifying a long log finds, the seconds it takes, and those of three proofs."""
    log = AuditLog()
    for first in range(0, ENTRIES, _BATCH):
        log.append([Event("verdict", f"c{n % 5000}", {"n": first + n}) for n in range(_BATCH)])
    start = time.perf_counter()
    found = verify(folder, log)
    verifying, proofs = time.perf_counter() - start, []
    for index in (0, ENTRIES // 2, ENTRIES - 1):
        start = time.perf_counter()
        proof(log, index)
        proofs.append(time.perf_counter() - start)
    return found, verifying, proofs


def main() -> None:
    """Measure and print, beside the bounds: 10 s, a minute, 50 ms."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["AIPROD_HOME"] = str(folder / "state")
        _, seconds = lineage_of_many(folder)
        print(f"lineage of a video of {CLIPS:,} clips: {seconds:.1f} s (bound: 10 s)")
        _, seconds, peak = printed_lineage_of_many(folder, PRINTED)
        print(
            f"the same printed, of {PRINTED:,} clips: {seconds:.1f} s of processor time, {peak:.0f} MiB (2 s, 500 MiB)"
        )
        _, seconds, proofs = log_of_many(folder)
        print(
            f"verifying {ENTRIES:,} log entries: {seconds:.1f} s (bound: 60 s); a proof: {max(proofs):.3f} s (0.05 s)"
        )


if __name__ == "__main__":
    main()
