"""``make bench-compare OTHER=DIR``: this checkout against another one, side by side, as ratios of processor time.

Machines differ, so a change of speed is only seen against the build before it, run in turn with it on one machine. Each
round runs every step once in either checkout, on folders of its own; the figure is the median over the rounds of our
processor seconds over the other's (children included), and likewise of time on the clock and peak memory. A step that
takes more than the tolerance longer is flagged, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy
import torch

from tests.bench.one_more_film import ROOT, make_films, workspace
from tests.bench.qc_cost import ENDINGS
from tests.bench.qc_cost import FOLDER as OPEN_FILMS

STAGES = ("scan", "ingest", "qc_measure", "qc_decide", "caption")
AGAIN = ("scan", "ingest", "qc_measure")  # with nothing to do: what remembering costs

# Linux counts the memory of the process that starts a command into the command's own peak (the largest size before exec
# is kept), so it is started by an interpreter that has loaded next to nothing.
_LAUNCHER = """
import ctypes, json, os, resource, sys, time
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: workers whose parent does not wait for them count too
start = time.perf_counter()
child = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, 2, 1)])
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
seconds = time.perf_counter() - start
try:
    while True:
        os.wait()
except ChildProcessError:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([status, usage.ru_utime + usage.ru_stime, seconds, usage.ru_maxrss / 1024]))
"""


@dataclass(frozen=True)
class Cost:
    """Processor and clock seconds, and peak resident MiB of the largest process; children are included."""

    cpu_s: float
    wall_s: float
    peak_mib: float


class StepFailedError(Exception):
    """A step ended with another status than 0; the text has its last line."""


def run(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Cost:
    """Run one command to its end and measure it.

    Raises:
        StepFailedError: It failed.

    """
    launch = [sys.executable, "-S", "-c", _LAUNCHER, *command]
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        done = subprocess.run(launch, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=output, check=True)
        status, *figures = json.loads(done.stdout)
        if status:
            output.seek(0)
            lines = output.read().strip().splitlines()
            raise StepFailedError(f"{' '.join(command[1:])} in {folder}: {lines[-1] if lines else status}")
    return Cost(*figures)


def python_of(checkout: Path) -> str:
    """The interpreter of the checkout's own environment, else the one that runs this."""
    own = checkout / ".venv" / "bin" / "python"
    return str(own) if own.is_file() else sys.executable


def steps(checkout: Path, folder: Path, films: int) -> Iterator[tuple[str, list[str], Path]]:
    """Name, command and folder of each step, in the order in which they must run."""
    python = python_of(checkout)
    yield "aiprod --help", [python, "-m", "aiprod.cli", "--help"], checkout
    kinds = {"made films": None, **({"open films": OPEN_FILMS} if OPEN_FILMS.is_dir() else {})}
    for kind, source in kinds.items():
        project = workspace(folder / kind.replace(" ", "_"), checkout)
        inbox = project / "datasets" / "inbox"
        if source is None:
            make_films(inbox, 0, films)
        else:
            inbox.mkdir()
            found = [path for path in source.iterdir() if path.suffix in ENDINGS]
            chosen = sorted(found, key=lambda path: (path.stat().st_size, path.name))[: max(1, films // 4)]
            for path in chosen:
                shutil.copy(path, inbox)
            table = "".join(f"{path.name},CC0-1.0,none\n" for path in chosen)
            (inbox / "SOURCES.csv").write_text("file,licence,personal_data_basis\n" + table)
        for stage in STAGES:
            yield f"{kind}: {stage}", [python, "-m", f"pipeline.{stage}"], project
        for stage in AGAIN:
            yield f"{kind}: {stage} again", [python, "-m", f"pipeline.{stage}"], project


def again(checkout: Path) -> list[str]:
    """The command of a second ``make repro``, empty where the checkout has no outputs of a first one."""
    return ["make", "-s", "repro"] if (checkout / "datasets" / "v1" / "latents").is_dir() else []


def compare(ours: Path, theirs: Path, rounds: int, films: int, only: str) -> dict[str, tuple[list[Cost], list[Cost]]]:
    """Costs of every step, ours and the other's, one of each a round, the order of the two turned every round."""
    costs: dict[str, tuple[list[Cost], list[Cost]]] = defaultdict(lambda: ([], []))
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    for checkout in (ours, theirs):  # else whoever runs first pays for compiling
        for name in ("src", "pipeline"):
            compileall.compile_dir(checkout / name, quiet=2)
    for number in range(rounds):
        with tempfile.TemporaryDirectory() as name:
            sides = [(0, ours), (1, theirs)][:: 1 if number % 2 == 0 else -1]
            running = [(side, at, steps(at, Path(name) / str(side), films)) for side, at in sides]
            for pairs in zip(*(each for _, _, each in running), strict=True):
                for (side, at, _), (step, command, folder) in zip(running, pairs, strict=True):
                    path = os.pathsep.join((str(at / "src"), str(at)))
                    own = {"PYTHONPATH": path, "AIPROD_HOME": str(Path(name) / f"state{side}")}
                    if only in step:
                        costs[step][side].append(run(command, folder, {**inherited, **own, "CI": "true"}))
            if all(again(at) for _, at in sides) and only in "second make repro":
                for side, at in sides:
                    costs["second make repro"][side].append(run(again(at), at, inherited))
        print(f"round {number + 1} of {rounds} done", file=sys.stderr, flush=True)
    return dict(costs)


def table(costs: Mapping[str, tuple[Sequence[Cost], Sequence[Cost]]], tolerance: float) -> tuple[list[str], list[str]]:
    """The lines of the table, and the names of the steps that take more than ``1 + tolerance`` of the other's time."""
    lines = [f"{'step':<34}{'ours s':>9}{'other s':>9}{'CPU':>7}{'wall':>7}{'peak':>7}"]
    slower = []
    for step, (ours, theirs) in costs.items():
        pairs = list(zip(ours, theirs, strict=True))
        cpu = statistics.median(a.cpu_s / max(b.cpu_s, 1e-3) for a, b in pairs)
        wall = statistics.median(a.wall_s / max(b.wall_s, 1e-3) for a, b in pairs)
        peak = statistics.median(a.peak_mib / b.peak_mib for a, b in pairs)
        flag = "  SLOWER" if cpu > 1 + tolerance else ""
        slower += [step] if flag else []
        a_s, b_s = (statistics.median(cost.cpu_s for cost in side) for side in (ours, theirs))
        lines.append(f"{step:<34}{a_s:>9.2f}{b_s:>9.2f}{cpu:>7.2f}{wall:>7.2f}{peak:>7.2f}{flag}")
    return lines, slower


def machine() -> str:
    """What the figures depend on, in a line; no name of the machine."""
    kind = torch.backends.cpu.get_cpu_capability()
    return (
        f"{os.cpu_count()} cores, {platform.machine()} {kind}, Python {platform.python_version()}, "
        f"torch {torch.__version__}, NumPy {numpy.__version__}, load {os.getloadavg()[0]:.1f}"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare, print, and return 1 where a step is slower by more than the tolerance."""
    parser = argparse.ArgumentParser(prog="make bench-compare", description=__doc__)
    parser.add_argument("other", type=Path, help="another checkout, such as a worktree of the commit before")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--films", type=int, default=24, help="made films in a round; a quarter as many open films")
    parser.add_argument("--tolerance", type=float, default=0.1, help="share by which a step may take longer")
    parser.add_argument(
        "--only", default="", help="only steps with this in their name (those before them must not matter)"
    )
    asked = parser.parse_args(arguments)
    other = asked.other.resolve()
    if not (other / "src" / "aiprod").is_dir():
        print(f"error: {asked.other} is no checkout of AIPROD → git worktree add ../before HEAD~1", file=sys.stderr)
        return 2
    print(machine())
    try:
        costs = compare(ROOT, other, asked.rounds, asked.films, asked.only)
    except StepFailedError as error:
        print(f"error: a step failed: {error}", file=sys.stderr)
        return 2
    lines, slower = table(costs, asked.tolerance)
    print("\n".join(lines))
    if slower:
        print(f"slower by more than {asked.tolerance:.0%}: {', '.join(slower)}")
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(main())
