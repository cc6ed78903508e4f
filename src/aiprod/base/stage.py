"""What every DVC stage module does round its one call: errors in one line, counters."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from aiprod.base.crash_report import end_with
from aiprod.base.files import digest_of, write_json
from aiprod.base.opening import read_file
from aiprod.base.process_lock import alone, end_with_dvc, name_of_stage
from aiprod.base.progress import log, log_error
from aiprod.base.state import state, workspace
from aiprod.base.state_cache import code_stamp, recall, remember
from aiprod.base.tempdirs import abandon, sweep_private
from aiprod.base.timing import timed


@dataclass
class Counters:
    """What a stage did with its clips, each counted once: computed now, taken from the memo, or failed (a row, too)."""

    processed: int = 0
    reused: int = 0
    failed: int = 0

    def __str__(self) -> str:
        return f"processed {self.processed} · reused {self.reused} · failed {self.failed}"


def record_counters(stage: str, counters: Counters, **more: float | str) -> None:
    """Print the counters and keep them in the state folder (they differ between runs, so they are no DVC output)."""
    log(f"{stage}: {counters}")
    write_json(state().counters / f"{stage}.json", {**asdict(counters), **more, "unix_time_s": round(time.time(), 3)})


def run(main: Callable[[], None], prepare: Callable[[], None] = lambda: None) -> None:
    """Run a stage's ``main``, alone in its workspace and no longer than the DVC that started it.

    Args:
        prepare: called first, when no other process is at this stage here.

    An error becomes one line on standard error; the exit code says whether the user can fix it (2) or nobody foresaw
    it (70, and its traceback is in the state folder).
    """
    try:
        os.chdir(workspace()) if not Path("dvc.yaml").is_file() else None
        stage = name_of_stage(main.__module__)
        end_with_dvc(stage)
        with _nothing_left_in_the_clear(), alone(stage):
            prepare()
            _check_top(Path("params.yaml"))  # a wrong rate is said by the first stage, not by the first that trains
            with timed(stage):
                main()
    except KeyboardInterrupt:
        print("stopped; run `dvc repro` to continue", file=sys.stderr)
        raise SystemExit(130) from None
    except Exception as error:
        line, status = end_with(error)
        log_error(line)
        raise SystemExit(status) from None


def _check_top(path: Path) -> None:
    """Check the single values of the parameter file, unless this code found this content good before.

    Raises:
        AiprodError: one of them cannot be used.
    """
    if not path.is_file():
        return
    decided_by = digest_of([hashlib.sha256(read_file(path)).hexdigest(), code_stamp()])
    if recall("top", decided_by) is True:
        return
    from aiprod.base.params import check_top  # loads pydantic, which takes longer than the two stages that always run

    check_top(path)
    remember("top", decided_by, True)


_ENDING = (signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def _nothing_left_in_the_clear() -> Iterator[None]:
    """Sweep what killed processes left of private films, before and after; end as if by an exit where asked to end.

    Ctrl-C comes as an exception anyway; a plain ``kill`` or a terminal that closes would leave what is in the clear.
    """
    single = "WORLD_SIZE" not in os.environ  # a rank that waits for another in a library would never see the exception
    before = {number: signal.signal(number, _exit_by) for number in (_ENDING if single else ())}
    before[signal.SIGINT] = signal.getsignal(signal.SIGINT)
    sweep_private()
    try:
        yield
    finally:
        for number in before:
            signal.signal(number, signal.SIG_IGN)  # pressing Ctrl-C once more must not end this half-way
        if "multiprocessing" in sys.modules:  # workers of a pool that nobody came to close
            for child in sys.modules["multiprocessing"].active_children():
                child.kill()
                child.join()
        abandon()
        sweep_private()
        for number, handler in before.items():
            signal.signal(number, handler)


def _exit_by(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)
