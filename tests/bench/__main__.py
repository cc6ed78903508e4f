"""``make bench``: every figure of speed and scale in one run, each as a ratio to what it is held against.

``python -m tests.bench [PARTS…]`` runs the parts named, or all of them, each in a process of its own, and prints a
table of their figures at the end. What is kept in ``build/bench`` lets ``--resume`` go on after an interruption: parts
that ended with the same code are not run again. A part that has no harness, film or model says so; one that fails is
named, and the exit status is 1. Times are processor seconds, so that other work on the machine changes them little.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.compare import machine
from tests.bench.figures import KEPT_IN, Figure, read_figures

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "build" / "bench"


@dataclass(frozen=True)
class Part:
    """Some of the bench.

    Attributes:
        about: what it measures.
        commands: module of :mod:`tests.bench` and arguments of each of its processes.
        seconds: of processor time that it took on two cores, roughly.
        small: the same of a tenth of the size, for ``--small``; empty where the size stays.
    """

    about: str
    commands: tuple[tuple[str, ...], ...]
    seconds: int
    small: tuple[tuple[str, ...], ...] = ()


PARTS = {
    "peers": Part("models against public ones, by a harness beside this checkout", (("against_peers",),), 600),
    "qc": Part("quality control over plain decoding", (("qc_cost",),), 200),
    "ingest": Part("ingest over FFmpeg's own program", (("ingest_cost",),), 190),
    "latents": Part("decoding and encoding a clip over reading its cached latents", (("latent_read",),), 30),
    "montage": Part("cutting over a plain encode, MoviePy and xfade", (("montage", "--events", "12"),), 150),
    "speech": Part("first sound of streamed speech over the whole of it", (("speech_stream",),), 60),
    "dvc": Part(
        "DVC over one file for each of 100,000 objects, and over shards",
        (("shards", "100000"),),
        230,
        (("shards", "10000"),),
    ),
    "shards": Part(
        "a million objects in 10,000 shards: list, verify, read, erase; growth from 100,000",
        (("shards_scale", "1000000", "10000", "100000"),),
        120,
        (("shards_scale", "100000", "1000", "10000"),),
    ),
    "erase": Part(
        "aiprod erase of one film of a million clips",
        (("erase_scale", "1000000", "10000"),),
        150,
        (("erase_scale", "100000", "1000"),),
    ),
    "scan": Part("scan of 100,000 films, and again", (("scan_again", "100000"),), 50, (("scan_again", "10000"),)),
    "lineage": Part(
        "lineage of one sample of a million clips, a log of a million entries",
        (("governance_scale", "1000000"),),
        90,
        (("governance_scale", "100000"),),
    ),
    "decide": Part(
        "100,000 and 300,000 verdicts",
        (("decide_many", "--growth", "100000", "300000"),),
        200,
        (("decide_many", "--growth", "10000", "30000"),),
    ),
    "growth": Part(
        "exponents of growth of scan, lineage, the bucket sampler and packing",
        (("growth", "scan", "lineage", "sampler", "shards"),),
        300,
        (("growth", "scan", "lineage", "sampler", "shards", "10000", "30000"),),
    ),
    "added": Part("one film added to 1,000, from scan to caption", (("one_more_film", "1000"),), 90),
    "memory": Part("peak memory of a worker on a 4K film", (("worker_memory",),), 60),
    "cluster": Part("how much of a Ray cluster's time its workers work", (("cluster",),), 140),
    "engine": Part("equal bytes of five stages on Ray, with nodes killed", (("engine_bytes",),), 200),
}
OTHER = "other"  # against another checkout


def against(other: str) -> Part:
    """The demo and the tests of another checkout, in turn with ours."""
    about = f"the demo, a second run of it and the tests against {Path(other).name}"
    return Part(about, (("compare", other, "--rounds", "1", "--demo", "--suite"),), 4000)


def code_digest() -> str:
    """Of what git sees of this checkout, so that figures of other code are not taken for its own."""
    said = [
        subprocess.run(["git", *words], cwd=ROOT, capture_output=True, check=False).stdout
        for words in (["rev-parse", "HEAD"], ["diff", "HEAD"], ["ls-files", "-z", "--others", "--exclude-standard"])
    ]
    new = [ROOT / os.fsdecode(name) for name in said[-1].split(b"\0") if name.endswith(b".py")]
    said += [path.read_bytes() for path in new if path.is_file()]
    return hashlib.sha256(b"\0".join(said)).hexdigest()[:16]


def run(name: str, part: Part, small: bool, kept: Path) -> tuple[list[Figure], str]:
    """Run a part and keep its figures; they, and what went wrong."""
    place = kept / f"{name}.jsonl"
    began = place.with_suffix(".begun")
    for old in (place, began):
        old.unlink(missing_ok=True)
    environment, wrong = {**os.environ, KEPT_IN: str(began)}, ""
    for module, *words in part.small if small and part.small else part.commands:
        command = [sys.executable, "-m", f"tests.bench.{module}", *words]
        done = subprocess.run(command, cwd=ROOT, env=environment, check=False)
        # `compare` ends with 1 where something is slower: a result, which it prints
        if done.returncode and not (module == "compare" and done.returncode == 1):
            wrong = f"{module} ended with {done.returncode}"
    figures = read_figures(began)
    if not wrong:
        began.touch()
        began.replace(place)
    began.unlink(missing_ok=True)
    return figures, wrong


def table(found: dict[str, tuple[list[Figure], str]]) -> list[str]:
    """A line a figure, with its bound and ratio; parts without any by why."""
    lines = [f"{'part':<9}{'what':<82}{'figure':>11}{'wanted':>12}{'ratio':>8}"]
    for name, (figures, wrong) in found.items():
        for each in figures:
            value = f"{each.value:.{2 if each.value < 100 else 0}f} {each.unit}".rstrip()
            bound = (
                "" if each.wanted is None else f"{'≥' if each.at_least else '≤'} {each.wanted:g} {each.unit}".rstrip()
            )
            ratio = "" if each.wanted is None else f"{each.ratio:.2f}"
            lines.append(f"{name:<9}{each.what:<82}{value:>11}{bound:>12}{ratio:>8}{'' if each.holds else '  MISSED'}")
        if wrong or not figures:
            lines.append(f"{name:<9}{f'FAILED: {wrong}' if wrong else 'skipped, as it says above'}")
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for; 1 where a part fails, 2 where there is no such part."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("parts", nargs="*", help="names of parts; all without")
    parser.add_argument("--list", action="store_true", help="name the parts, with about how long each takes")
    parser.add_argument("--skip", default="", help="names of parts that are left out")
    parser.add_argument(
        "--resume", action="store_true", help="leave out what ended with this code, and show its figures"
    )
    parser.add_argument("--small", action="store_true", help="a tenth of the size where there are many clips")
    parser.add_argument("--other", help="another checkout, for the part of that name: its demo and tests against ours")
    asked = parser.parse_args(arguments)
    parts = {**PARTS, **({OTHER: against(asked.other)} if asked.other else {})}
    if asked.list:
        print("\n".join(f"{name:<9}{part.seconds:>6} s  {part.about}" for name, part in parts.items()))
        return 0
    skipped = asked.skip.replace(",", " ").split()
    if unknown := [name for name in (*asked.parts, *skipped) if name not in parts]:
        hint = f"one of {', '.join(parts)}" + ("" if asked.other else f"; {OTHER} needs OTHER=DIR")
        print(f"error: there is no part {', '.join(unknown)} → {hint}", file=sys.stderr)
        return 2
    chosen = [name for name in asked.parts or parts if name not in skipped]
    kept = KEPT / (code_digest() + ("-small" if asked.small else ""))
    _forget_others(kept)
    facts = machine()
    print(facts)
    found: dict[str, tuple[list[Figure], str]] = {}
    for name in dict.fromkeys(chosen):
        place = kept / f"{name}.jsonl"
        if asked.resume and place.exists():
            found[name] = read_figures(place), ""
            print(f"== {name}: ended before", flush=True)
            continue
        print(f"== {name}: {parts[name].about}", flush=True)
        began = time.monotonic()
        found[name] = run(name, parts[name], asked.small, kept)
        print(f"   ({time.monotonic() - began:.0f} s on the clock, load {os.getloadavg()[0]:.1f})", flush=True)
    print(f"\n{facts}\nTimes are processor seconds; a ratio of at most 1 keeps to what is wanted.")
    print("\n".join(table(found)))
    return int(any(wrong for _, wrong in found.values()))


def _forget_others(kept: Path) -> None:
    """Remove what was kept of other code."""
    kept.mkdir(parents=True, exist_ok=True)
    for folder in kept.parent.iterdir():
        if folder.name.split("-")[0] != kept.name.split("-")[0]:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
