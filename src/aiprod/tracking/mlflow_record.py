"""Puts the present state of the pipeline into MLflow once, wherever it was computed.

A stage that DVC restores from its run cache logs nothing, so the state is read from dvc.lock and the files it names:
parameters, metrics, curves of stages that did not run, pictures, videos, the dossier, the dataset's digest and a
version of the model in the registry. The same state is recorded once; meeting it again only notes the new name.
"""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from aiprod.base.addresses import WHERE_SECRETS_GO, secret_in
from aiprod.base.files import digest_of, read_json, write_json
from aiprod.base.progress import log
from aiprod.base.state import state
from aiprod.base.yaml_file import read_yaml
from aiprod.errors import AiprodError
from aiprod.tracking import curves, identity
from aiprod.tracking.state import LockedState, TrackParams, metrics_of
from aiprod.tracking.store import connect, experiment_name, first_line, tracking_uri
from aiprod.tracking.writer import RunWriter

_NAMES_TAG = "aiprod.also_known_as"
_OUTS_TAG = "aiprod.outs"
_RESTORED_TAG = "aiprod.restored"
_ABANDONED_AFTER_S = 86_400.0
_TRAINED = "diffusion"  # the stage whose model is registered, and which reads the dataset that is linked


def record(params: TrackParams, locked: LockedState) -> str | None:
    """Record the state; the run's id, or None when the tracking store cannot be reached."""
    key = identity.run_key()
    if (known := _remembered(locked.digest, key)) is not None:
        log(f"track: this state is recorded as {known['name']}")
        return str(known["run"])
    try:
        run, name = _record(params, locked, key)
    except AiprodError:
        raise
    except Exception as error:
        log(f"warning: this state is not in MLflow ({first_line(error)}) → see `aiprod doctor`, then `dvc repro` again")
        return None
    write_json(_note(locked.digest, key), {"run": run, "name": name})
    return run


def _record(params: TrackParams, locked: LockedState, key: str) -> tuple[str, str]:
    """The run that holds this state (id and name): found, or completed from the files of the workspace."""
    client, experiment = connect()
    if recorded := identity.runs_with(client, experiment, {identity.STATE_TAG: locked.digest}):
        known = recorded[0]
        names = [n for n in known.data.tags.get(_NAMES_TAG, "").split(", ") if n]
        if key not in [known.data.tags.get(identity.KEY_TAG), *names]:
            client.set_tag(known.info.run_id, _NAMES_TAG, ", ".join([*names, key]))
        log(f"track: this state is already recorded as {known.info.run_name}")
        return str(known.info.run_id), str(known.info.run_name)
    settings = identity.flat(read_yaml("params.yaml") or {}) if Path("params.yaml").is_file() else {}
    for name, value in settings.items():
        if kind := secret_in(str(value)):
            raise AiprodError(f"params.yaml: {name} holds {kind}, which would be recorded", WHERE_SECRETS_GO)
    parent = RunWriter(client, experiment, identity.open_parent(client, experiment, identity.Origin.present()))
    parent.params(settings)
    figures = metrics_of(Path())
    parent.figures({f"{f}/{k}": v for f, values in figures.items() for k, v in values.items()})
    stages = {
        stage: _complete_stage(parent, stage, entry, figures.get(stage.removeprefix("train_"), {}))
        for stage, entry in locked.stages.items()
        if stage.startswith("train_")
    }
    if not any(name.startswith(f"{curves.COMPARED}/") for name in client.get_run(parent.run).data.metrics):
        for name in (stage.removeprefix("train_") for stage in stages):
            curves.log_loss(parent, name, Path("reports") / name / "curve.csv")
    head_file = Path(params.dataset) / "manifest.json"
    head = read_json(head_file) if head_file.is_file() else {}
    tags = {"aiprod.dataset_root": str(head.get("merkle_root", "")), **identity.experiment_tags()}
    for name, value in tags.items():
        client.set_tag(parent.run, name, value)
    if md5 := locked.md5(params.dataset):
        for run in (parent.run, *(run for stage, run in stages.items() if _TRAINED in stage)):
            RunWriter(client, experiment, run).dataset(params.dataset, md5, head)
    folders = [Path(f) for f in params.folders]
    pictures = [path for pattern in params.pictures for path in sorted(Path().glob(pattern))]
    parent.files([path for path in pictures if not set(folders) & set(path.parents)], folders)
    if md5 := locked.md5(params.model):
        about = {"dvc.path": params.model, identity.STATE_TAG: locked.digest, **tags}
        _, model = parent.model_version(params.registered_model, params.alias, md5, about)
        if model is not None:
            trained = [run for stage, run in stages.items() if _TRAINED in stage]
            parent.links(
                model, [parent.run, *trained], {f"{_TRAINED}/{k}": v for k, v in figures.get(_TRAINED, {}).items()}
            )
    _say_what_is_new(parent, locked, tags["aiprod.dataset_root"])
    client.set_tag(parent.run, identity.STATE_TAG, locked.digest)  # last: a run without it is still open
    client.set_terminated(parent.run, "FINISHED")
    _end_abandoned(parent)
    shown = str(client.get_run(parent.run).info.run_name)
    log(f"track: recorded as {shown}; `make ui` shows it")
    return parent.run, shown


def _end_abandoned(parent: RunWriter) -> None:
    """Runs of pipelines that ended before their last stage, with nothing at work for a day, would go on for ever.

    One that goes on after all is finished by its own last stage.
    """
    client, before = parent.client, int((time.time() - _ABANDONED_AFTER_S) * 1000)
    running = "attributes.status = 'RUNNING'"
    stages = client.search_runs([parent.experiment], f"{running} and tags.`{identity.STAGE_TAG}` LIKE '%'")
    at_work = {run.data.tags.get(identity.PARENT_TAG) for run in stages}
    old = f"{running} and attributes.start_time < {before} and tags.`{identity.KEY_TAG}` LIKE '%'"
    for run in client.search_runs([parent.experiment], old):
        if run.info.run_id not in at_work:
            client.set_terminated(run.info.run_id, "KILLED")


def _say_what_is_new(parent: RunWriter, locked: LockedState, dataset_root: str) -> None:
    """Describe the run by what differs from the one recorded before; name it so where no parameter was changed."""
    client = parent.client
    recorded = client.search_runs(
        [parent.experiment], f"tags.`{identity.STATE_TAG}` LIKE '%'", max_results=1, order_by=["start_time DESC"]
    )
    if not recorded:
        return
    (before,) = recorded
    stages = identity.runs_with(client, parent.experiment, {identity.PARENT_TAG: before.info.run_id})
    outs = {run.data.tags.get(identity.STAGE_TAG): run.data.tags.get(_OUTS_TAG) for run in reversed(stages)}
    new = ["dataset"] if before.data.tags.get("aiprod.dataset_root") != dataset_root else []
    new += [
        stage.removeprefix("train_")
        for stage, entry in locked.stages.items()
        if stage.startswith("train_") and outs.get(stage) != digest_of(entry["outs"])
    ]
    words = f"new {', '.join(new)}" if new else "same data and models"
    known = client.get_run(parent.run)
    note = known.data.tags.get(identity.NOTE_TAG, "")
    client.set_tag(parent.run, identity.NOTE_TAG, f"{note}\n\nAfter the run {before.info.run_name}: {words}.".strip())
    if ": " not in str(known.info.run_name):
        client.set_tag(parent.run, "mlflow.runName", f"{known.info.run_name}: {words}"[: identity.NAME_MAX])


def _complete_stage(parent: RunWriter, stage: str, entry: dict[str, Any], figures: dict[str, float]) -> str:
    """Final figures for the stage's run; where nothing was left to train, its curves, and the run itself if need be.

    Returns:
        The id of the stage's run.
    """
    client, experiment, outs = parent.client, parent.experiment, digest_of(entry["outs"])
    below = {identity.PARENT_TAG: parent.run, identity.STAGE_TAG: stage}
    live = [
        r
        for r in identity.runs_with(client, experiment, below)
        if r.info.status == "FINISHED" or _RESTORED_TAG in r.data.tags
    ]
    curve = Path("reports") / stage.removeprefix("train_") / "curve.csv"
    if live:
        writer = RunWriter(client, experiment, str(live[0].info.run_id))
        phases = identity.runs_with(client, experiment, {identity.PARENT_TAG: writer.run})
        if not phases and "loss" not in live[0].data.metrics:  # it ran, and all its steps had been made before
            client.set_tag(writer.run, _RESTORED_TAG, "true")
            curves.log_curve(writer, curve)
    else:
        tags = {**below, **identity.experiment_tags(), _RESTORED_TAG: "true"}
        runs = [
            r
            for r in identity.runs_with(client, experiment, {identity.STAGE_TAG: stage, _OUTS_TAG: outs})
            if _RESTORED_TAG not in r.data.tags
        ]
        if runs:
            tags["aiprod.trained_in"] = str(runs[0].info.run_id)
        run = client.create_run(experiment, run_name=stage, tags=tags)
        writer = RunWriter(client, experiment, str(run.info.run_id))
        writer.params(identity.flat(entry["params"]))
        curves.log_curve(writer, curve)
    client.set_tag(writer.run, _OUTS_TAG, outs)
    writer.figures({f"final/{k}": v for k, v in figures.items()})
    if not live or live[0].info.status != "FINISHED":  # what ran has its own end
        client.set_terminated(writer.run, "FINISHED")
    return writer.run


def _remembered(fingerprint: str, key: str) -> dict[str, Any] | None:
    """What we recorded before, if the local database still has it: spares loading MLflow when nothing changed."""
    note, database = _note(fingerprint, key), state().mlflow_database
    if os.environ.get("MLFLOW_TRACKING_URI") or not note.is_file() or not database.is_file():
        return None
    known: dict[str, Any] = read_json(note)
    try:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10)) as connection:
            query = "select 1 from runs where run_uuid = ? and lifecycle_stage = 'active'"
            return known if connection.execute(query, (known["run"],)).fetchone() else None
    except sqlite3.Error:
        return None


def _note(fingerprint: str, key: str) -> Path:
    return state().cache("track") / f"{digest_of([fingerprint, key, tracking_uri(), experiment_name()])}.json"
