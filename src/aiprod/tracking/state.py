"""What the trackers record: the parameters of the ``track`` stage, the locked state of the pipeline, its metrics."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, field_validator

from aiprod.base.files import digest_of, read_json
from aiprod.base.params import Params, load_params
from aiprod.base.structured import YAML_BYTES_MAX, read_bounded
from aiprod.base.yaml_file import read_yaml
from aiprod.errors import AiprodError
from aiprod.repo.dvc_lock import ALWAYS_RUN, parse_lock
from aiprod.repo.recorded_digests import is_lost, listing_digest, md5_file, recorded_digest
from aiprod.tracking import identity

Below = Annotated[str, Field(pattern=r"^[^/\s]", description="a path or pattern below the workspace")]


class TrackParams(Params):
    """What is logged to experiment trackers, and to which."""

    trackers: list[str] = ["mlflow"]
    registered_model: str = Field(default="aiprod-diffusion", pattern=r"^[^/:.\s][^/:]*$")
    alias: str = Field(default="newest", pattern=r"^[A-Za-z0-9_-]+$")
    dataset: str = Field(default="datasets/v1/latents", min_length=1)
    model: str = Field(default="models/diffusion", min_length=1)
    pictures: list[Below] = ["reports/*/*.png", "reports/*_vae/*.mp4", "reports/film/*.mp4"]
    folders: list[Below] = ["reports/samples", "reports/diffusion/phases", "reports/dossier"]

    @field_validator("alias")
    @classmethod
    def _not_taken(cls, alias: str) -> str:
        if alias.lower() == "latest" or re.fullmatch(r"v\d+", alias.lower()):
            raise ValueError("is a name that MLflow keeps for itself → give another, such as 'newest'")
        return alias


def track_params() -> TrackParams:
    """The ``track`` section of params.yaml; the defaults where there is no such file or section."""
    try:
        known = Path("params.yaml").is_file() and "track" in (read_yaml("params.yaml") or {})
    except (AiprodError, TypeError):
        known = False
    return load_params(TrackParams, "track") if known else TrackParams()


@dataclass(frozen=True)
class LockedState:
    """What dvc.lock says the stages used and made; code is left out, for an edited comment changes no output.

    Attributes:
        stages: per stage its ``params`` (by section) and ``outs`` (path → md5).
    """

    stages: dict[str, dict[str, Any]]

    @classmethod
    def read(cls, path: Path | str = "dvc.lock") -> LockedState:
        """Read a lock file. An output that a lost push left unrecorded is told apart by the files in its place."""
        stages: dict[str, dict[str, Any]] = {}
        for name, entry in parse_lock(read_bounded(path, YAML_BYTES_MAX)).items():
            if name not in ALWAYS_RUN:
                params = {k: v for section in entry.get("params", {}).values() for k, v in section.items()}
                stages[name] = {
                    "params": params,
                    "outs": {o["path"]: _digest(o, Path(path).parent) for o in entry.get("outs", [])},
                }
        return cls(stages)

    @property
    def digest(self) -> str:
        """SHA-256 of the state."""
        return digest_of(self.stages)

    def md5(self, path: str) -> str:
        """DVC's digest of an output; empty where there is none."""
        return next((str(s["outs"][path]) for s in self.stages.values() if path in s["outs"]), "")


def _digest(entry: dict[str, Any], root: Path) -> str:
    place = root / str(entry["path"])
    if not is_lost(entry) or not place.is_dir():
        return recorded_digest(entry)
    names = sorted(p.relative_to(place).as_posix() for p in place.rglob("*") if p.is_file())
    return listing_digest({name: md5_file(place / name) for name in names})


def metrics_of(root: Path) -> dict[str, dict[str, float]]:
    """The figures in ``reports/<name>/metrics.json`` by name, nested ones with dotted keys, numbers only."""
    result: dict[str, dict[str, float]] = {}
    for path in sorted(root.glob("reports/*/metrics.json")):
        values = identity.flat(read_json(path))
        result[path.parent.name] = {
            k: float(v) for k, v in values.items() if isinstance(v, bool | int | float) and math.isfinite(v)
        }
    return result
