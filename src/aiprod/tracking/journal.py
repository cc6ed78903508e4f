"""What a training stage would say to MLflow, kept on disk until somebody speaks to it anyway.

Loading MLflow takes two to three seconds, and six stages of the demo train for less than two minutes. Such a stage
writes down what it has to say, with its times; whoever connects next (the stage ``track`` at the end of the same run)
passes it on. A longer training is followed live.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiprod.base.files import atomic_folder, digest_of, read_json, write_json
from aiprod.base.state import state
from aiprod.tracking.identity import PARENT_TAG, STAGE_TAG, Origin, open_parent, runs_with

if TYPE_CHECKING:
    from mlflow import MlflowClient

_JOURNAL = "journal.json"
_JOURNAL_TAG = "aiprod.journal"
_BATCH = 900  # MLflow takes at most 1000 metrics a call
_DAY_S = 86_400.0

Entry = dict[str, Any]
"""One thing to say: ``do`` names it, ``run`` is the number of the stage's run, 0, or of one nested in it."""


def place(uri: str, experiment: str) -> Path:
    """Folder of what waits for one experiment of one store."""
    return state().mlflow_database.parent / "waiting" / digest_of([uri, experiment])[:16]


@dataclass
class Journal:
    """What a stage has said so far.

    Args:
        stage: its name.
        origin: the experiment that it belongs to.
        folder: where journals of its store wait.
    """

    stage: str
    origin: Origin
    folder: Path
    entries: list[Entry] = field(default_factory=list)
    _files: Path | None = None

    def keep(self, path: Path) -> str:
        """Copy a file, or a folder, that may change before it is passed on; its place among what is kept."""
        if self._files is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._files = Path(tempfile.mkdtemp(prefix=".files.", dir=self.folder))
        target = self._files / str(len(os.listdir(self._files))) / path.name
        target.parent.mkdir()
        if path.is_dir():
            shutil.copytree(path, target)
        else:
            shutil.copy(path, target)
        return str(target.relative_to(self._files))

    def write(self) -> None:
        """Leave it to whoever connects next."""
        with atomic_folder(self.folder / f"{int(time.time() * 1000)}-{secrets.token_hex(8)}") as folder:
            write_json(
                folder / _JOURNAL,
                {"stage": self.stage, "origin": self.origin.values(), "entries": self.entries},
            )
            if self._files is not None:
                os.replace(self._files, folder / "files")
                self._files = None

    def pass_on(self, client: MlflowClient, experiment: str) -> Replay:
        """Say all of it now, and go on with what comes back."""
        files, began = self._files or self.folder, _began(self.entries)
        replay = Replay.begin(client, experiment, self.stage, self.origin, files, began=began)
        replay.say(self.entries)
        self.entries = []
        self.drop()
        return replay

    def drop(self) -> None:
        """Forget the files that were kept."""
        if self._files is not None:
            shutil.rmtree(self._files, ignore_errors=True)
            self._files = None


@dataclass
class Replay:
    """Says entries to a store.

    Attributes:
        runs: number of a run in the journal → its id in the store.
    """

    client: MlflowClient
    experiment: str
    parent: str
    stage: str
    files: Path
    tags: dict[str, str] = field(default_factory=dict)
    runs: dict[int, str] = field(default_factory=dict)

    @classmethod
    def begin(
        cls,
        client: MlflowClient,
        experiment: str,
        stage: str,
        origin: Origin,
        files: Path,
        *,
        began: int | None,
        **tags: str,
    ) -> Replay:
        """Under the experiment's open run; runs of this stage that a killed process left open are closed."""
        parent = open_parent(client, experiment, origin, began)
        for run in runs_with(client, experiment, {PARENT_TAG: parent, STAGE_TAG: stage}):
            for nested in runs_with(client, experiment, {PARENT_TAG: str(run.info.run_id)}):
                if nested.info.status == "RUNNING":
                    client.set_terminated(nested.info.run_id, "KILLED")
            if run.info.status == "RUNNING":
                client.set_terminated(run.info.run_id, "KILLED")
        return cls(client, experiment, parent, stage, files, tags)

    def say(self, entries: Sequence[Entry]) -> None:
        """Say these; figures that follow each other go together."""
        from mlflow.entities import Metric

        points: dict[int, list[Any]] = {}
        for entry in entries:
            if entry["do"] == "metrics":
                points.setdefault(entry["run"], []).extend(Metric(*point) for point in entry["points"])
            else:
                self._send(points)
                self._say(entry)
        self._send(points)

    def _send(self, points: dict[int, list[Any]]) -> None:
        for run, metrics in points.items():
            for first in range(0, len(metrics), _BATCH):
                self.client.log_batch(self.runs[run], metrics=metrics[first : first + _BATCH])
        points.clear()

    def _say(self, entry: Entry) -> None:
        client = self.client
        if entry["do"] == "begin":
            above = self.parent if entry["under"] is None else self.runs[entry["under"]]
            tags = {PARENT_TAG: above, **self.tags, **entry["tags"]}
            run = client.create_run(self.experiment, start_time=entry["at"], run_name=entry["name"], tags=tags)
            self.runs[entry["run"]] = str(run.info.run_id)
            return
        run_id = self.runs[entry["run"]]
        if entry["do"] == "params":
            from aiprod.tracking.writer import RunWriter

            RunWriter(client, self.experiment, run_id).params(entry["values"])
        elif entry["do"] == "tag":
            client.set_tag(run_id, entry["name"], entry["value"])
        elif entry["do"] == "file":
            path = self.files / entry["path"]  # what is not kept has a whole path
            keep = client.log_artifacts if path.is_dir() else client.log_artifact
            keep(run_id, str(path), entry["folder"])
        elif entry["do"] == "end":
            client.set_terminated(run_id, entry["status"], end_time=entry["at"])


def pass_on(client: MlflowClient, experiment: str, folder: Path) -> None:
    """Say what waits in a folder to the store, oldest first. A journal that was said in part is said anew.

    Raises:
        Exception: as MLflow raises; what could not be said goes on waiting.
    """
    for name in _waiting(folder):
        kept = read_json(folder / name / _JOURNAL)
        for run in runs_with(client, experiment, {_JOURNAL_TAG: name}):
            client.delete_run(run.info.run_id)
        origin = Origin(**kept["origin"])
        files, began, tags = folder / name / "files", _began(kept["entries"]), {_JOURNAL_TAG: name}
        replay = Replay.begin(client, experiment, kept["stage"], origin, files, began=began, **tags)
        replay.say(kept["entries"])
        shutil.rmtree(folder / name)


def _began(entries: Sequence[Entry]) -> int | None:
    """Milliseconds at which the first of the runs began."""
    return next((int(entry["at"]) for entry in entries if entry["do"] == "begin"), None)


def _waiting(folder: Path) -> Iterator[str]:
    """Names of journals in order; what killed processes left half-written a day ago goes."""
    if not folder.is_dir():
        return
    for name in sorted(os.listdir(folder)):
        if not name.startswith("."):
            yield name
        elif time.time() - (folder / name).stat().st_mtime > _DAY_S:
            with contextlib.suppress(OSError):
                shutil.rmtree(folder / name)
