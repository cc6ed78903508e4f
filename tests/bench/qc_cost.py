"""What measuring costs: CPU time of all checks over a plain PyAV decode of the same films in the same run.

``python -m tests.bench.qc_cost [FOLDER] [--models]`` prints the ratio and each check's share; with ``--models`` also
what it costs with every network that packages carry. ``aiprod qc`` is timed as a command too, with all its processes,
over FFmpeg's own program, which like it starts, opens each film and closes it again; and how much more it takes for
each film when there are four times as many.
"""

from __future__ import annotations

import cProfile
import gc
import os
import pstats
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import av

from aiprod.executors.threads import ONE_THREAD
from aiprod.executors.worker import OBJECTS
from aiprod.media.probing import probe, require_video
from aiprod.qc.measure.measure_clip import measure_clip
from aiprod.qc.params import QcMeasureParams
from tests.bench.figures import figure

FOLDER = Path(__file__).resolve().parents[2].parent / "shared" / "clips" / "open"
ENDINGS = (".mp4", ".mkv", ".webm", ".mov")


def decode_cpu_s(path: Path) -> float:
    """CPU seconds of decoding picture and sound, one thread."""
    start = time.process_time()
    with av.open(str(path), metadata_errors="replace") as container:
        streams = [container.streams.video[0], *container.streams.audio[:1]]
        streams[0].thread_count = 1
        for packet in container.demux(streams):
            packet.decode()
    return time.process_time() - start


def measure_cpu_s(
    path: Path, profile: cProfile.Profile | None = None, models: Literal["none", "all"] = "none"
) -> float:
    """CPU seconds of one measurement with every check on (the probe is ingest's and not counted)."""
    facts = probe(path)
    video = require_video(facts)
    end_s = video.duration_s or facts.duration_s or 3600.0
    start = time.process_time()
    if profile is not None:
        profile.enable()
    measure_clip(path, facts, 0.0, end_s, QcMeasureParams(models=models))
    if profile is not None:
        profile.disable()
    return time.process_time() - start


def command_cpu_s(*command: str | Path) -> float:
    """CPU seconds of a command and the processes that it waits for."""

    def spent() -> float:
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return children.ru_utime + children.ru_stime

    start = spent()
    ended = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if ended.returncode not in (0, 1):  # 1: a film is rejected
        raise SystemExit(f"{command[0]} ended with {ended.returncode}: {ended.stderr.strip()}")
    return spent() - start


def quality_control_cpu_s(folder: Path, models: str) -> float:
    """CPU seconds of ``aiprod qc`` on a folder."""
    program = Path(sys.executable).with_name("aiprod")
    return command_cpu_s(program, "qc", "--models", models, "--workers", "1", folder)


def ffmpeg_cpu_s(films: Sequence[Path]) -> float:
    """CPU seconds of FFmpeg's program decoding these films one after the other, in one thread."""
    quiet = ("ffmpeg", "-v", "error", "-nostdin", "-threads", "1", "-i")
    what = ("-map", "0:v:0", "-map", "0:a:0?", "-f", "null", "-")
    return sum(command_cpu_s(*quiet, film, *what) for film in films)


def time_command(films: Sequence[Path], rounds: int = 3) -> None:
    """Print what ``aiprod qc`` costs on a folder with these films, and on one with four copies of each."""
    known: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as scratch:
        once, fourfold = Path(scratch) / "once", Path(scratch) / "fourfold"
        for folder, copies in ((once, 1), (fourfold, 4)):
            folder.mkdir()
            for film in films:
                for copy in range(copies):
                    os.symlink(film, folder / f"{copy}{film.name}")
        for _ in range(rounds):
            known["plain"].append(sum(map(decode_cpu_s, films)))
            known["once"].append(quality_control_cpu_s(once, "none"))
            if shutil.which("ffmpeg"):
                known["ffmpeg"].append(ffmpeg_cpu_s(films))
        known["fourfold"].append(quality_control_cpu_s(fourfold, "none"))
        known["plain"].append(sum(map(decode_cpu_s, films)))
    plain, command, four = (min(known[name]) for name in ("plain", "once", "fourfold"))
    print(f"aiprod qc on {len(films)} films: {command:.2f} s of all processes, {plain:.2f} s of plain decoding")
    figure("aiprod qc on a folder over plain decoding in one process", command / plain, most=1.5)
    further = (four - command) / 3
    figure("aiprod qc on each further film over plain decoding", further / plain, most=1.5)
    if known["ffmpeg"]:
        figure("aiprod qc on a folder over FFmpeg's own program", command / min(known["ffmpeg"]), most=1.5)


def shares(profile: cProfile.Profile) -> dict[str, float]:
    """Seconds by check, largest first, from a profile (which itself slows small calls down)."""
    seconds: dict[str, float] = defaultdict(float)
    for (file, _, name), (_, _, _, cumulative, _) in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]
        place = Path(file)
        if place.parent.name == "checks" and name in ("feed", "figures", "measure"):
            seconds[place.stem] += cumulative
        elif place.name == "frames.py" and name == "_decode":
            seconds["(decode)"] += cumulative
        elif place.name in ("observe.py", "packets.py") and name in ("shrink", "packet_bytes", "read_clip_sound"):
            seconds[f"({name})"] += cumulative
    return dict(sorted(seconds.items(), key=lambda item: -item[1]))


def main(folder: Path = FOLDER, with_models: bool = False) -> bool:
    """Print one line a film, the ratio, and the shares; False where there is no film."""
    films = [p for p in sorted(folder.iterdir()) if p.suffix in ENDINGS] if folder.is_dir() else []
    if not films:
        print(f"quality control: skipped, there is no film in {'/'.join(folder.parts[-3:])} beside this checkout")
        return False
    measure_cpu_s(films[0])  # imports, cascades and filters are loaded once a worker, not once a clip
    if with_models:
        measure_cpu_s(films[0], models="all")
    plain = ours = seen = 0.0
    for path in films:  # one after the other, for other work on the machine slows all of them alike
        decode, measure = decode_cpu_s(path), measure_cpu_s(path)
        networks = measure_cpu_s(path, models="all") if with_models else 0.0
        plain, ours, seen = plain + decode, ours + measure, seen + networks
        more = f"   with networks {networks:6.2f} s   {networks / decode:6.2f} x" if with_models else ""
        print(f"{path.name:<40} decode {decode:6.2f} s   measure {measure:6.2f} s   {measure / decode:5.2f} x{more}")
    print(f"{'all':<40} decode {plain:6.2f} s   measure {ours:6.2f} s   {ours / plain:5.2f} x")
    figure("quality control, all classical checks, over plain decoding", ours / plain, most=1.35)
    if with_models:
        print(f"{'all, with every bundled model':<40} measure {seen:6.2f} s   {seen / plain:5.2f} x")
        figure("quality control with every bundled model over plain decoding", seen / plain, most=4)
    time_command(films)
    profile = cProfile.Profile(time.process_time)  # other work on the machine is not ours
    for path in films:
        measure_cpu_s(path, profile)
    for name, seconds in shares(profile).items():
        print(f"  {name:<20} {seconds:6.2f} s   {seconds / plain:5.2f} x")
    return True


def as_in_a_worker() -> None:
    """Begin again with one thread: others of OpenBLAS wait at full speed, which counts, of decoding as of measuring."""
    if any(os.environ.get(name) != value for name, value in ONE_THREAD.items()):
        os.execve(sys.executable, [sys.executable, "-m", "tests.bench.qc_cost", *sys.argv[1:]], os.environ | ONE_THREAD)
    gc.freeze()
    gc.set_threshold(OBJECTS)


if __name__ == "__main__":
    as_in_a_worker()
    named = [Path(argument) for argument in sys.argv[1:] if argument != "--models"]
    main(*named[:1], with_models="--models" in sys.argv)
