"""Time of lineage over 100,000 clips and, printed, a million; of verifying and proving in a log of a million.

``python -m tests.bench.governance_scale [CLIPS]`` prints the lineage of so many clips (a million).
"""

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
from tests.bench.figures import figure
from tests.bench.processor_time import watch
from tests.governance.scale import REPOSITORY, build, multiply

CLIPS, PRINTED, ENTRIES = 100_000, 1_000_000, 1_000_000
_BATCH = 10_000


def lineage_of_many(folder: Path) -> tuple[str, float]:
    """What `aiprod lineage` prints of a video of many clips, and its processor seconds."""
    root = build(folder / "work", CLIPS)
    said, seconds, _ = _lineage(root, "--json")
    return said, seconds


def printed_lineage_of_many(folder: Path, clips: int) -> tuple[str, float, float]:
    """What `aiprod lineage` prints of a video of very many clips, its processor seconds, and its peak memory in MiB."""
    root = multiply(folder / "printed", clips)
    return _lineage(root)


def _lineage(root: Path, *words: str) -> tuple[str, float, float]:
    command = [sys.executable, "-m", "aiprod.cli", "lineage", "reports/samples/000.mp4", "--no-rehash", *words]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "src")}
    with tempfile.TemporaryFile() as said:
        seconds, peak = watch(subprocess.Popen(command, cwd=root, env=environment, stdout=said))
        said.seek(0)
        return said.read().decode(), seconds, peak


def log_of_many(folder: Path) -> tuple[Any, float, list[float]]:
    """What verifying a long log finds, its processor seconds, and those of three proofs."""
    log = AuditLog()
    for first in range(0, ENTRIES, _BATCH):
        log.append([Event("verdict", f"c{n % 5000}", {"n": first + n}) for n in range(_BATCH)])
    start = time.process_time()
    found = verify(folder, log)
    verifying, proofs = time.process_time() - start, []
    for index in (0, ENTRIES // 2, ENTRIES - 1):
        start = time.process_time()
        proof(log, index)
        proofs.append(time.process_time() - start)
    return found, verifying, proofs


def main(printed: int = PRINTED) -> None:
    """Measure and print, beside the bounds."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["AIPROD_HOME"] = str(folder / "state")
        _, seconds = lineage_of_many(folder)
        figure(f"lineage of a video of {CLIPS:,} clips as JSON", seconds, "s", most=10)
        _, seconds, peak = printed_lineage_of_many(folder, printed)
        figure(f"lineage of a video of {printed:,} clips, printed", seconds, "s", most=2)
        figure(f"lineage of a video of {printed:,} clips, printed, peak memory", peak, "MiB", most=500)
        _, seconds, proofs = log_of_many(folder)
        figure(f"verifying {ENTRIES:,} entries of the audit log", seconds, "s", most=60)
        figure(f"a proof among {ENTRIES:,} entries", 1000 * max(proofs), "ms", most=50)


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:2]))
