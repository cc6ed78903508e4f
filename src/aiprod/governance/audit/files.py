"""Every file that is vouched for somewhere, hashed again: outputs, training checkpoints, versions, certificates.

Outputs are compared with dvc.lock, checkpoints of training with the digests they were written with, published versions
with the log, certificates of erasures with their signature. What ``aiprod lineage`` checks for one thing, this checks
for all.
"""

from __future__ import annotations

from pathlib import Path

from aiprod.base.errors import AiprodError
from aiprod.base.files import read_json, sha256_file
from aiprod.base.state import state
from aiprod.base.tombstones import FOLDER as ERASURES
from aiprod.governance.audit.log import AuditLog
from aiprod.governance.dataset_version import PUBLISHED, published
from aiprod.governance.erasure import certificate
from aiprod.governance.lockfile import Expectation, Lock, verify

_DIGESTS = "digests.json"  # of ``aiprod.trainer.checkpoints``, whose module would load torch


def verify_files(root: Path, log: AuditLog) -> tuple[int, list[str]]:
    """Number of files read, and what is not as it was recorded, one sentence each."""
    problems: list[str] = []
    count = 0
    for part in (_outputs(root), _checkpoints(state().root / "training"), _versions(root, log), _erasures(root, log)):
        count += part[0]
        problems += part[1]
    return count, problems


def _outputs(root: Path) -> tuple[int, list[str]]:
    if not (root / "dvc.lock").is_file():
        return 0, []
    lock, expected, problems = Lock(root), list[Expectation](), list[str]()
    for out in lock.outs:
        items, found = lock.expectations(out)
        expected += items
        problems += map(str, found)
    return len(expected), [*problems, *map(str, verify(root, expected))]


def _checkpoints(training: Path) -> tuple[int, list[str]]:
    count, problems = 0, list[str]()
    for folder in sorted(p for p in training.glob("*/*/step_*") if p.is_dir()):
        name = folder.relative_to(training).as_posix()
        try:
            digests = read_json(folder / _DIGESTS)
            for file, digest in digests.items():
                count += 1
                if sha256_file(folder / file) != digest:
                    problems.append(f"training checkpoint {name}: {file} is not what was written")
        except (AiprodError, OSError, AttributeError):
            problems.append(f"training checkpoint {name}: its {_DIGESTS} is damaged, or a file is missing")
    return count, problems


def _versions(root: Path, log: AuditLog) -> tuple[int, list[str]]:
    try:
        known = {f"dataset/{entry.version}": entry for entry in published(root)}
    except AiprodError as error:
        return 1, [error.what]
    problems = []
    for leaf in log.entries():
        entry = known.get(leaf.value["subject"])
        if entry is None or "entry" not in leaf.value["committed"]:
            continue
        if log.opens(leaf, "entry", entry.model_dump(mode="json")) is False:
            problems.append(f"{PUBLISHED / entry.version}.json is not what was published")
    return len(known), problems


def _erasures(root: Path, log: AuditLog) -> tuple[int, list[str]]:
    problems, paths = list[str](), sorted((root / ERASURES).glob("2*.json"))
    for path in paths:
        try:
            found = certificate.verify(root, path, log=log).problems
        except AiprodError as error:
            found = [error.what]
        problems += [f"{ERASURES / path.name}: {line}" for line in found]
    return len(paths), problems
