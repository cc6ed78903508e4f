"""A run as an in-toto statement with SLSA provenance 1: what was made, from what, with which parameters and code.

The statement claims what dvc.lock records and what lies on disk. Nobody attests that the builder was isolated, so it
claims no SLSA build level, and it holds no times, which dvc.lock does not know.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from aiprod.base.addresses import WHERE_SECRETS_GO, secret_in
from aiprod.base.files import sha256_file
from aiprod.errors import AiprodError
from aiprod.governance.dataset.records import Records
from aiprod.repo.dvc_lock import ALWAYS_RUN, Lock
from aiprod.repo.git import head_commit
from aiprod.repo.recorded_digests import recorded_digest

STATEMENT, PREDICATE = "https://in-toto.io/Statement/v1", "https://slsa.dev/provenance/v1"
BUILD_TYPE = "https://dvc.org/doc/user-guide/pipelines/running-pipelines"
BUILDER = "urn:aiprod:builder:dvc-repro"
_MADE = ("models", "reports/samples", "reports/film")
_DISTRIBUTIONS = ("aiprod", "dvc")


def slsa(facts: Records, _top: str = "") -> str:
    """The statement as JSON.

    Raises:
        AiprodError: there is no dvc.lock, nothing was made, or a parameter holds a secret.
    """
    lock = Lock(facts.root)
    subject = [_file(facts.root, path) for path in _subjects(facts.root, lock)]
    if not subject:
        raise AiprodError("no model was made whose provenance could be told", "run `dvc repro` first")
    statement = {
        "_type": STATEMENT,
        "subject": subject,
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {"stages": _parameters(lock)},
                "internalParameters": {"code": _code(lock)},
                "resolvedDependencies": _dependencies(facts.root, lock),
            },
            "runDetails": {
                "builder": {"id": BUILDER, "version": {name: metadata.version(name) for name in _DISTRIBUTIONS}},
                "metadata": {"invocationId": f"sha256:{sha256_file(facts.root / 'dvc.lock')}"},
                "byproducts": [_file(facts.root, "dvc.lock")],
            },
        },
    }
    return json.dumps(statement, indent=1, ensure_ascii=False) + "\n"


def _subjects(root: Path, lock: Lock) -> list[str]:
    """Files of the outputs that somebody would be given, below the workspace."""
    products = []
    for out in lock.outs:
        if out.startswith(_MADE):
            place = root / out
            files = [place] if place.is_file() else sorted(p for p in place.rglob("*") if p.is_file())
            products += [path.relative_to(root).as_posix() for path in files]
    return products


def _file(root: Path, path: str) -> dict[str, Any]:
    return {"name": path, "digest": {"sha256": sha256_file(root / path)}}


def _parameters(lock: Lock) -> dict[str, Any]:
    parameters: dict[str, Any] = {}
    for name, stage in lock.stages.items():
        if name not in ALWAYS_RUN:
            params = dict(stage.get("params", {}).get("params.yaml", {}))
            if kind := next(filter(None, map(secret_in, _texts(params))), None):
                raise AiprodError(f"the parameters of {name} hold {kind}, which would be told", WHERE_SECRETS_GO)
            parameters[name] = {"command": str(stage.get("cmd", "")), "parameters": params}
    return parameters


def _texts(value: Any) -> Iterator[str]:
    """Every text in nested values."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)


def _code(lock: Lock) -> dict[str, Any]:
    """The digest of each stage's code, as dvc.lock has it."""
    digests = {}
    for name, stage in lock.stages.items():
        for file, values in stage.get("params", {}).items():
            if file != "params.yaml" and isinstance(values, dict):
                digests[name] = values
    return digests


def _dependencies(root: Path, lock: Lock) -> list[dict[str, Any]]:
    """What was put in: the commit, and every file or folder that a stage read and none made, by DVC's MD5."""
    commit = head_commit(root)
    dependencies = [{"name": "repository", "digest": {"gitCommit": commit}}] if commit else []
    read: dict[str, str] = {}
    for stage in lock.stages.values():
        for entry in stage.get("deps", []):
            path = str(entry["path"])
            if lock.owner(path) is None and not any(out.startswith(f"{path}/") for out in lock.outs):
                read[path] = recorded_digest(entry)
    return dependencies + [{"name": path, "digest": _dvc_digest(md5)} for path, md5 in sorted(read.items()) if md5]


def _dvc_digest(md5: str) -> dict[str, str]:
    """A folder's digest is the MD5 of DVC's listing of it, which no other program computes."""
    return {"dvcDir": md5.removesuffix(".dir")} if md5.endswith(".dir") else {"md5": md5}
