"""Writes to one MLflow run: parameters, figures, files, dataset, model version; calls may be repeated."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow import MlflowClient


@dataclass(frozen=True)
class RunWriter:
    """One run of one experiment.

    Args:
        client: from ``store.connect``.
        experiment: id of the experiment.
        run: id of the run.
    """

    client: MlflowClient
    experiment: str
    run: str

    def params(self, values: Mapping[str, Any]) -> None:
        """Log parameters that the run does not have yet (MLflow fixes a parameter at its first value)."""
        from mlflow.entities import Param

        have = self.client.get_run(self.run).data.params
        new = [Param(name, str(value)[:6000]) for name, value in values.items() if name not in have]
        for batch in batches(new, 100):
            self.client.log_batch(self.run, params=batch)

    def figures(self, values: Mapping[str, float]) -> None:
        """Log final figures, except those that already stand there with this value."""
        have = self.client.get_run(self.run).data.metrics
        self.points([(name, value, 0) for name, value in values.items() if have.get(name) != value])

    def points(self, values: Sequence[tuple[str, float, int]]) -> None:
        """Log (name, value, step)."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        for batch in batches([Metric(name, value, now, step) for name, value, step in values], 900):
            self.client.log_batch(self.run, metrics=batch)

    def files(self, pictures: Sequence[Path], folders: Sequence[Path]) -> None:
        """Keep dvc.lock, the parameters, pictures under the name of their folder, and whole folders."""
        for name in ("dvc.lock", "params.yaml"):
            if Path(name).is_file():
                self.client.log_artifact(self.run, name)
        for path in pictures:
            self.client.log_artifact(self.run, str(path), path.parent.name)
        for folder in folders:
            if folder.is_dir():
                self.client.log_artifacts(self.run, str(folder), folder.name)

    def dataset(self, path: str, md5: str, head: Mapping[str, Any]) -> None:
        """Log the dataset as an input. MLflow's digest holds 36 characters: DVC's md5 fits, a SHA-256 does not."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        source = json.dumps({"path": path, "merkle_root": head.get("merkle_root")}, sort_keys=True)
        profile = json.dumps({"rows": head.get("rows"), "counts": head.get("counts")}, sort_keys=True)
        dataset = Dataset(name=path, digest=md5[:36], source_type="dvc", source=source, profile=profile)
        tag = InputTag("mlflow.data.context", "training")
        self.client.log_inputs(self.run, datasets=[DatasetInput(dataset, [tag])])

    def links(self, model: str, runs: Sequence[str], figures: Mapping[str, float]) -> None:
        """Name a logged model as the output of these runs, and log figures that belong to it."""
        from mlflow.entities import LoggedModelOutput, Metric

        for run in runs:
            known = self.client.get_run(run).outputs
            if model not in [output.model_id for output in (known.model_outputs if known else [])]:
                self.client.log_outputs(run, [LoggedModelOutput(model, 0)])
        have = {metric.key for metric in self.client.get_logged_model(model).metrics or []}
        now = int(time.time() * 1000)
        new = [Metric(n, v, now, 0, model_id=model) for n, v in figures.items() if n not in have]
        for batch in batches(new, 900):
            self.client.log_batch(self.run, metrics=batch)

    def model_version(self, name: str, alias: str, md5: str, tags: Mapping[str, str]) -> tuple[str, str | None]:
        """Register a model by its bytes (the same bytes are one version) and point ``alias`` at it.

        Returns:
            The version, and the id of its logged model.
        """
        from mlflow.entities import LoggedModelStatus
        from mlflow.exceptions import MlflowException

        client = self.client
        try:
            client.create_registered_model(name, description="Text-to-audio-video model of this repository")
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        same = [v for v in client.search_model_versions(f"name = '{name}'") if v.tags.get("dvc.md5") == md5]
        if same:
            # What a search finds has no `model_id` in the stores of some releases; its source names the model too.
            version, model_id = str(same[0].version), same[0].model_id or str(same[0].source).removeprefix("models:/")
        else:
            every = {"dvc.md5": md5, **tags}
            model = client.create_logged_model(
                self.experiment, name=name, source_run_id=self.run, tags=every, model_type="text-to-audio-video"
            )
            client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
            model_id = model.model_id
            version = str(
                client.create_model_version(
                    name, source=f"models:/{model.model_id}", run_id=self.run, model_id=model.model_id, tags=every
                ).version
            )
        client.set_registered_model_alias(name, alias, version)
        return version, str(model_id) if model_id else None


def batches(items: Sequence[Any], size: int) -> Iterator[list[Any]]:
    """Consecutive parts of at most ``size`` items; MLflow bounds what one call may carry."""
    for start in range(0, len(items), size):
        yield list(items[start : start + size])
