"""``make bench-compare OTHER=DIR``: this checkout against another one, side by side, as ratios of processor time.

Machines differ, so a change of speed is only seen against the build before it, run in turn with it on one machine. Each
round runs every step once in either checkout, on folders of its own; the figure is the median over the rounds of our
processor seconds over the other's (children included), and likewise of time on the clock and peak memory. A step that
takes more than the tolerance longer, by the median and by the least time of either, is flagged, and the exit status is
1: other work on the machine moves single runs, but seldom both.
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

from tests.bench import compare_demo
from tests.bench.figures import figure
from tests.bench.one_more_film import ROOT, make_films, workspace
from tests.bench.qc_cost import ENDINGS
from tests.bench.qc_cost import FOLDER as OPEN_FILMS

BASELINE = "205dd1f"  # the commit that the wanted ratios are stated against
BOTH, WHOLE, SUITE, AGAIN_ALL = "demo: stages of both", "demo: whole", "make test", "second make repro"
WANTED = {BOTH: 0.6, WHOLE: 1.0, "demo: nothing to do": 0.6, AGAIN_ALL: 0.6, SUITE: 0.8}  # of the baseline's time
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


def steps(checkout: Path, folder: Path, films: int, only: str = "") -> Iterator[tuple[str, list[str], Path]]:
    """Name, command and folder of each step, in the order in which they must run.

    A corpus is left out where no step's name has ``only`` in it.
    """
    python = python_of(checkout)
    yield "aiprod --help", [python, "-m", "aiprod.cli", "--help"], checkout
    kinds = {"made films": None, **({"open films": OPEN_FILMS} if OPEN_FILMS.is_dir() else {})}
    for kind, source in kinds.items():
        named = [*(f"{kind}: {stage}" for stage in STAGES), *(f"{kind}: {stage} again" for stage in AGAIN)]
        if not any(only in name for name in named):
            continue
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
            running = [(side, at, steps(at, Path(name) / str(side), films, only)) for side, at in sides]
            for pairs in zip(*(each for _, _, each in running), strict=True):
                for (side, at, _), (step, command, folder) in zip(running, pairs, strict=True):
                    path = os.pathsep.join((str(at / "src"), str(at)))
                    own = {"PYTHONPATH": path, "AIPROD_HOME": str(Path(name) / f"state{side}")}
                    if only in step:
                        costs[step][side].append(run(command, folder, {**inherited, **own, "CI": "true"}))
            if all(again(at) for _, at in sides) and only in AGAIN_ALL:
                for side, at in sides:
                    costs[AGAIN_ALL][side].append(run(again(at), at, inherited))
        print(f"round {number + 1} of {rounds} done", file=sys.stderr, flush=True)
    return dict(costs)


def _run_demo(ours: Path, theirs: Path) -> dict[str, tuple[list[Cost], list[Cost]]]:
    """The demo of both once: each stage, the sum of those that both have, and of all."""
    costs: dict[str, tuple[list[Cost], list[Cost]]] = defaultdict(lambda: ([], []))
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

    def one(side: int, step: compare_demo.Step, environment: Mapping[str, str]) -> None:
        name, command, folder = step
        costs[name][side].append(run(command, folder, {**inherited, **environment}))
        print(f"{name}, {('ours', 'the other')[side]}: {costs[name][side][0].cpu_s:.1f} s", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(prefix="aiprod-bench-") as place:
        lists = compare_demo.demo((ours, theirs), Path(place), one)
    both = [stage for stage in lists[0] if stage in lists[1]]
    for what, of in ((BOTH, (both, both)), (WHOLE, lists)):
        for side, names in enumerate(of):
            costs[what][side].append(_sum([costs[f"demo: {stage}"][side][0] for stage in names]))
    return dict(costs)


def _sum(costs: Sequence[Cost]) -> Cost:
    cpu_s, wall_s = sum(cost.cpu_s for cost in costs), sum(cost.wall_s for cost in costs)
    return Cost(cpu_s, wall_s, max(cost.peak_mib for cost in costs))


def _suite(ours: Path, theirs: Path) -> dict[str, tuple[list[Cost], list[Cost]]]:
    """``make test`` of both once."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {SUITE: tuple([run(["make", "-s", "test"], at, inherited)] for at in (ours, theirs))}  # type: ignore[dict-item]


def is_baseline(checkout: Path) -> bool:
    """Whether a checkout is the build that speed is stated against."""
    asked = ["git", "rev-parse", "HEAD"]
    done = subprocess.run(asked, cwd=checkout, capture_output=True, text=True, check=False)
    return done.returncode == 0 and done.stdout.startswith(BASELINE)


def table(costs: Mapping[str, tuple[Sequence[Cost], Sequence[Cost]]], tolerance: float) -> tuple[list[str], list[str]]:
    """The lines of the table, and the names of the steps that take more than ``1 + tolerance`` of the other's time."""
    lines = [f"{'step':<34}{'ours s':>9}{'other s':>9}{'CPU':>7}{'wall':>7}{'peak':>7}"]
    slower = []
    for step, (ours, theirs) in costs.items():
        if not ours or not theirs:
            side = f"{(ours or theirs)[0].cpu_s:.2f}"
            lines.append(f"{step:<34}{side if ours else '':>9}{side if theirs else '':>9}")
            continue
        pairs = list(zip(ours, theirs, strict=True))
        cpu = statistics.median(a.cpu_s / max(b.cpu_s, 1e-3) for a, b in pairs)
        wall = statistics.median(a.wall_s / max(b.wall_s, 1e-3) for a, b in pairs)
        peak = statistics.median(a.peak_mib / b.peak_mib for a, b in pairs)
        least = min(a.cpu_s for a in ours) / max(min(b.cpu_s for b in theirs), 1e-3)
        flag = "  SLOWER" if min(cpu, least) > 1 + tolerance else ""
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
    parser.add_argument("--demo", action="store_true", help="the whole demo of both, too, once (half an hour)")
    parser.add_argument("--suite", action="store_true", help="`make test` of both, too, once")
    asked = parser.parse_args(arguments)
    other = asked.other.resolve()
    if not (other / "src" / "aiprod").is_dir():
        print(f"error: {asked.other} is no checkout of AIPROD → git worktree add ../before HEAD~1", file=sys.stderr)
        return 2
    print(machine())
    try:
        costs = compare(ROOT, other, asked.rounds, asked.films, asked.only)
        costs |= _run_demo(ROOT, other) if asked.demo else {}
        costs |= _suite(ROOT, other) if asked.suite else {}
    except StepFailedError as error:
        print(f"error: a step failed: {error}", file=sys.stderr)
        return 2
    lines, slower = table(costs, asked.tolerance)
    print("\n".join(lines))
    wanted = WANTED if is_baseline(other) else {}
    for step, (mine, others) in costs.items():
        if mine and others:
            ratio = statistics.median(a.cpu_s / max(b.cpu_s, 1e-3) for a, b in zip(mine, others, strict=True))
            figure(f"{step}, processor time over the other's", ratio, most=wanted.get(step))
    if slower:
        print(f"slower by more than {asked.tolerance:.0%}: {', '.join(slower)}")
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(main())
