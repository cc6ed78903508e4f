"""What a run is called and which parent it belongs to, so that stages of one experiment find each other."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from aiprod.base.addresses import secret_in
from aiprod.base.files import digest_of
from aiprod.base.state import state
from aiprod.base.structured import parse_yaml
from aiprod.base.yaml_file import read_yaml
from aiprod.errors import AiprodError
from aiprod.repo.git import git, head_commit

if TYPE_CHECKING:
    from mlflow import MlflowClient

KEY_TAG = "aiprod.run_key"
STATE_TAG = "aiprod.state"
STAGE_TAG = "dvc.stage"
PARENT_TAG = "mlflow.parentRunId"
NOTE_TAG = "mlflow.note.content"

_CHANGES_NAMED, _CHANGES_TOLD = 3, 40
NAME_MAX, _VALUE_MAX = 120, 60


def params_digest(path: Path | str = "params.yaml") -> str:
    """SHA-256 of the parameter file's values (comments and order of keys do not count)."""
    return digest_of(read_yaml(path)) if Path(path).is_file() else digest_of(None)


def run_key() -> str:
    """Name of the present experiment: DVC's name for it, else short commit and parameter digest."""
    name = os.environ.get("DVC_EXP_NAME")
    return name or f"{(head_commit() or 'nocommit')[:8]}-{params_digest()[:8]}"


def experiment_tags() -> dict[str, str]:
    """Tags that say where a run came from; those that do not apply are absent."""
    named = {
        "dvc.exp_name": os.environ.get("DVC_EXP_NAME"),
        "dvc.baseline_rev": os.environ.get("DVC_EXP_BASELINE_REV"),
        "mlflow.source.git.commit": head_commit(),
        "aiprod.params_digest": params_digest(),
    }
    return {name: value for name, value in named.items() if value}


def changes() -> dict[str, tuple[Any, Any]]:
    """Parameter → (value at the baseline, value now), by dotted name; empty outside git.

    The baseline is the commit that an experiment started from, else the last one.
    """
    path = Path("params.yaml")
    before = git(Path(), "show", f"{os.environ.get('DVC_EXP_BASELINE_REV') or 'HEAD'}:./{path}")
    if before is None or not path.is_file():
        return {}
    try:
        old, new = flat(parse_yaml(before) or {}), flat(read_yaml(path) or {})
    except AiprodError:
        return {}
    names = [name for name in (*new, *(name for name in old if name not in new)) if old.get(name) != new.get(name)]
    return {
        name: (old.get(name), new.get(name))
        for name in names
        if not any(secret_in(str(v.get(name))) for v in (old, new))
    }


@dataclass(frozen=True)
class Origin:
    """The experiment that runs belong to, as it was when they were made.

    Attributes:
        key: its name.
        changed: what was changed, as far as a line holds it.
        note: the same as Markdown.
        tags: say where it came from.
    """

    key: str
    changed: str
    note: str
    tags: dict[str, str]

    @classmethod
    def present(cls) -> Origin:
        """The present experiment."""
        return cls(run_key(), _changed(), description(), experiment_tags())

    def values(self) -> dict[str, Any]:
        """As plain values, of which it can be made again."""
        return asdict(self)

    def run_name(self, number: int = 1) -> str:
        """What its run is called: its key, and what was changed."""
        numbered = self.key if number == 1 else f"{self.key}-{number}"
        return f"{numbered}: {self.changed}"[:NAME_MAX] if self.changed else numbered


def _changed() -> str:
    changed = [f"{name} {_short(new)}" for name, (_, new) in changes().items()]
    kept = changed[:_CHANGES_NAMED]
    rest = [f"+{len(changed) - len(kept)}"] if len(changed) > len(kept) else []
    return ", ".join([*kept, *rest])


def description() -> str:
    """What was changed, as Markdown for the run's page."""
    rows = [f"| `{name}` | {_short(old)} | {_short(new)} |" for name, (old, new) in changes().items()]
    if not rows:
        return f"No parameter differs from those of {base}." if (base := _baseline()) else ""
    more = f"\n\n{len(rows) - _CHANGES_TOLD} more are among the parameters." if len(rows) > _CHANGES_TOLD else ""
    return "\n".join(["| changed | from | to |", "| --- | --- | --- |", *rows[:_CHANGES_TOLD]]) + more


def _baseline() -> str:
    """The commit that changes are counted from, in words; empty outside git."""
    named = os.environ.get("DVC_EXP_BASELINE_REV") or head_commit()
    return f"commit {named[:8]}" if named else ""


def _short(value: Any) -> str:
    text = " ".join(str("none" if value is None else "''" if value == "" else value).split())
    return (text if len(text) <= _VALUE_MAX else f"{text[: _VALUE_MAX - 1]}…").replace("|", "/")


def open_parent(client: MlflowClient, experiment: str, origin: Origin, began: int | None = None) -> str:
    """Id of the experiment's parent run that is still open, made if there is none, with this start in milliseconds.

    A parent is open until ``track`` gives it the state it ended in. A later run under the same key with other results
    opens another parent, named ``key-2``, ``key-3`` and so on, so that no figures are overwritten.
    """
    with FileLock(state().lock("mlflow-parents"), timeout=120):
        runs = runs_with(client, experiment, {KEY_TAG: origin.key})
        waiting = [run for run in runs if STATE_TAG not in run.data.tags]
        if waiting:
            return str(waiting[0].info.run_id)
        tags = {KEY_TAG: origin.key, NOTE_TAG: origin.note, **origin.tags}
        name = origin.run_name(len(runs) + 1)
        run = client.create_run(experiment, start_time=began, run_name=name, tags=tags)
        return str(run.info.run_id)


def runs_with(client: MlflowClient, experiment: str, tags: Mapping[str, str]) -> list[Any]:
    """Runs that carry all these tags, newest first."""
    wanted = " and ".join(f"tags.`{name}` = '{value.replace(chr(39), '')}'" for name, value in tags.items())
    return list(client.search_runs([experiment], filter_string=wanted, max_results=200, order_by=["start_time DESC"]))


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one level with dotted names, as ``dvc exp show`` prints them."""
    result: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            result.update(flat(value, f"{prefix}{name}."))
        else:
            result[f"{prefix}{name}"] = value
    return result
