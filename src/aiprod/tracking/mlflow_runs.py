"""Training stages as MLflow runs, one nested run per phase. A store that fails never stops training."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from aiprod.base.progress import log

_FLUSH_SECONDS = 2.0
_BATCH = 900  # MLflow takes at most 1000 metrics a call


class Logger:
    """Logs to one run; ``phase`` opens a nested one. All methods are safe to call when tracking is broken or off."""

    def __init__(self, session: _Session, run_id: str | None) -> None:
        self._session, self._run = session, run_id
        self._pending: list[Any] = []
        self._flushed = time.monotonic()

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Record figures at a step. Written to the store every two seconds and at the end, never once per step."""
        if not self._session.alive or self._run is None:
            return
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._pending += [Metric(name, float(value), now, int(step)) for name, value in values.items()]
        if time.monotonic() - self._flushed >= _FLUSH_SECONDS or len(self._pending) >= _BATCH:
            self.flush()

    def params(self, values: Mapping[str, Any] | BaseModel) -> None:
        """Record parameters; nested ones get dotted names."""
        from aiprod.tracking.identity import flat

        plain = values.model_dump(mode="json") if isinstance(values, BaseModel) else values
        self._session.attempt(self._run, lambda client, run: _log_params(client, run, flat(plain)))

    def tag(self, name: str, value: str) -> None:
        """Set a tag."""
        self._session.attempt(self._run, lambda client, run: client.set_tag(run, name, value))

    def artifact(self, path: Path | str, folder: str | None = None) -> None:
        """Keep a file, or a folder's files, with the run."""

        def send(client: Any, run: str) -> None:
            keep = client.log_artifacts if Path(path).is_dir() else client.log_artifact
            keep(run, str(path), folder)

        self._session.attempt(self._run, send)

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[Logger]:
        """A nested run for one phase of a curriculum."""
        with self._session.child(self._run, name, {"aiprod.phase": name}) as logger:
            yield logger

    def flush(self) -> None:
        """Write what is waiting."""
        self._flushed = time.monotonic()
        while self._pending:
            batch, self._pending = self._pending[:_BATCH], self._pending[_BATCH:]
            self._session.attempt(self._run, functools.partial(_log_batch, metrics=batch))


class _Session:
    """One connection to the store; the first failure ends it with one line of warning."""

    def __init__(self) -> None:
        self.alive, self._experiment = True, ""
        self._client: Any = None
        self.attempt("", self._connect)

    def _connect(self, _client: Any, _run: str) -> None:
        from aiprod.tracking.store import connect

        self._client, self._experiment = connect()

    def attempt(self, run: str | None, call: Callable[[Any, str], Any]) -> Any:
        """``call(client, run)``, or None when tracking is broken. Anything may go wrong here, training continues."""
        if not self.alive or run is None:
            return None
        try:
            return call(self._client, run)
        except Exception as error:
            self.alive = False
            from aiprod.tracking.store import first_line

            log(
                f"warning: tracking is disabled from here on ({first_line(error)}) → see `aiprod doctor`; "
                "training continues"
            )
            return None

    def parent(self) -> str | None:
        """The experiment's parent run."""
        from aiprod.tracking.identity import open_parent, run_key

        run_id: str | None = self.attempt("", lambda client, _: open_parent(client, self._experiment, run_key()))
        return run_id

    def close_killed(self, parent: str | None, stage: str) -> None:
        """Runs of this stage that a killed process left open: they will never end by themselves."""
        from aiprod.tracking.identity import PARENT_TAG, STAGE_TAG, runs_with

        def close(client: Any, above: str) -> None:
            for run in runs_with(client, self._experiment, {PARENT_TAG: above, STAGE_TAG: stage}):
                for nested in runs_with(client, self._experiment, {PARENT_TAG: str(run.info.run_id)}):
                    if nested.info.status == "RUNNING":
                        client.set_terminated(nested.info.run_id, "KILLED")
                if run.info.status == "RUNNING":
                    client.set_terminated(run.info.run_id, "KILLED")

        self.attempt(parent, close)

    @contextlib.contextmanager
    def child(self, parent: str | None, name: str, tags: Mapping[str, str]) -> Iterator[Logger]:
        """A nested run, with system metrics, whose status tells how the block ended."""
        from aiprod.tracking.identity import PARENT_TAG

        def create(client: Any, above: str) -> str:
            every = {PARENT_TAG: above, **tags}
            return str(client.create_run(self._experiment, run_name=name, tags=every).info.run_id)

        logger = Logger(self, self.attempt(parent, create))
        monitor = self.attempt(logger._run, lambda _client, run: _watch_system(run))
        status = "FINISHED"
        try:
            yield logger
        except KeyboardInterrupt:
            status = "KILLED"
            raise
        except BaseException:
            status = "FAILED"
            raise
        finally:
            logger.flush()
            if monitor is not None:
                self.attempt(logger._run, lambda _client, _run: monitor.finish())
            self.attempt(logger._run, lambda client, run: client.set_terminated(run, status))


@contextlib.contextmanager
def stage_run(stage: str, params: Mapping[str, Any] | BaseModel | None, tags: Mapping[str, str]) -> Iterator[Logger]:
    """A run for one training stage, nested under the run of the present experiment."""
    from aiprod.tracking.identity import STAGE_TAG, experiment_tags

    session = _Session()
    parent = session.parent()
    session.close_killed(parent, stage)
    every = {STAGE_TAG: stage, **experiment_tags(), **{f"aiprod.{name}": value for name, value in tags.items()}}
    with session.child(parent, stage, every) as logger:
        if params is not None:
            logger.params(params)
        yield logger


def _log_batch(client: Any, run: str, metrics: list[Any]) -> None:
    client.log_batch(run, metrics=metrics)


def _log_params(client: Any, run: str, values: Mapping[str, Any]) -> None:
    from aiprod.tracking.writer import RunWriter

    RunWriter(client, "", run).params(values)


def _watch_system(run: str) -> Any:
    """CPU, memory and GPU figures every five seconds (psutil, pynvml)."""
    import logging

    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    logging.getLogger("mlflow.system_metrics").setLevel(logging.ERROR)
    monitor = SystemMetricsMonitor(run, sampling_interval=5)
    monitor.start()
    return monitor
