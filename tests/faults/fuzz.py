"""Seeded damage to every kind of text and table that comes from outside: an error line or a result, nothing else.

``python -m tests.faults.fuzz --cases 10000 --seed 1 [--format table …]`` prints a line a format, and each case that
ended in another exception than ``AiprodError``, in a message of several lines, in a warning, or took too long.
"""

from __future__ import annotations

import argparse
import random
import re
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aiprod.errors import AiprodError
from aiprod.executors.executor import ordered_map
from aiprod.executors.types import Bounds
from tests.faults.formats import FORMATS
from tests.qc.fuzz import damaged

BOUNDS = Bounds(deadline_s=300.0, memory_bytes=2 << 30)
_SECONDS = 10.0  # of its own processor time; the slowest format takes 0.3 for what is whole
_BATCH = 50

_HOSTILE = (
    *(
        "",
        " ",
        "\x00",
        "﻿",
        "\r",
        "\n",
        "\t",
        "'",
        '"',
        ",",
        ";",
        "|",
        ":",
        "- ",
        "{",
        "}",
        "[",
        "]",
        "#",
        "%",
        "&a ",
        "*a",
    ),
    *(
        "null",
        "~",
        "true",
        "no",
        ".nan",
        ".inf",
        "-.inf",
        "1e400",
        "-0",
        "0x7f",
        "0b1",
        "1_000",
        "９",
        "99999999999999999999",
    ),
    *(
        "-1",
        "0",
        "1e-300",
        "NaN",
        "Infinity",
        "2026-13-45",
        "!!python/object:os.system ls",
        "!!binary AAAA",
        "!x",
        "<<: *a",
    ),
    *(
        "../../etc/passwd",
        "/dev/zero",
        "~root",
        "a" * 5000,
        "é",
        "e\u0301",
        "\u202e",
        "\ud7ff",
        "😀",
        "\\",
        "%00",
        "${HOME}",
    ),
    *(
        "[" * 300,
        "{" * 300,
        "(" * 300,
        "a: " * 50,
        "&a [*a]",
        "1/0",
        "0:0:0:0",
        "-5s",
        "1e9s",
        "inf s",
        "nan",
        "24000/0",
    ),
    *("CC-BY-4.0", "own", "all rights reserved", "CC0-1.0 AND", "OR", "WITH", "do_not_train", "yes", "ja", "n/a"),
)
_TOKEN = re.compile(r"[A-Za-z0-9_.+-]+|[^\sA-Za-z0-9]")


@dataclass(frozen=True)
class Cases:
    """Some cases of one format."""

    format: str
    seeds: tuple[int, ...]


def mutated(data: bytes, seed: int) -> bytes:
    """Bytes as :func:`damaged` has them, or as a text: words changed for hostile or others, lines repeated or gone."""
    rng = random.Random(f"text {seed}")
    if rng.random() < 0.3 or b"\x00" in data[:4096]:
        return damaged(data, seed)
    text = data.decode("utf-8", "replace")
    for _ in range(rng.choice((1, 1, 1, 2, 4, 12))):
        words = list(_TOKEN.finditer(text))
        lines = text.splitlines(keepends=True)
        match rng.randrange(6):
            case 0 | 1 if words:
                at = rng.choice(words)
                text = text[: at.start()] + rng.choice(_HOSTILE) + text[at.end() :]
            case 2 if words:
                at, other = rng.choice(words), rng.choice(words)
                text = text[: at.start()] + other.group() + text[at.end() :]
            case 3 if lines:
                lines.insert(rng.randrange(len(lines) + 1), rng.choice(lines))
                text = "".join(lines)
            case 4 if lines:
                del lines[rng.randrange(len(lines))]
                text = "".join(lines)
            case 5:
                at_char = rng.randrange(len(text) + 1)
                text = text[:at_char] + rng.choice(_HOSTILE) + text[at_char:]
    encoding = rng.choice(("utf-8",) * 12 + ("utf-8-sig", "utf-16", "latin-1"))
    return text.encode(encoding, "replace")


class TooLong(BaseException):
    """A case took more processor time than it may; no handler of the product catches it."""


def _ring(*_: object) -> None:
    raise TooLong


def try_one(name: str, seed: int) -> str:
    """``read``, ``refused``, or what is wrong with how a case ended."""
    kind = FORMATS[name]
    wholes = kind.wholes()
    file, data = wholes[seed % len(wholes)]
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder, warnings.catch_warnings():
        warnings.simplefilter("error")
        path = Path(folder) / file
        path.write_bytes(mutated(data, seed))
        signal.signal(signal.SIGVTALRM, _ring)
        signal.setitimer(signal.ITIMER_VIRTUAL, _SECONDS)
        try:
            kind.read(path)
        except AiprodError as error:
            return "refused" if len(str(error).splitlines()) == 1 else f"{file}: several lines: {str(error)[:200]!r}"
        except TooLong:
            return f"{file}: more than {_SECONDS:.0f} s of processor time"
        except Exception as error:
            import traceback

            place = traceback.extract_tb(error.__traceback__)[-1]
            ours = [
                f
                for f in traceback.extract_tb(error.__traceback__)
                if "aiprod" in f.filename and "fuzz" not in f.filename
            ]
            where = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else f"{place.filename}:{place.lineno}"
            return f"{file}: {type(error).__name__} at {where}: {' '.join(str(error).split())[:160]}"
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        return "read"


def try_all(cases: Cases) -> list[str]:
    """The outcome of each case."""
    return [try_one(cases.format, seed) for seed in cases.seeds]


def fuzz(name: str, seeds: Sequence[int], workers: int = 1) -> tuple[Counter[str], list[str]]:
    """Outcomes by kind, and the cases that ended wrongly, each with its seed. A case that kills its worker is one."""
    batches = [Cases(name, tuple(seeds[at : at + _BATCH])) for at in range(0, len(seeds), _BATCH)]
    found: Counter[str] = Counter()
    faults = []
    again: list[Cases] = []
    for batch, outcome in zip(batches, ordered_map(try_all, batches, workers=workers, bounds=BOUNDS), strict=True):
        if outcome.value is None:
            again += [Cases(name, (seed,)) for seed in batch.seeds]
            continue
        for seed, said in zip(batch.seeds, outcome.value, strict=True):
            found[said if said in ("read", "refused") else "wrong"] += 1
            faults += [] if said in ("read", "refused") else [f"seed {seed}: {said}"]
    outcomes = ordered_map(try_all, again, workers=workers, bounds=BOUNDS) if again else ()
    for case, outcome in zip(again, outcomes, strict=True):
        said = outcome.value[0] if outcome.value else f"{outcome.fault}: {outcome.reason}"
        found[said if said in ("read", "refused") else "wrong"] += 1
        faults += [] if said in ("read", "refused") else [f"seed {case.seeds[0]}: {said}"]
    return found, faults


def main() -> int:
    """Exit code 1 where a case ended wrongly."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1, help="cases of one seed are those of no other")
    parser.add_argument("--format", nargs="*", choices=list(FORMATS), default=list(FORMATS))
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args()
    wrong = 0
    for name in given.format:
        began = time.monotonic()
        first = given.seed * 10**7
        found, faults = fuzz(name, range(first, first + given.cases), given.workers)
        wrong += len(faults)
        counts = " | ".join(str(n) for n in (sum(found.values()), found["read"], found["refused"], len(faults)))
        print(f"| {name} | {counts} | {time.monotonic() - began:.0f} s |", flush=True)
        kinds: dict[str, list[str]] = {}
        for fault in faults:
            kinds.setdefault(re.sub(r"seed \d+: |'.*|\d{3,}", "", fault)[:110], []).append(fault)
        for members in kinds.values():
            print(f"   {len(members)} × {members[0]}", flush=True)
    return int(wrong > 0)


if __name__ == "__main__":
    from tests.faults import fuzz as named  # workers find functions by the name of their module

    sys.exit(named.main())
