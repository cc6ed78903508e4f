"""The whole demo of two checkouts, stage by stage in turn, from nothing, each in a copy of its own."""

from __future__ import annotations

import graphlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import yaml

Step = tuple[str, list[str], Path]  # name, command and folder


def copy(checkout: Path, folder: Path) -> Path:
    """A clone of a checkout with its changes that are not committed, and without outputs."""
    subprocess.run(["git", "-c", "advice.detachedHead=false", "clone", "-q", str(checkout), str(folder)], check=True)
    listed = ["git", "ls-files", "-z", "--modified", "--deleted", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=checkout, check=True, capture_output=True).stdout.decode().split("\0")
    for name in filter(None, names):
        source, target = checkout / name, folder / name
        target.unlink(missing_ok=True)
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    (folder / "datasets" / "inbox").mkdir(parents=True, exist_ok=True)
    return folder


def stages(pipeline: Path) -> list[str]:
    """The stages of a ``dvc.yaml``, each after those whose outputs it reads."""
    declared = yaml.safe_load(pipeline.read_text("utf-8"))["stages"]
    made_by = {path: name for name, stage in declared.items() for path in _paths(stage, "outs", "metrics", "plots")}
    graph: dict[str, list[str]] = {}
    for name, stage in declared.items():
        above = [parent for path in _paths(stage, "deps") for parent in (Path(path), *Path(path).parents)]
        graph[name] = sorted({made_by[str(path)] for path in above if str(path) in made_by} - {name})
    return list(graphlib.TopologicalSorter(graph).static_order())


def _paths(stage: Mapping[str, Sequence[str | Mapping[str, object]]], *kinds: str) -> list[str]:
    entries = [entry for kind in kinds for entry in stage.get(kind, ())]
    return [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]


def in_turn(ours: Sequence[str], theirs: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Side (0 ours, 1 theirs) and stage, so that what both have runs one after the other, in each side's order."""
    waiting = list(theirs)
    for number, stage in enumerate(ours):
        both = [(0, stage)]
        if stage in waiting:
            until = waiting.index(stage) + 1
            both += [(1, name) for name in waiting[:until]]
            waiting = waiting[until:]
        yield from both if number % 2 == 0 else both[1:] + both[:1]
    yield from ((1, name) for name in waiting)


def demo(
    checkouts: tuple[Path, Path], folder: Path, run: Callable[[int, Step, Mapping[str, str]], None]
) -> tuple[list[str], list[str]]:
    """Run every stage of both, and ``dvc repro`` of all once more; the stages of either.

    Args:
        checkouts: ours and the other.
        folder: that the copies go to.
        run: gets the side, the step, and what its environment has to hold.
    """
    copies = [copy(checkout, folder / f"demo{side}") for side, checkout in enumerate(checkouts)]
    lists = [stages(place / "dvc.yaml") for place in copies]
    around = [_environment(checkout, place) for checkout, place in zip(checkouts, copies, strict=True)]
    for side, stage in in_turn(*lists):
        run(side, (f"demo: {stage}", ["dvc", "repro", "--single-item", stage], copies[side]), around[side])
    for side in (0, 1):
        run(side, ("demo: nothing to do", ["dvc", "repro"], copies[side]), around[side])
    return lists[0], lists[1]


def _environment(checkout: Path, place: Path) -> dict[str, str]:
    """The checkout's packages, and the copy's code."""
    path = os.pathsep.join((str(checkout / ".venv" / "bin"), os.environ.get("PATH", "")))
    return {"PATH": path, "PYTHONPATH": os.pathsep.join((str(place / "src"), str(place))), "CI": "true"}
