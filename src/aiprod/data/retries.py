"""What failed for no reason that is known to be its film's, and is tried again by the next ``dvc repro``.

A transfer that broke off, a worker that died, ran out of memory or of time: nothing of that goes into the memo. But DVC
runs a stage again only when something that it depends on changed, and for dependencies that it has met before it takes
outputs from its run cache, rows with the fault included. So each stage counts here how often it left something to be
tried again; ``scan``, which always runs, writes the counts into what it says is offered, and so the stages depend on
them. A count never goes back, because under each earlier one DVC may have kept the fault.

The alternative, stages that always run, would end "nothing changed, nothing runs" for everybody and always; here a
pipeline without a fault has no count, and the same outputs as ever. No row says a count, so a film that is ingested at
the second try has the rows that it would have had at the first.
"""

from __future__ import annotations

from collections.abc import Mapping

from aiprod.base.files import read_json, write_json
from aiprod.base.state import state
from aiprod.errors import AiprodError

MOST_TRIES = 3
"""Runs in a row after which what may be a film's fault (its worker dies each time) is taken for it."""


def times() -> dict[str, int]:
    """Stage → how often a run of it left something to be tried again; stages that never did are left out."""
    return {path.stem: times for path in sorted(state().again.glob("*.json")) if (times := _read(path.stem)[0])}


def try_again(stage: str, faults: Mapping[str, bool]) -> int:
    """Record what failed in a run that has ended; how many of it the next ``dvc repro`` tries again.

    Args:
        faults: memo key of each item that has no result → whether it is certain that the item has no part in it, as of
            a server that does not answer. Such are tried for ever, others :data:`MOST_TRIES` times.
    """
    before, tried = _read(stage)
    tries = {key: tried.get(key, 0) + 1 for key in faults}
    again = sum(1 for key, innocent in faults.items() if innocent or tries[key] < MOST_TRIES)
    if again or tries != tried:
        write_json(state().again / f"{stage}.json", {"times": before + (again > 0), "tries": tries})
    return again


def _read(stage: str) -> tuple[int, dict[str, int]]:
    try:
        known = read_json(state().again / f"{stage}.json")
        return int(known["times"]), {str(key): int(count) for key, count in known["tries"].items()}
    except (AiprodError, KeyError, TypeError, ValueError, AttributeError):
        return 0, {}
