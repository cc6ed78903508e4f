"""Run a series of trials of faults on small pipelines, each repaired by the next ``dvc repro``.

``python -m tests.faults --trials 100 --seed 1 [--first N] [--target caption] [--results FILE] [--out FILE]``

With ``--results`` each trial is a line of JSON that is appended, and a series that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.faults.trial import Result, a_series, run_trial

HEAD = """# Reliability

    python -m tests.faults --trials {trials} --seed {seed} --target {target}

runs a small pipeline on generated films and two that may show people, one of them in a bucket; where a rank is killed
it also trains a small model on two ranks. Each trial injects one fault. Repair is limited to the next `dvc repro` and
to what the error message, `aiprod doctor` or `aiprod audit verify --files` recommends. A trial passes if every output
then equals that of an undisturbed run byte for byte, no file is missing or added, nothing unfinished is left in the
result cache, no process goes on, and no private film is unencrypted anywhere.

**{passed} of {trials} trials passed.**

| fault | trials | passed | repaired by |
| --- | ---: | ---: | --- |
"""
NOT_TESTED = """
## Not tested here

- Power cuts: the kernel may lose recent writes, which no signal can simulate.
- Real devices. A full store (ENOSPC) and an unreadable file (EIO) are answers of a library loaded before libc, which
  the program's own libraries meet as Python does; a limit on file size (EFBIG) is the kernel's.
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


def known_results(path: Path | None, seed: int, target: str) -> dict[int, Result]:
    """The trials of a series that ended before, by number."""
    lines = path.read_text(encoding="utf-8").splitlines() if path is not None and path.is_file() else []
    entries: list[dict[str, Any]] = []
    for line in lines:
        with contextlib.suppress(ValueError):  # a kill may cut a line
            entries.append(json.loads(line))
    mine = [e["result"] for e in entries if (e["seed"], e["target"]) == (seed, target)]
    return {e["number"]: Result(**{**e, "problems": tuple(e["problems"])}) for e in mine}


def note(path: Path, seed: int, target: str, result: Result) -> None:
    """Append a trial to the file of its series."""
    line = json.dumps({"seed": seed, "target": target, "result": asdict(result)})
    cut = path.is_file() and not path.read_bytes().endswith(b"\n")  # by a kill
    with path.open("a", encoding="utf-8") as file:
        file.write("\n" * cut + line + "\n")


def main() -> int:
    """Exit code 1 where a trial did not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--trials", type=int, default=14)
    parser.add_argument(
        "--first", type=int, default=0, help="begin with this trial, e.g. the second half beside the first"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--target", default="caption", help="the stage up to which the pipeline runs")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no further trial after these")
    parser.add_argument(
        "--results", type=Path, default=None, help="append each trial to this file; go on with its series"
    )
    parser.add_argument("--out", type=Path, default=None, help="write the table to this file, e.g. docs/reliability.md")
    given = parser.parse_args()
    results = known_results(given.results, given.seed, given.target)
    waiting = [number for number in range(given.first, given.trials) if number not in results]
    began = time.monotonic()
    with contextlib.ExitStack() as files:
        name = files.enter_context(tempfile.TemporaryDirectory(prefix="aiprod-faults-"))
        series = files.enter_context(a_series(Path(name), given.target))
        for number in waiting:
            if time.monotonic() - began > given.minutes * 60:
                break
            result = results[number] = run_trial(series, number, given.seed)
            print(f"{number}: {result.fault}: {result.how}: {'; '.join(result.problems) or 'held'}", file=sys.stderr)
            if given.results is not None:
                note(given.results, given.seed, given.target, result)
    if given.out is not None:
        kept = written_below(given.out.read_text(encoding="utf-8")) if given.out.is_file() else ""
        ended = [results[number] for number in sorted(results)]
        given.out.write_text(page(ended, given.seed, given.target) + kept, encoding="utf-8")
    return int(any(result.problems for result in results.values()))


if __name__ == "__main__":
    sys.exit(main())
