"""Weights & Biases: an experiment is a group, its training stages and its final state are runs of it.

Runs are offline unless ``WANDB_MODE`` says otherwise: they are in the state folder, no account is needed, nothing
leaves the machine, and ``wandb sync .aiprod/wandb/wandb/offline-run-*`` uploads them. Needs ``pip install
'aiprod[wandb]'``.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from aiprod.base.files import digest_of, read_json, write_json
from aiprod.base.progress import log
from aiprod.base.state import state
from aiprod.base.yaml_file import read_yaml
from aiprod.errors import AiprodError
from aiprod.tracking import identity
from aiprod.tracking.base import RunLogger
from aiprod.tracking.state import LockedState, TrackParams, metrics_of

PROJECT = "aiprod"
_QUIET = {"WANDB_SILENT": "true", "WANDB_CONSOLE": "off", "WANDB_ERROR_REPORTING": "false"}
_MEDIA = {".png": "Image", ".jpg": "Image", ".mp4": "Video"}


class WandbRun:
    """One run. Phases are prefixes of its metrics (``low/loss``), because W&B nests no runs."""

    def __init__(self, run: Any, attempt: Callable[[Callable[[], Any]], Any], prefix: str = "") -> None:
        self._run, self._attempt, self._prefix = run, attempt, prefix

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Record metrics; the step is a metric of its own, because W&B's steps may only rise."""
        named = {f"{self._prefix}{name}": float(value) for name, value in values.items()}
        self._attempt(lambda: self._run.log({**named, "step": step}))

    def params(self, values: Mapping[str, Any] | BaseModel) -> None:
        """Record parameters; nested ones get dotted names."""
        plain = values.model_dump(mode="json") if isinstance(values, BaseModel) else values
        self._attempt(lambda: self._run.config.update(identity.flat(plain), allow_val_change=True))

    def tag(self, name: str, value: str) -> None:
        """Record a tag as a parameter: W&B's own tags are words without values."""
        self._attempt(lambda: self._run.config.update({f"tags.{name}": value}, allow_val_change=True))

    def artifact(self, path: Path | str, folder: str | None = None) -> None:
        """Show a picture or a video with the run, and keep any other file in its folder."""
        for file in sorted(p for p in Path(path).rglob("*") if p.is_file()) if Path(path).is_dir() else [Path(path)]:
            self._attempt(functools.partial(self._keep, file, folder))

    def _keep(self, file: Path, folder: str | None) -> None:
        import wandb

        kind = _MEDIA.get(file.suffix)
        if kind is not None:
            self._run.log({"/".join(filter(None, (folder, file.stem))): getattr(wandb, kind)(str(file))})
        else:
            self._run.save(str(file.resolve()), base_path=str(file.resolve().parent), policy="now")

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[RunLogger]:
        """A logger whose metrics bear the phase's name."""
        yield WandbRun(self._run, self._attempt, f"{name}/")

    def flush(self) -> None:
        """W&B writes by itself."""


class WandbTracker:
    """Weights & Biases, offline by default.

    Raises:
        AiprodError: the library is not installed.
    """

    def __init__(self) -> None:
        try:
            import wandb  # noqa: F401
        except ImportError:
            raise AiprodError(
                "track.trackers names wandb, which is not installed", "run `pip install 'aiprod[wandb]'`"
            ) from None
        self._alive = True

    @contextlib.contextmanager
    def stage_run(
        self, stage: str, params: Mapping[str, Any] | BaseModel | None, tags: Mapping[str, str]
    ) -> Iterator[RunLogger]:
        """A run of the group of the present experiment."""
        run = self._attempt(lambda: _start(stage, "stage", identity.run_key()))
        logger = WandbRun(run, self._attempt)
        logger.params({"stage": stage, **{f"tags.{k}": v for k, v in {**identity.experiment_tags(), **tags}.items()}})
        if params is not None:
            logger.params(params)
        code = 1
        try:
            yield logger
            code = 0
        finally:
            self._attempt(lambda: run.finish(exit_code=code))

    def record(self, params: TrackParams, locked: LockedState) -> str | None:
        """A run with the parameters, the metrics, the pictures and the samples of the state, once for each state."""
        key = identity.run_key()
        note = state().cache("track") / f"wandb-{digest_of([locked.digest, key, PROJECT])}.json"
        if note.is_file():
            return str(read_json(note)["run"])
        run = self._attempt(lambda: _start(key, "pipeline", key))
        logger = WandbRun(run, self._attempt)
        logger.params(read_yaml("params.yaml") if Path("params.yaml").is_file() else {})
        logger.params({identity.STATE_TAG: locked.digest})
        figures = {f"{name}/{k}": v for name, values in metrics_of(Path()).items() for k, v in values.items()}
        self._attempt(lambda: run.summary.update(figures))
        for path in sorted({path for pattern in params.pictures for path in Path().glob(pattern)}):
            logger.artifact(path, path.parent.name)
        for folder in map(Path, params.folders):
            for path in sorted(p for p in folder.rglob("*") if p.suffix in _MEDIA):
                logger.artifact(path, path.parent.name)
        self._attempt(run.finish)
        if not self._alive:
            return None
        write_json(note, {"run": run.id})
        log(f"track: recorded for Weights & Biases as {key}, in {state().root.name}/wandb")
        return str(run.id)

    def _attempt(self, call: Callable[[], Any]) -> Any:
        """``call()``, or None when tracking is broken. Anything may go wrong here, training continues."""
        if not self._alive:
            return None
        try:
            return call()
        except Exception as error:
            self._alive = False
            line = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
            log(f"warning: Weights & Biases is disabled from here on ({line}); training continues")
            return None


def _start(name: str, kind: str, group: str) -> Any:
    for variable, value in _QUIET.items():
        os.environ.setdefault(variable, value)
    import wandb

    return wandb.init(
        project=os.environ.get("WANDB_PROJECT", PROJECT),
        name=name,
        group=group,
        job_type=kind,
        mode=os.environ.get("WANDB_MODE", "offline"),  # type: ignore[arg-type]
        dir=str(state().root / "wandb"),
        save_code=False,
        reinit="create_new",
    )
