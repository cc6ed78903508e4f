"""An hour of 1,000 events: memory beside that of six minutes of 100, and a run that is killed half-way and goes on.

``python -m tests.bench.montage_hour [--height 108]`` prints, for both lengths, the memory of all processes at
its highest, processor seconds, and the frames that are wrong; the longer one is killed once, with all its processes.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from aiprod.media.video_form import VideoForm
from aiprod.montage.cut import cut
from aiprod.montage.timeline import Timeline
from tests.bench.montage import OUT, sources, timeline, wrong
from tests.bench.processor_time import adopt_orphans, children_cpu_s


def long_timeline(films: list[Path], events: int, width: int, height: int) -> Timeline:
    """As :func:`tests.bench.montage.timeline`, slowed to 90 frames an event."""
    made = timeline(films, events, width, height)
    stretch = 90 * events / made.frames
    places = [round(clip.record_in * stretch) for clip in made.pictures[0].clips] + [90 * events]

    def moved(items: list) -> list:  # type: ignore[type-arg]
        return [
            item.model_copy(update={"record_in": places[n], "record_out": places[n + 1]})
            for n, item in enumerate(items)
        ]

    track = made.pictures[0]
    clips = moved(list(track.clips))
    cuts = {clip.record_in: n for n, clip in enumerate(track.clips)}
    transitions = [
        t.model_copy(update={"record_in": places[n] - 5, "record_out": places[n] + 5})
        for t in track.transitions
        for n in [cuts[t.record_in + 5]]
    ]
    changed = track.model_copy(update={"clips": tuple(clips), "transitions": tuple(transitions)})
    sounds = tuple(moved(list(made.sounds)))
    return Timeline.model_validate(made.model_copy(update={"pictures": (changed,), "sounds": sounds}).model_dump())


def _own_bytes(group: int) -> int:
    """Memory of the processes of a group in bytes, without pages of files, which the system may drop."""
    total = 0
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if os.getpgid(int(entry.name)) != group:
                continue
            lines = (entry / "smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("Anonymous:"))
    return total


def rendered(folder: Path, text: Path, out: Path, kill_at: float = 0.0, pieces: int = 1) -> tuple[int, float, bool]:
    """Render in a process group of its own; its peak memory, processor seconds, and whether it was killed."""
    command = [sys.executable, "-m", "tests.bench.montage_hour", "--render", str(text), str(out)]
    adopt_orphans()
    began = time.process_time() + children_cpu_s()
    child = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peak, killed = 0, False
    while child.poll() is None:
        peak = max(peak, _own_bytes(child.pid))
        done = len([p for p in folder.glob(f".{out.name}.cutting/*.*") if p.stem.isdigit()])
        if kill_at and done >= kill_at * pieces:
            os.killpg(child.pid, signal.SIGKILL)
            killed = True
            child.wait()
            break
        time.sleep(1.0)
    if child.returncode and not killed:
        raise SystemExit("rendering failed")
    return peak, time.process_time() + children_cpu_s() - began, killed


def main(height: int) -> None:
    """Measure and print."""
    width = height * 16 // 9 // 16 * 16
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        films = sources(folder, width, height)
        for events in (100, 1000):
            made = long_timeline(films, events, width, height)
            text, out = folder / f"{events}.json", folder / f"{events}.mp4"
            text.write_text(made.model_dump_json())
            print(
                f"== {events} events, {made.frames} frames ({made.frames / OUT / 60} min) of {width}x{height}",
                flush=True,
            )
            if events == 1000:
                peak, _, killed = rendered(folder, text, out, 0.5, made.frames // 500)
                print(f"killed half-way: {killed}, at most {peak / 2**20:.0f} MiB until then", flush=True)
            peak, seconds, _ = rendered(folder, text, out)
            bad, away = wrong(out, made)
            print(f"at most {peak / 2**20:.0f} MiB of memory; {seconds:.0f} s of processor time so far; ", end="")
            print(f"frames wrong {bad} of {made.frames}; last click off {away:.2f} ms", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--height", type=int, default=108)
    parser.add_argument("--render", type=Path, nargs=2, metavar=("TIMELINE", "OUT"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.render:
        read = Timeline.model_validate_json(given.render[0].read_text())
        print(cut(read, given.render[1], form=VideoForm(read.rate, read.width, read.height)).reused)
    else:
        main(given.height)
