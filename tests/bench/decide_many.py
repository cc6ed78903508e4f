"""What deciding on very many clips costs: the whole stage qc_decide, reading, judging, writing and the reports.

``python -m tests.bench.decide_many [ROWS] [FOLDER]`` writes manifests of ROWS synthetic measurements (100000), prints
time and peak memory of the stage. A FOLDER that an earlier run left is used again. With ``--growth ROWS ROWS`` it does
so for both and prints the exponent of its time and what the memory of the largest process grows by.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from aiprod.data.rows import ClipRow, FilmRow
from aiprod.qc.overlays.edge_sketch import as_text
from aiprod.qc.rows import MeasureRow
from aiprod.storage.manifest.manifest import write_manifest
from tests.bench.figures import exponent, figure
from tests.bench.one_more_film import workspace
from tests.bench.processor_time import adopt_orphans, children_cpu_s, peak_mib
from tests.qc.test_scoring import GOOD
from tests.rows import clip_row


def sketches(count: int) -> list[str]:
    """What stays in place in scenes that have nothing in common: a tenth of the cells, in any direction."""
    rng = np.random.default_rng(0)
    cells = rng.integers(1, 5, (count, 28, 48)) * (rng.random((count, 28, 48)) < 0.1)
    return [as_text(one) for one in cells.astype(np.uint8)]


def measurements(rng: random.Random, seen: Sequence[str]) -> dict[str, Any]:
    """Figures that differ from clip to clip, good and bad, and the lists that palettes and sound events are.

    A third of the clips cannot tell a mark by themselves; all left a sketch, one of ``seen``.
    """
    found = {name: {"method": "synthetic", "version": "1", **figures} for name, figures in GOOD.items()}
    found["geometry"]["display_height"] = rng.choice((360, 480, 720, 1080, 2160))
    found["timing"].update(fps=rng.choice((23.976, 24.0, 25.0, 30.0)), clip_s=round(rng.uniform(1, 30), 3))
    found["black"]["black_s"] = round(rng.uniform(0, 3), 3) if rng.random() < 0.2 else 0.0
    found["encoding"].update(bits_per_pixel=round(rng.uniform(0.002, 0.3), 5), bitrate_bps=rng.randrange(10**5, 10**7))
    found["encoding"].update(blur=round(rng.uniform(0.2, 0.9), 4), blockiness=round(rng.uniform(1, 4), 4))
    found["loudness"]["integrated_lufs"] = round(rng.uniform(-70, -10), 2)
    found["snr"]["snr_db"] = round(rng.uniform(5, 70), 2)
    found["palette"] = {"status": "ok", "colours": [[rng.randrange(256) for _ in range(4)] for _ in range(6)]}
    found["events"] = {"status": "ok", "times_s": [round(rng.uniform(0, 30), 3) for _ in range(20)]}
    found["watermark"]["sketch"] = rng.choice(seen)
    if rng.random() < 1 / 3:
        found["watermark"].update(status="unmeasurable", reason="the camera does not move", area_fraction=None)
    found["camera"] = {"status": "ok", "pairs": [[round(rng.gauss(0, 1), 5) for _ in range(4)] for _ in range(12)]}
    return found


def make(folder: Path, rows: int) -> None:
    """Manifests of films, clips and measurements."""
    rng = random.Random(0)
    names = [f"{n:016d}" for n in range(rows)]
    films = (
        FilmRow(film_id=f"f{n}", source_id="inbox", key=f"{n}.mp4", status="ok", effective_right="train") for n in names
    )
    clips = (
        clip_row(
            f"c{n}-000", f"f{n}", source_id="inbox", end_s=10.0, frames=240, width=1920, height=1080, has_audio=True
        )
        for n in names
    )
    for part, values, model in (("ingest/films", films, FilmRow), ("ingest/clips", clips, ClipRow)):
        _write(folder / part, values, model, "film_id" if model is FilmRow else "clip_id")
    _write(folder / "qc/measure", _Measured(names, rng), MeasureRow, "clip_id")


class _Measured:
    """Measurement rows, made as they are asked for."""

    def __init__(self, names: list[str], rng: random.Random) -> None:
        self.names, self.rng, self.seen = names, rng, sketches(5000)

    def __iter__(self) -> Iterator[MeasureRow]:
        for n in self.names:
            found = measurements(self.rng, self.seen)
            yield MeasureRow(clip_id=f"c{n}-000", film_id=f"f{n}", status="ok", measurements=found)


def _write(folder: Path, rows: Any, model: Any, key: str) -> None:
    write_manifest(
        folder, rows, row_model=model, stage="bench", key=lambda row: getattr(row, key), params_digest="", inputs={}
    )


def _private_bytes(processes: Sequence[psutil.Process]) -> int:
    try:
        return sum(int(p.memory_full_info().uss) for p in processes)
    except psutil.Error:  # it has just ended
        return 0


def _family(process: psutil.Process) -> list[psutil.Process]:
    try:
        return [process, *process.children(recursive=True)]
    except psutil.Error:
        return []


def main(rows: int = 100_000, place: Path | None = None) -> tuple[float, float]:
    """Print seconds and bytes.

    Returns:
        Processor seconds, and peak resident memory of the largest of its processes in MiB.

    Raises:
        SystemExit: the stage failed.
    """
    folder = place or Path(tempfile.mkdtemp(prefix="aiprod-bench-"))
    try:
        if not (folder / "dvc.yaml").exists():
            make(workspace(folder) / "datasets/v1", rows)
        environment = {**os.environ, "CI": "true", "PYTHONPATH": f"{folder / 'src'}{os.pathsep}{folder}"}
        environment.pop("AIPROD_HOME", None)
        adopt_orphans()
        start, before = time.monotonic(), children_cpu_s()
        process = subprocess.Popen([sys.executable, "-m", "pipeline.qc_decide"], cwd=folder, env=environment)
        watched, together, alone = psutil.Process(process.pid), 0, 0.0
        while process.poll() is None:
            family = _family(watched)
            together = max(together, _private_bytes(family))
            alone = max([alone, *(peak_mib(one.pid) for one in family)])  # ru_maxrss is also that of who forked it
            time.sleep(0.5)  # looking costs processor time itself
        seconds = time.monotonic() - start
        spent = children_cpu_s() - before
        size = (folder / "datasets/v1/qc/measure/manifest.parquet").stat().st_size
        print(
            f"qc_decide, {rows} rows, {size / 2**20:.0f} MiB of measurements: {seconds:.1f} s, "
            f"processor {spent:.1f} s, peak of one process {alone:.0f} MiB, "
            f"of all {together / 2**20:.0f} MiB, exit {process.returncode} (10 s and 1024 MiB wanted at 100000)",
            flush=True,
        )
        if process.returncode:
            raise SystemExit(process.returncode)
        return spent, alone
    finally:
        if place is None:
            shutil.rmtree(folder, ignore_errors=True)


def growth(few: int, many: int) -> None:
    """Both sizes, the exponent of their times, and their largest processes."""
    (few_s, few_mib), (many_s, many_mib) = main(few), main(many)
    figure(f"verdicts of {many:,} clips", many_s, "s")
    grown = exponent([few, many], [few_s, many_s])
    figure(f"growth from {few:,} to {many:,} verdicts, exponent of time", grown, most=1.05)
    figure(f"largest process at {many:,} verdicts over that at {few:,}", many_mib / few_mib, most=1.1)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--growth"]:
        growth(*(int(word) for word in sys.argv[2:4]))
        sys.exit()
    main(*(int(a) for a in sys.argv[1:2]), *(Path(a).resolve() for a in sys.argv[2:3]))
