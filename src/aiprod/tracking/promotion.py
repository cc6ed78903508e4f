"""Aliases of model versions in MLflow's registry, set for the model that the workspace holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiprod.errors import AiprodError
from aiprod.tracking.state import LockedState, TrackParams
from aiprod.tracking.store import connect, first_line

if TYPE_CHECKING:
    from mlflow import MlflowClient


@dataclass(frozen=True)
class RegisteredVersion:
    """A version of the registered model.

    Attributes:
        held_by: the version that has the alias now, where there is one.
    """

    name: str
    number: str
    run: str
    md5: str
    held_by: str | None


class Registry:
    """MLflow's registry of models.

    Raises:
        AiprodError: the tracking store cannot be reached.
    """

    def __init__(self, params: TrackParams, locked: LockedState) -> None:
        self.params, self.locked = params, locked
        self.client: MlflowClient = self._ask(lambda: connect()[0])

    def version(self, alias: str, wanted: str | None = None) -> RegisteredVersion:
        """The version that is the model of the workspace.

        Args:
            alias: that it is to bear.
            wanted: number, alias or name of the run of a version; None for the one of the workspace.

        Raises:
            AiprodError: none is registered, or the one that is wanted is another model than the workspace holds.
        """
        name, md5 = self.params.registered_model, self.locked.md5(self.params.model)
        versions = self._ask(lambda: list(self.client.search_model_versions(f"name = '{name}'")))
        runs = {str(v.version): self._run_name(str(v.run_id or "")) for v in versions}
        aliases = dict(self._ask(lambda: self.client.get_registered_model(name)).aliases) if versions else {}
        here = [v for v in versions if v.tags.get("dvc.md5") == md5]
        if wanted is not None:
            matching = {str(v.version) for v in versions if wanted in (str(v.version), runs[str(v.version)])}
            matching |= {str(number) for known_alias, number in aliases.items() if known_alias == wanted}
            if not matching:
                known = ", ".join(f"{number} ({run})" for number, run in sorted(runs.items())) or "none"
                raise AiprodError(f"{name} has no version {wanted!r}", f"there are {known}")
            here = [v for v in here if str(v.version) in matching]
            if not here:
                raise AiprodError(
                    f"{name} {wanted} is another model than this workspace holds, so its gate cannot be checked here",
                    "`dvc exp apply NAME`, or check out its commit and `dvc checkout`, then promote again",
                )
        if not here:
            raise AiprodError(f"this model is not registered as {name}", "`dvc repro` records it (stage track)")
        chosen = here[0]
        current = aliases.get(alias)
        number = str(chosen.version)
        return RegisteredVersion(name, number, runs[number], md5, str(current) if current is not None else None)

    def has(self, version: RegisteredVersion, alias: str) -> bool:
        """Whether a version bears an alias."""
        aliases = self._ask(lambda: self.client.get_registered_model(version.name)).aliases
        return str(aliases.get(alias)) == version.number

    def promote(self, version: RegisteredVersion, alias: str) -> None:
        """Let the version bear the alias, in place of any other."""
        self._ask(lambda: self.client.set_registered_model_alias(version.name, alias, version.number))

    def _run_name(self, run: str) -> str:
        return str(self._ask(lambda: self.client.get_run(run)).info.run_name) if run else "no run"

    @staticmethod
    def _ask(call: Any) -> Any:
        try:
            return call()
        except AiprodError:
            raise
        except Exception as error:
            what = f"MLflow cannot be asked ({first_line(error)})"
            raise AiprodError(what, "see `aiprod doctor`; MLFLOW_TRACKING_URI names the store") from None
