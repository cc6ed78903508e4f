"""The state folder: everything that is kept between runs and is not a DVC output. Only this module knows its layout.

It is in ``.aiprod/`` under the main repository, also when DVC runs an experiment in a temporary workspace
(``DVC_ROOT`` names the main repository there), so that experiments share memo, tracking database and audit log.
``AIPROD_HOME`` overrides it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from aiprod.errors import AiprodError


def workspace() -> Path:
    """The folder that holds ``dvc.yaml`` and whose outputs the present run writes (a temporary copy under ``--temp``).

    Raises:
        AiprodError: neither the working directory nor a parent of it holds dvc.yaml.
    """
    here = Path.cwd().resolve()
    for folder in (here, *here.parents):
        if (folder / "dvc.yaml").is_file() and not (folder.parent / "dvc.yaml").is_file():  # as plots/dvc.yaml is
            return folder
    raise AiprodError(f"{here} is not inside an AIPROD project (no dvc.yaml found)", "change into its folder")


def main_repository() -> Path:
    """The repository the user works in: ``DVC_ROOT`` where DVC set it, else the workspace.

    In temporary experiment workspaces under ``.dvc/tmp/exps`` this is the repository that owns them.
    """
    root = os.environ.get("DVC_ROOT")
    folder = Path(root).resolve() if root else workspace()
    parts = folder.parts
    if ".dvc" in parts:  # .../repo/.dvc/tmp/exps/xyz -> .../repo
        folder = Path(*parts[: parts.index(".dvc")])
    return folder


@dataclass(frozen=True)
class State:
    """Paths of the state folder. Folders are made on first use."""

    root: Path

    def make(self) -> Path:
        """The folder itself; where it is missing it is made for its owner only, whatever the umask."""
        if not self.root.is_dir():
            self.root.parent.mkdir(parents=True, exist_ok=True)
            self.root.mkdir(mode=0o700, exist_ok=True)
        return self.root

    def _folder(self, *parts: str) -> Path:
        path = self.make().joinpath(*parts)
        path.mkdir(parents=True, exist_ok=True)
        return path

    def memo(self, stage: str) -> Path:
        """Per-clip results of a stage, content-addressed."""
        return self._folder("memo", stage)

    def training(self, stage: str, fingerprint: str) -> Path:
        """Resume checkpoints of one training run, by the fingerprint of its params, inputs and code."""
        return self._folder("training", stage, fingerprint)

    @property
    def mlflow_database(self) -> Path:
        """SQLite file of the default tracking store."""
        return self._folder("mlflow") / "mlflow.db"

    @property
    def mlflow_artifacts(self) -> Path:
        """Artifact root of the default tracking store."""
        return self._folder("mlflow", "artifacts")

    @property
    def audit_database(self) -> Path:
        """SQLite file of the audit log."""
        return self._folder("audit") / "log.db"

    @property
    def keys(self) -> Path:
        """Key store (private)."""
        path = self._folder("keys")
        path.chmod(0o700)
        return path

    @property
    def counters(self) -> Path:
        """One JSON file per stage: processed / reused / failed of its last run and when it was."""
        return self._folder("counters")

    @property
    def again(self) -> Path:
        """One JSON file per stage: how often a run of it left something to be tried again."""
        return self._folder("again")

    @property
    def errors(self) -> Path:
        """Tracebacks of what nobody foresaw (private: a message may hold a name)."""
        path = self._folder("errors")
        path.chmod(0o700)
        return path

    def lock(self, name: str) -> Path:
        """Path of a lock file for ``filelock``."""
        return self._folder("locks") / f"{name}.lock"

    def carried(self, stage: str) -> Path:
        """Rows of a stage's last manifest, for the next run."""
        return self._folder("carried") / f"{stage}.arrows"

    def cache(self, name: str) -> Path:
        """A folder for things that can be made again at any time."""
        return self._folder("cache", name)


def state() -> State:
    """The state folder of this project (or the one ``AIPROD_HOME`` names)."""
    home = os.environ.get("AIPROD_HOME")
    return State(Path(home).expanduser().resolve() if home else main_repository() / ".aiprod")
