"""Run a series of trials of faults on small pipelines, each repaired by the next ``dvc repro``.

``python -m tests.faults --trials 100 --seed 1 [--target caption] [--out docs/reliability.md]``
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from tests.faults.trial import Result, prepare, run_trial

HEAD = """# Reliability

    python -m tests.faults --trials {trials} --seed {seed} --target {target}

runs a small pipeline on generated films and one that may show people. Each trial disturbs it in one way and repairs it
by nothing but the next `dvc repro`, or by what the error, `aiprod doctor` or `aiprod audit verify --files` names. A
trial holds if every output then has the bytes of the undisturbed run, no file is missing or added, nothing unfinished
is left in the memo, and the private film is nowhere unencrypted.

**{held} of {trials} trials held.**

| fault | trials | held | repaired by |
| --- | ---: | ---: | --- |
"""
NOT_TRIED = """
## Not tried here

Ranks of a training that die (`tests/trainer` kills them), a disk that fails while it is read, and power cuts: the
kernel may lose what a program wrote last, which no signal shows. A full disk is tried as a limit on the size of files
(EFBIG), which the same code meets.
"""


def page(results: list[Result], seed: int, target: str) -> str:
    """The table, and each trial that did not hold."""
    by_fault: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        by_fault[result.fault].append(result)
    held = sum(not result.problems for result in results)
    lines = [HEAD.format(trials=len(results), seed=seed, target=target, held=held).rstrip("\n")]
    for fault, found in sorted(by_fault.items()):
        repairs = ", ".join(sorted({result.repair for result in found if not result.problems}))
        lines.append(f"| {fault} | {len(found)} | {sum(not r.problems for r in found)} | {repairs} |")
    lines += ["", "## Each trial", "", "| trial | fault | how | held |", "| ---: | --- | --- | --- |"]
    for result in results:
        lines.append(f"| {result.number} | {result.fault} | {result.how} | {'; '.join(result.problems) or 'yes'} |")
    return "\n".join(lines) + "\n" + NOT_TRIED


def written_below(text: str) -> str:
    """What a person added to the page after the trials, which a new table keeps."""
    mark = "## Damaged input"
    return f"\n{mark}{text.partition(mark)[2]}" if mark in text else ""


def main() -> int:
    """Exit code 1 where a trial did not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--trials", type=int, default=14)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--target", default="caption", help="the stage up to which the pipeline runs")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no further trial after these")
    parser.add_argument("--out", type=Path, default=None, help="write the table to this file, e.g. docs/reliability.md")
    given = parser.parse_args()
    results: list[Result] = []
    known = given.out.read_text(encoding="utf-8") if given.out is not None and given.out.is_file() else ""
    kept = written_below(known)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="aiprod-faults-") as name:
        undisturbed = prepare(Path(name), given.target)
        print(f"an undisturbed run takes {undisturbed.duration_s:.1f} s", file=sys.stderr)
        for number in range(given.trials):
            if time.monotonic() - began > given.minutes * 60:
                break
            result = run_trial(undisturbed, Path(name), number, given.seed)
            results.append(result)
            print(f"{number}: {result.fault}: {result.how}: {'; '.join(result.problems) or 'held'}", file=sys.stderr)
            if given.out is not None:
                given.out.write_text(page(results, given.seed, given.target) + kept, encoding="utf-8")
    return int(any(result.problems for result in results))


if __name__ == "__main__":
    sys.exit(main())
