"""One film added to many: what each data stage takes, first for all of them and then for the one.

``python -m tests.bench.one_more_film [FILMS] [FOLDER]`` makes FILMS small real films (1000), runs scan, ingest,
qc_measure, qc_decide and caption on them in a workspace of its own, adds one film, and runs the stages again, as DVC
does: without the outputs of the run before. A run without a new film, here and with 30 films, tells what a known film
costs and what a start. With a FOLDER that an earlier run left, the first part is left out. Films beyond the first
thousand have the pictures of one and the sound of another of these, muxed without encoding, so each has bytes and
packets of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av
import numpy as np
from ruamel.yaml import YAML

from aiprod.media.encoding import encode
from tests.bench.figures import figure
from tests.bench.processor_time import adopt_orphans, children_cpu_s

OUTPUTS = {
    "scan": (),
    "ingest": ("datasets/v1/raw", "datasets/v1/processed", "datasets/v1/ingest"),
    "qc_measure": ("datasets/v1/qc/measure",),
    "qc_decide": ("datasets/v1/qc/decide", "reports/qc"),
    "caption": ("datasets/v1/captions",),
}
STAGES = tuple(OUTPUTS)
ENCODED = 1000
FEW = 30
ROOT = Path(__file__).resolve().parents[2]


def make_films(inbox: Path, first: int, count: int) -> None:
    """One-second films of 160x96 with a tone, all different, and a table of their rights."""
    inbox.mkdir(parents=True, exist_ok=True)
    time_s = np.arange(48_000) / 48_000
    for n in range(first, first + count):
        if n >= ENCODED:
            shift = n // ENCODED
            _mux(inbox / f"{n:05d}.mp4", inbox / f"{n % ENCODED:05d}.mp4", inbox / f"{(n + shift) % ENCODED:05d}.mp4")
            continue
        rng = np.random.default_rng(n)
        ground = np.kron(rng.integers(40, 220, (12, 40, 3), np.uint8), np.ones((8, 8, 1), np.uint8))
        tone = (0.2 * np.sin(2 * np.pi * (200 + n % 800) * time_s)).astype(np.float32)
        pictures = [ground[:, 4 * i : 4 * i + 160] for i in range(24)]
        encode(inbox / f"{n:05d}.mp4", pictures, 24, np.stack([tone, tone]), preset="ultrafast")
    names = sorted(p.name for p in inbox.glob("*.mp4"))
    lines = "".join(f"{name},CC0-1.0,none\n" for name in names)
    (inbox / "SOURCES.csv").write_text("file,licence,personal_data_basis\n" + lines)


def _mux(target: Path, pictures: Path, sound: Path) -> None:
    with av.open(str(pictures)) as seen, av.open(str(sound)) as heard, av.open(str(target), "w") as written:
        video, audio = seen.streams.video[0], heard.streams.audio[0]
        streams = [written.add_stream_from_template(video), written.add_stream_from_template(audio)]
        packets = [
            (float(packet.dts * packet.time_base), number, packet)
            for number, stream in enumerate((video, audio))
            for packet in (seen, heard)[number].demux(stream)
            if packet.dts is not None
        ]
        for _, number, packet in sorted(packets, key=lambda item: item[:2]):
            packet.stream = streams[number]
            written.mux(packet)


def workspace(folder: Path, checkout: Path = ROOT) -> Path:
    """A project of its own round the code of a checkout, whose memo outlives changes of the code."""
    (folder / "datasets").mkdir(parents=True)
    for name in ("src", "pipeline"):
        (folder / name).symlink_to(checkout / name)
    for name in ("sources.yaml", "reviews"):
        (folder / "datasets" / name).symlink_to(checkout / "datasets" / name)
    (folder / "dvc.yaml").write_text("stages: {}\n")
    yaml = YAML()
    params = yaml.load(checkout / "params.yaml")
    params["ingest"]["sources"] = ["inbox"]
    yaml.dump(params, folder / "params.yaml")
    return folder


def run_stages(folder: Path) -> dict[str, tuple[float, float]]:
    """Seconds of each stage, process start and worker processes included: on the clock, and of processor time."""
    environment = {**os.environ, "CI": "true", "PYTHONPATH": f"{folder / 'src'}{os.pathsep}{folder}"}
    environment.pop("AIPROD_HOME", None)
    seconds = {}
    adopt_orphans()
    for stage in STAGES:
        for name in OUTPUTS[stage]:  # as DVC does
            shutil.rmtree(folder / name, ignore_errors=True)
        start, before = time.monotonic(), children_cpu_s()
        subprocess.run([sys.executable, "-m", f"pipeline.{stage}"], cwd=folder, env=environment, check=True)
        seconds[stage] = (time.monotonic() - start, children_cpu_s() - before)
    return seconds


def _sum(seconds: dict[str, tuple[float, float]]) -> tuple[float, float]:
    return sum(clock for clock, _ in seconds.values()), sum(cpu for _, cpu in seconds.values())


def _cost_of_known(many: dict[str, tuple[float, float]], count: int) -> None:
    """What a known film adds to the stages, by the same with few films: milliseconds of processor time."""
    with tempfile.TemporaryDirectory(prefix="aiprod-bench-") as name:
        folder = Path(name)
        make_films(workspace(folder) / "datasets/inbox", 0, FEW)
        run_stages(folder)
        few = run_stages(folder)
    each = {stage: 1000 * (many[stage][1] - few[stage][1]) / (count - FEW) for stage in STAGES}
    print(", ".join(f"{stage} {cost:.2f}" for stage, cost in each.items()), "ms a known film")
    for stage in ("ingest", "qc_measure", "caption"):
        figure(f"a known film in {stage}", each[stage], "ms", most=0.1)


def main(count: int = 1000, place: Path | None = None) -> None:
    """Print a line a stage."""
    folder = place or Path(tempfile.mkdtemp(prefix="aiprod-bench-"))
    begin: dict[str, tuple[float, float]] = {}
    unknown = (float("nan"), float("nan"))
    try:
        if not (folder / "dvc.yaml").exists():
            make_films(workspace(folder) / "datasets/inbox", 0, count)
            begin = run_stages(folder)
        before = len(list((folder / "datasets/inbox").glob("*.mp4")))
        make_films(folder / "datasets/inbox", before, 1)
        again = run_stages(folder)
        counted = json.loads((folder / ".aiprod/counters/qc_measure.json").read_text())
        begin["together"] = _sum(begin) if begin else unknown
        _cost_of_known(run_stages(folder), before)
        again["together"] = _sum(again)
        for name, (clock, cpu) in again.items():
            all_clock, all_cpu = begin.get(name, unknown)
            print(
                f"{name:<11} {before}: {all_clock:7.1f} s, processor {all_cpu:7.1f} s    "
                f"one more: {clock:6.2f} s, processor {cpu:6.2f} s"
            )
        print(f"measured {counted['processed']}, reused {counted['reused']}")
        bound = {1000: 15, 100_000: 30}.get(before)
        figure(f"one film added to {before:,}, from scan to caption", again["together"][1], "s", most=bound)
    finally:
        if place is None:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(*(int(a) for a in sys.argv[1:2]), *(Path(a).resolve() for a in sys.argv[2:3]))
