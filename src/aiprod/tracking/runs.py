"""``stage_run``, the logger that a training stage hands to its trainer, and ``track``, for the state after a run.

Both speak to every tracker that ``track.trackers`` of params.yaml names. Broken tracking never stops training.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from aiprod.errors import AiprodError
from aiprod.tracking.base import RunLogger, trackers
from aiprod.tracking.state import LockedState, TrackParams, track_params


class RunLoggers:
    """Logs to one run of each tracker."""

    def __init__(self, runs: Sequence[RunLogger]) -> None:
        self._runs = list(runs)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Record metrics at a step."""
        for run in self._runs:
            run.log(step, values)

    def params(self, values: Mapping[str, Any] | BaseModel) -> None:
        """Record parameters; nested ones get dotted names."""
        for run in self._runs:
            run.params(values)

    def tag(self, name: str, value: str) -> None:
        """Set a tag."""
        for run in self._runs:
            run.tag(name, value)

    def artifact(self, path: Path | str, folder: str | None = None) -> None:
        """Keep a file, or the files of a folder, with each run."""
        for run in self._runs:
            run.artifact(path, folder)

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[RunLoggers]:
        """A logger for one phase of a curriculum."""
        with contextlib.ExitStack() as stack:
            yield RunLoggers([stack.enter_context(run.phase(name)) for run in self._runs])

    def flush(self) -> None:
        """Write what is waiting."""
        for run in self._runs:
            run.flush()


@contextlib.contextmanager
def stage_run(stage: str, params: Mapping[str, Any] | BaseModel | None = None, **tags: str) -> Iterator[RunLoggers]:
    """A run for one training stage, in every tracker.

    Args:
        stage: the DVC stage's name.
        params: logged with dotted names.
        tags: more tags, for example ``dataset_root=head.merkle_root``.

    Raises:
        AiprodError: ``track.trackers`` names one that there is not.

    Example:
        with stage_run("train_video_vae", params) as logger:
            with logger.phase("low") as phase:
                phase.log(step, {"loss": 0.2})
    """
    with contextlib.ExitStack() as stack:
        runs = [tracker.stage_run(stage, params, tags) for tracker in trackers(track_params().trackers)]
        yield RunLoggers([stack.enter_context(run) for run in runs])


def track(params: TrackParams) -> dict[str, str | None]:
    """Record the workspace's state in every tracker.

    Returns:
        The name of each tracker → the id of its run; None where the tracker cannot be reached.

    Raises:
        AiprodError: there is no dvc.lock, or ``track.trackers`` names one that there is not.
    """
    if not Path("dvc.lock").is_file():
        raise AiprodError("there is no dvc.lock to record", "run `dvc repro` first")
    locked = LockedState.read()
    named = zip(params.trackers, trackers(params.trackers), strict=True)
    return {name: tracker.record(params, locked) for name, tracker in named}
