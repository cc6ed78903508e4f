"""What `scan` costs with very many films, first, when nothing changed and with one more.

``python -m tests.bench.scan_again [FILMS]``. Films of a KiB with a table of their rights, written an hour ago. Printed
are processor seconds and peak memory of the stage, process start included.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.bench.figures import figure
from tests.bench.one_more_film import workspace
from tests.bench.processor_time import watch
from tests.bench.shards import content_of


def fill(inbox: Path, first: int, count: int) -> None:
    """Files that look like films from ``first`` on, and the table of all; what was written just now is looked at again.

    So all are old, but for what is added.
    """
    inbox.mkdir(parents=True, exist_ok=True)
    then = time.time() - (60 if first else 3600)
    for number in range(first, count):
        path = inbox / f"{number:06d}.mp4"
        path.write_bytes(b"\0\0\0\x18ftypisom" + content_of(number))
        os.utime(path, (then, then))
    table = inbox / "SOURCES.csv"
    rows = "".join(f"{number:06d}.mp4,CC0-1.0,none\n" for number in range(count))
    table.write_text("file,licence,personal_data_basis\n" + rows)
    for path in (table, inbox):
        os.utime(path, (then, then))


def scan(folder: Path) -> tuple[float, float]:
    """Processor seconds and peak resident MiB of one run of the stage."""
    environment = {**os.environ, "CI": "true", "PYTHONPATH": f"{folder / 'src'}{os.pathsep}{folder}"}
    environment.pop("AIPROD_HOME", None)
    command = [sys.executable, "-m", "pipeline.scan"]
    return watch(subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL))


def main(count: int = 100_000) -> None:
    """Print the figures beside the bounds of the second run: 3 s, 150 MiB."""
    with tempfile.TemporaryDirectory(prefix="aiprod-bench-") as place:
        folder = workspace(Path(place) / "project")
        fill(folder / "datasets/inbox", 0, count)
        turns = (("first", None, None), ("nothing changed", 3, 150), ("one added", None, None))
        for what, seconds_wanted, mib_wanted in turns:
            if what == "one added":
                fill(folder / "datasets/inbox", count, count + 1)
            seconds, peak = scan(folder)
            figure(f"scan of {count:,} films, {what}", seconds, "s", most=seconds_wanted)
            figure(f"scan of {count:,} films, {what}, peak memory", peak, "MiB", most=mib_wanted)


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:2]))
