"""The first run of a fresh clone: the stages of voice and face run beside those of film.

``dvc repro`` runs one stage after another. Most trainings of the demo occupy one core, and what trains the voice, the
face's shapes and the lips needs nothing of what is trained on films (tested). So two ``dvc repro`` run at once, whose
lines are told apart by a name in front; what needs both is left to the ``dvc repro`` that follows. A second run has
hardly anything to do, so that another start of DVC would only cost time.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import yaml

from aiprod.executors.types import default_workers

FIRST = "scan"  # writes what all the others read
LANES = {"film": ("sample",), "voice": ("train_speech", "train_lips")}  # the last stages of each


def lanes(pipeline: Path = Path("dvc.yaml")) -> dict[str, list[str]]:
    """Each lane's stages in an order in which they can run, without ``FIRST``.

    Raises:
        ValueError: a stage is in two lanes.
    """
    stages = yaml.safe_load(pipeline.read_text("utf-8"))["stages"]
    makers = {path: name for name, stage in stages.items() for path in _paths(stage, "outs", "metrics", "plots")}
    found: dict[str, list[str]] = {}
    for lane, ends in LANES.items():
        found[lane] = []
        for end in ends:
            _collect(end, stages, makers, found[lane])
        taken = {name for other, names in found.items() if other != lane for name in names}
        if both := taken & set(found[lane]):
            raise ValueError(f"{', '.join(sorted(both))} would run twice at once → take it out of a lane")
    return found


def _paths(stage: dict[str, object], *kinds: str) -> list[str]:
    entries = [entry for kind in kinds for entry in stage.get(kind, ())]  # type: ignore[attr-defined]
    return [next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries]


def _collect(name: str, stages: dict[str, dict[str, object]], makers: dict[str, str], found: list[str]) -> None:
    """Append a stage after all that it depends on."""
    if name in found or name == FIRST:
        return
    for path in _paths(stages[name], "deps"):
        parts = Path(path).parts
        above = ("/".join(parts[:count]) for count in range(len(parts), 0, -1))
        maker = next((makers[p] for p in above if p in makers), None)
        if maker is not None:
            _collect(maker, stages, makers, found)
    found.append(name)


def run_lanes(commands: dict[str, Sequence[str]]) -> int:
    """Run commands at once, each line of what they print behind its name. Returns 0, or the code of one that failed."""
    width = max(map(len, commands))
    running = {
        name: subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
        for name, command in commands.items()
    }

    def show(name: str, lines: Sequence[str]) -> None:
        for line in lines:
            sys.stdout.write(f"{name:{width}} | {line}")
            sys.stdout.flush()

    threads = [
        threading.Thread(target=show, args=(name, process.stdout), daemon=True) for name, process in running.items()
    ]
    for thread in threads:
        thread.start()
    codes = {name: process.wait() for name, process in running.items()}
    for thread in threads:
        thread.join()
    return next((code for code in codes.values() if code), 0)


def main() -> int:
    """Run both lanes, where there are two cores. What failed in either is printed, and the code is not 0."""
    if default_workers() < 2:
        return 0
    dvc = ["dvc", "--wait-for-lock", "repro"]  # the other one holds the lock while it saves outputs
    first = subprocess.run([*dvc, "--single-item", FIRST], check=False).returncode
    return first or run_lanes({name: [*dvc, "--single-item", *stages] for name, stages in lanes().items()})


if __name__ == "__main__":
    sys.exit(main())
