"""Which version of each measurement was recorded with which source, so that no changed one keeps its old results.

Results of a measurement are kept under its ``VERSION``. ``python -m aiprod.qc.units`` writes the record; it refuses to
where the source of a measurement changed and its version did not. ``--same-result NAME`` says that the figures stay the
same all the same, as after a better name or a faster way. ``--check`` only compares, as CI does.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Collection, Mapping
from pathlib import Path

from aiprod import speech
from aiprod.base.files import write_json
from aiprod.base.unit_trees import UnitTrees
from aiprod.qc import bundled, checks
from aiprod.qc.checks import MEASUREMENTS

RECORD = Path(checks.__file__).with_name("units.json")
_OF_SPEECH = ("lip_sync", "phones", "visemes")
Record = Mapping[str, Mapping[str, str]]
"""Measurement → its ``version``, and the digest of its source, ``tree``."""


def present(folder: Path = RECORD.parent) -> dict[str, dict[str, str]]:
    """What the record would say of the source as it is: of checks, networks that they ask, and what mouths do."""
    rooms = {checks.__name__: folder, bundled.__name__: folder.parent / "bundled"}
    files = {f"{n}.{p.stem}": p for n, room in rooms.items() for p in room.glob("*.py") if p.stem != "__init__"}
    files |= {f"{speech.__name__}.{name}": Path(speech.__file__).with_name(f"{name}.py") for name in _OF_SPEECH}
    trees = UnitTrees(files)
    return {
        name: {"version": kind.version, "tree": trees.digest(kind.__module__, kind.__name__)}
        for name, kind in sorted(MEASUREMENTS.items())
    }


def recorded() -> dict[str, dict[str, str]]:
    """What the record says."""
    record: dict[str, dict[str, str]] = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.is_file() else {}
    return record


def unraised(before: Record, now: Record) -> list[str]:
    """Measurements whose source changed though their version did not."""
    both = before.keys() & now.keys()
    return sorted(n for n in both if before[n]["version"] == now[n]["version"] and before[n]["tree"] != now[n]["tree"])


def problems(before: Record, now: Record, same: Collection[str] = ()) -> list[str]:
    """What is wrong with the record, in words."""
    return [
        f"{name}: what it measures changed and its VERSION, {now[name]['version']!r}, did not: raise it in "
        f"{MEASUREMENTS[name].__module__.replace('.', '/')}.py, or, where the same film gives the same figures, run "
        f"`python -m aiprod.qc.units --same-result {name}`"
        for name in unraised(before, now)
        if name not in same
    ]


def main(arguments: list[str] | None = None) -> int:
    """Write or check the record."""
    parser = argparse.ArgumentParser(prog="python -m aiprod.qc.units", description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare only")
    parser.add_argument("--same-result", action="append", default=[], metavar="NAME", choices=sorted(MEASUREMENTS))
    chosen = parser.parse_args(arguments)
    before, now = recorded(), present()
    wrong = problems(before, now, chosen.same_result)
    if not wrong and chosen.check and before != now:
        wrong = [f"{RECORD.name} is not up to date: run `python -m aiprod.qc.units`"]
    for line in wrong:
        print(line, file=sys.stderr)
    if len(wrong) > 1 and not chosen.check:
        print("nothing is recorded until each is answered; --same-result may be given several times", file=sys.stderr)
    if not wrong and before != now:
        write_json(RECORD, now)
        print(f"{RECORD.name}: {', '.join(n for n in {**before, **now} if before.get(n) != now.get(n))}")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
