"""What differs between two states of the dataset: a published version, a git revision, an experiment or a folder."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from aiprod.errors import AiprodError
from aiprod.governance.dataset import records as where
from aiprod.governance.dataset.records import Records
from aiprod.governance.dataset.version import (
    DatasetVersion,
    VersionRow,
    describe,
    published,
    row_digests,
    version_rows,
)
from aiprod.repo.dvc_lock import Lock
from aiprod.repo.revisions import workspace_at
from aiprod.storage.manifest.manifest import HEAD


@dataclass(frozen=True)
class Side:
    """One state. ``rows`` and ``record`` are absent for a published version, of which git keeps digests only."""

    name: str
    merkle_root: str
    digests: dict[str, str]
    rows: dict[str, VersionRow] | None = None
    record: DatasetVersion | None = None


@dataclass(frozen=True)
class Difference:
    """From ``old`` to ``new``; ids are opaque, and ``fields`` says which parts of a changed row differ."""

    old: str
    new: str
    old_root: str
    new_root: str
    added: list[str]
    removed: list[str]
    changed: list[str]
    fields: dict[str, dict[str, list[Any]]]
    kind: str

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def side(root: Path, name: str) -> Side:
    """The state that a name means: ``workspace``, a published version, a folder, else a git revision.

    Raises:
        AiprodError: it means none of these, or holds no dataset.
    """
    for entry in published(root):
        if name in (entry.version, f"v{entry.version}"):
            return Side(name, entry.merkle_root, entry.digests)
    if name == "workspace":
        return _of_folder(root, name)
    if Path(name).is_dir():
        return _of_folder(_workspace_of(Path(name).resolve()), name)
    with workspace_at(root, name) as folder:
        return _of_folder(folder, name)


def compare(old: Side, new: Side) -> Difference:
    """Rows added, removed and changed, and what kind of version that makes."""
    added, removed = sorted(set(new.digests) - set(old.digests)), sorted(set(old.digests) - set(new.digests))
    changed = sorted(n for n in old.digests if n in new.digests and old.digests[n] != new.digests[n])
    fields: dict[str, dict[str, list[Any]]] = {}
    if old.rows is not None and new.rows is not None:
        for name in changed:
            before, after = old.rows[name].model_dump(mode="json"), new.rows[name].model_dump(mode="json")
            fields[name] = {key: [before[key], after[key]] for key in before if before[key] != after[key]}
    kind = "major" if removed else "minor" if added else "patch" if changed else "none"
    return Difference(old.name, new.name, old.merkle_root, new.merkle_root, added, removed, changed, fields, kind)


def _of_folder(root: Path, name: str) -> Side:
    # By dvc.lock's digests where there are some: rows of an older schema cannot be hashed with the models of today.
    facts = Records(root, lock=Lock(root) if (root / "dvc.lock").is_file() else None)
    rows = version_rows(facts)
    if not rows:
        raise AiprodError(f"{name} holds no dataset", "run `dvc repro` there, or `dvc fetch` for a past revision")
    merkle, digests = row_digests(rows)
    return Side(name, merkle, digests, {row.row_id: row for row in rows}, describe(facts))


def _workspace_of(folder: Path) -> Path:
    """The workspace that a folder is, or whose ``datasets/v1`` it is."""
    for candidate in (folder, *folder.parents[:2]):
        if (candidate / where.CLIPS / HEAD).is_file():
            return candidate
    return folder
