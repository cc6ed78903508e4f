"""Past states of the pipeline: what each committed dvc.lock names, read back from DVC's cache."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from aiprod.errors import AiprodError
from aiprod.repo.dvc import cache_folder, object_path
from aiprod.repo.dvc_lock import parse_lock
from aiprod.repo.git import git_text
from aiprod.repo.recorded_digests import recorded_digest


@dataclass(frozen=True)
class PipelineState:
    """One dvc.lock: the commits it stands in (newest first; ``working tree`` for the present one) and its outputs."""

    revisions: tuple[str, ...]
    outs: dict[str, str]  # path → md5


class History:
    """Every state that any ref or experiment of the repository reaches, the working tree first."""

    def __init__(self, root: Path, repository: Path) -> None:
        self.root, self.repository = root, repository
        self._cache = cache_folder(repository)

    @cached_property
    def states(self) -> list[PipelineState]:
        """Distinct states, newest first."""
        commits: dict[str, list[str]] = {}
        present = self.root / "dvc.lock"
        if present.is_file():
            commits[present.read_text(encoding="utf-8")] = ["working tree"]
        for revision in git_text(self.repository, "log", "--all", "--format=%H", "--", "dvc.lock").split():
            text = git_text(self.repository, "show", f"{revision}:dvc.lock")
            if text:
                commits.setdefault(text, []).append(revision)
        return [PipelineState(tuple(revisions), _outs(text)) for text, revisions in commits.items()]

    def listing(self, md5: str) -> dict[str, str]:
        """Relative path → md5 of a folder; empty where the cache does not hold its list."""
        try:
            entries = json.loads(self._object(md5).read_bytes())
            return {entry["relpath"]: entry["md5"] for entry in entries}
        except (OSError, ValueError, KeyError, TypeError):
            return {}

    def read_json(self, md5: str) -> Any:
        """A cached JSON file; None where it is not in the cache."""
        try:
            return json.loads(self._object(md5).read_bytes())
        except (OSError, ValueError):
            return None

    @contextmanager
    def folder(self, md5: str, wanted: tuple[str, ...], prefix: str = "") -> Iterator[Path | None]:
        """A manifest in a recorded folder, for as long as the block lasts; None if it is not in the cache."""
        listed = self.listing(md5)
        with tempfile.TemporaryDirectory() as place:
            for name in wanted:
                digest = listed.get(prefix + name)
                if digest is not None and self._object(digest).is_file():
                    shutil.copyfile(self._object(digest), Path(place) / name)
            yield Path(place) if (Path(place) / "manifest.parquet").is_file() else None

    def cached(self, md5: str | None) -> Path | None:
        """The object of a digest in the cache, to be read; None where it is not there."""
        path = self._object(md5) if md5 else None
        return path if path is not None and path.is_file() else None

    def _object(self, md5: str) -> Path:
        return object_path(self._cache, md5)


def _outs(text: str) -> dict[str, str]:
    try:
        stages = parse_lock(text)
    except AiprodError:  # a conflict that was committed, a format of long ago
        return {}
    return {out["path"]: recorded_digest(out) for stage in stages.values() for out in stage.get("outs", [])}
