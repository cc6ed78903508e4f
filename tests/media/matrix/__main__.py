"""``python -m tests.media.matrix``: tries every combination and says which pass.

Another checkout of the package is tried with ``PYTHONPATH=…/src`` before the command.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tests.media.matrix.combinations import Combination, everything, representative
from tests.media.matrix.table import table
from tests.media.matrix.trying import Outcome, try_one


def _try(work: tuple[Combination, str]) -> Outcome:
    import av

    av.logging.set_level(av.logging.PANIC)
    return try_one(work[0], Path(work[1]) / f"{os.getpid()}-{time.monotonic_ns()}")


def main() -> None:
    """Run as a command."""
    parser = argparse.ArgumentParser(prog="python -m tests.media.matrix", description=__doc__)
    parser.add_argument("--table", type=Path, metavar="FILE", help="write the result as a Markdown table")
    parser.add_argument("--few", action="store_true", help="only the combinations that `make test` tries")
    parser.add_argument("--only", default="", metavar="WORD", help="only combinations whose name holds the word")
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    chosen = [c for c in (representative() if options.few else everything()) if options.only in c.name]
    with tempfile.TemporaryDirectory() as folder:
        work = [(combination, folder) for combination in chosen]
        outcomes: list[Outcome] = []
        with ProcessPoolExecutor(options.workers) as pool:
            for outcome in pool.map(_try, work):
                outcomes.append(outcome)
                if outcome.state != "ok":
                    print(f"{outcome.combination.name}: {outcome.state}: {'; '.join(outcome.said)}", flush=True)
    print(", ".join(f"{count} {state}" for state, count in Counter(o.state for o in outcomes).items()))
    if options.table:
        options.table.write_text(table(outcomes), encoding="utf-8")


if __name__ == "__main__":
    main()
