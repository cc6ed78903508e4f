"""Training stages as MLflow runs, one nested run per phase. A store that fails never stops training."""

from __future__ import annotations

import contextlib
import functools
import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from aiprod.base.progress import log
from aiprod.tracking.machine import Machine
from aiprod.tracking.thinning import Thinning

if TYPE_CHECKING:
    from aiprod.tracking.journal import Entry, Journal, Replay

LIVE_AFTER_S = 120.0
"""A training that takes longer is followed live; a shorter one is written down, and passed on when it is over."""
_FLUSH_SECONDS = 10.0


class Logger:
    """Logs to one run; ``phase`` opens a nested one. All methods are safe to call when tracking is broken or off."""

    def __init__(self, session: _Session, run: int) -> None:
        self._session, self._run = session, run
        self._thinning: Thinning[list[Any]] = Thinning()

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Record figures at a step, of long curves only some. Written every ten seconds and at the end."""
        now = _now_ms()
        points = [[name, float(value), now, int(step)] for name, value in values.items()]
        self._points([point for point in points if self._thinning.keeps(point[0], point)])

    def end(self, status: str) -> None:
        """Record the last figures, and how it ended."""
        self._points(self._thinning.rest())
        self._session.add({"do": "end", "run": self._run, "status": status, "at": _now_ms()})

    def _points(self, points: list[list[Any]]) -> None:
        if points:
            self._session.add({"do": "metrics", "run": self._run, "points": points})

    def params(self, values: Mapping[str, Any] | BaseModel) -> None:
        """Record parameters; nested ones get dotted names."""
        from aiprod.tracking.identity import flat

        plain = values.model_dump(mode="json") if isinstance(values, BaseModel) else values
        kept = {name: str(value) for name, value in flat(plain).items()}
        self._session.add({"do": "params", "run": self._run, "values": kept})

    def tag(self, name: str, value: str) -> None:
        """Set a tag."""
        self._session.add({"do": "tag", "run": self._run, "name": name, "value": value})

    def artifact(self, path: Path | str, folder: str | None = None) -> None:
        """Keep a file, or a folder's files, with the run."""
        self._session.file(self._run, Path(path), folder)

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[Logger]:
        """A nested run for one phase of a curriculum."""
        with self._session.run(name, {"aiprod.phase": name}, self._run) as logger:
            yield logger

    def flush(self) -> None:
        """Write what is waiting, where training is followed live."""
        self._session.flush()


class _Session:
    """What one stage says, to its journal or to the store; the first failure ends it with one line of warning."""

    def __init__(self, stage: str) -> None:
        self.alive = True
        self._began = self._flushed = time.monotonic()
        self._numbers = itertools.count()
        self._monitors: dict[int, Any] = {}
        self._machine, self._observed = Machine(), itertools.count()
        self._waiting: list[Entry] = []
        self._live: Replay | None = None
        self._journal: Journal | None = self.attempt(lambda: _journal(stage))

    def attempt(self, call: Callable[[], Any]) -> Any:
        """``call()``, or None when tracking is broken. Anything may go wrong here, training continues."""
        if not self.alive:
            return None
        try:
            return call()
        except Exception as error:
            self.alive = False
            from aiprod.tracking.store import first_line

            log(
                f"warning: tracking is disabled from here on ({first_line(error)}) → see `aiprod doctor`; "
                "training continues"
            )
            return None

    def add(self, entry: Entry) -> None:
        """Say one thing, now or later."""
        if not self.alive or self._journal is None:
            return
        (self._journal.entries if self._live is None else self._waiting).append(entry)
        if time.monotonic() - self._flushed >= _FLUSH_SECONDS:
            self._observe()
            self.flush()

    def _observe(self) -> None:
        """Write down what the machine does, until MLflow's own monitor does."""
        if not self.alive or self._journal is None or self._live is not None:
            return
        now, step = _now_ms(), next(self._observed)
        points = [[name, value, now, step] for name, value in self._machine.figures().items()]
        self._journal.entries.extend({"do": "metrics", "run": run, "points": points} for run in self._monitors)

    def file(self, run: int, path: Path, folder: str | None) -> None:
        """Say that a run keeps a file: at once where training is followed live, a copy else."""

        def keep() -> None:
            assert self._journal is not None
            kept = self._journal.keep(path) if self._live is None else str(path.resolve())
            self.add({"do": "file", "run": run, "path": kept, "folder": folder})

        self.attempt(keep)
        if self._live is not None:
            self.flush()

    def flush(self) -> None:
        """Say what is waiting, once training is followed live."""
        self._flushed = time.monotonic()
        if self._journal is not None and self._live is None and self._flushed - self._began >= LIVE_AFTER_S:
            self._live = self.attempt(self._connect)
        if (live := self._live) is not None:
            waiting, self._waiting = self._waiting, []
            self.attempt(lambda: live.say(waiting))
            for number in [n for n, monitor in self._monitors.items() if monitor is None and n in live.runs]:
                self._monitors[number] = self.attempt(functools.partial(_watch_system, live.runs[number]))

    def _connect(self) -> Replay:
        from aiprod.tracking.store import connect

        assert self._journal is not None
        return self._journal.pass_on(*connect())

    def end(self) -> None:
        """Say the rest, or leave all of it to whoever connects next."""
        self.flush()
        if self._journal is not None:
            if self._live is None and self.alive:
                self.attempt(self._journal.write)
            self._journal.drop()

    @contextlib.contextmanager
    def run(self, name: str, tags: Mapping[str, str], under: int | None) -> Iterator[Logger]:
        """A nested run, with system metrics, whose status tells how the block ended."""
        number = next(self._numbers)
        self.add({"do": "begin", "run": number, "under": under, "name": name, "tags": dict(tags), "at": _now_ms()})
        self._monitors[number] = None
        self.flush()
        status = "FINISHED"
        logger = Logger(self, number)
        try:
            yield logger
        except KeyboardInterrupt:
            status = "KILLED"
            raise
        except BaseException:
            status = "FAILED"
            raise
        finally:
            self._observe()
            if (monitor := self._monitors.pop(number)) is not None:
                self.attempt(monitor.finish)
            logger.end(status)
            self.flush()


@contextlib.contextmanager
def stage_run(stage: str, params: Mapping[str, Any] | BaseModel | None, tags: Mapping[str, str]) -> Iterator[Logger]:
    """A run for one training stage, nested under the run of the present experiment."""
    from aiprod.tracking.identity import STAGE_TAG, experiment_tags

    session = _Session(stage)
    every = {STAGE_TAG: stage, **experiment_tags(), **{f"aiprod.{name}": value for name, value in tags.items()}}
    try:
        with session.run(stage, every, None) as logger:
            if params is not None:
                logger.params(params)
            yield logger
    finally:
        session.end()


def _now_ms() -> int:
    return int(time.time() * 1000)


def _journal(stage: str) -> Journal:
    from aiprod.tracking.identity import Origin
    from aiprod.tracking.journal import Journal, place
    from aiprod.tracking.store import experiment_name, tracking_uri

    return Journal(stage, Origin.present(), place(tracking_uri(), experiment_name()))


def _watch_system(run: str) -> Any:
    """CPU, memory and GPU figures every five seconds (psutil, pynvml)."""
    import logging

    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    logging.getLogger("mlflow.system_metrics").setLevel(logging.ERROR)
    monitor = SystemMetricsMonitor(run, sampling_interval=5)
    monitor.start()
    return monitor
