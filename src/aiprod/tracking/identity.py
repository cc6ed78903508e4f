"""What a run is called and which parent it belongs to, so that stages of one experiment find each other."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from aiprod.base.files import digest_of
from aiprod.base.state import state
from aiprod.base.yaml_file import read_yaml
from aiprod.repo.git import head_commit

if TYPE_CHECKING:
    from mlflow import MlflowClient

KEY_TAG = "aiprod.run_key"
STATE_TAG = "aiprod.state"
STAGE_TAG = "dvc.stage"
PARENT_TAG = "mlflow.parentRunId"


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


def open_parent(client: MlflowClient, experiment: str, key: str) -> str:
    """Id of the experiment's parent run that is still open, made if there is none.

    A parent is open until ``track`` gives it the state it ended in. A later run under the same key with other results
    opens another parent, named ``key-2``, ``key-3`` and so on, so that no figures are overwritten.
    """
    with FileLock(state().lock("mlflow-parents"), timeout=120):
        found = runs_with(client, experiment, {KEY_TAG: key})
        waiting = [run for run in found if STATE_TAG not in run.data.tags]
        if waiting:
            return str(waiting[0].info.run_id)
        name = key if not found else f"{key}-{len(found) + 1}"
        run = client.create_run(experiment, run_name=name, tags={KEY_TAG: key, **experiment_tags()})
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
