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

runs a small pipeline on generated films and one that may show people. Each trial injects one fault. Repair is limited
to the next `dvc repro` and to what the error message, `aiprod doctor` or `aiprod audit verify --files` recommends. A
trial passes if every output then equals that of an undisturbed run byte for byte, no file is missing or added,
nothing unfinished is left in the result cache, and the private film is unencrypted nowhere.

**{passed} of {trials} trials passed.**

| fault | trials | passed | repaired by |
| --- | ---: | ---: | --- |
"""
NOT_TESTED = """
## Not tested here

- The death of a training rank; `tests/trainer` kills ranks.
- A disk that fails while it is read.
- Power cuts: the kernel may lose recent writes, which no signal can simulate.
- A disk that is really full. It is simulated by a limit on file size (EFBIG), which the same code handles.
"""


def page(results: list[Result], seed: int, target: str) -> str:
    """The table, and each trial."""
    by_fault: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        by_fault[result.fault].append(result)
    passed = sum(not result.problems for result in results)
    lines = [HEAD.format(trials=len(results), seed=seed, target=target, passed=passed).rstrip("\n")]
    for fault, trials in sorted(by_fault.items()):
        repairs = ", ".join(sorted({result.repair for result in trials if not result.problems}))
        lines.append(f"| {fault} | {len(trials)} | {sum(not r.problems for r in trials)} | {repairs} |")
    lines += ["", "## Each trial", "", "| trial | fault | how | passed |", "| ---: | --- | --- | --- |"]
    for result in results:
        lines.append(f"| {result.number} | {result.fault} | {result.how} | {'; '.join(result.problems) or 'yes'} |")
    return "\n".join(lines) + "\n" + NOT_TESTED


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
