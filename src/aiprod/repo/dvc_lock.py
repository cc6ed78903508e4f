"""What dvc.lock claims about the files of a workspace, and whether their bytes agree."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiprod.base.opening import open_file
from aiprod.base.structured import YAML_BYTES_MAX, parse_json, parse_yaml, read_bounded
from aiprod.errors import AiprodError
from aiprod.repo.dvc import cache_folder, main_repository_of, object_path
from aiprod.repo.recorded_digests import is_lost, listed_files, listing_digest, recorded_digest
from aiprod.storage.clip_store import stored_sha256

ALWAYS_RUN = frozenset({"scan", "track"})
"""Stages that run every time, and whose entries say nothing of what the pipeline made."""


@dataclass(frozen=True)
class Mismatch:
    """A file whose bytes are not what was recorded."""

    path: str
    what: str

    def __str__(self) -> str:
        return f"{self.path}: {self.what}"


@dataclass(frozen=True)
class Expectation:
    """What one file should be: ``md5`` by dvc.lock, ``sha256`` by a manifest; either may be unknown."""

    path: str
    md5: str | None = None
    sha256: str | None = None


class Lock:
    """dvc.lock of the workspace at ``root``.

    Raises:
        AiprodError: there is none.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        if not (root / "dvc.lock").is_file():
            raise AiprodError(f"{root / 'dvc.lock'} does not exist", "run `dvc repro` first")
        self._listings: dict[str, dict[str, str] | None] = {}
        self.stages = parse_lock(read_bounded(root / "dvc.lock", YAML_BYTES_MAX))
        self.outs: dict[str, tuple[str, str]] = {}
        for name, stage in self.stages.items():
            for entry in (*stage.get("deps", []), *stage.get("outs", [])):
                files = listed_files(entry)
                if files:
                    self._listings[recorded_digest(entry)] = files
            self.outs |= {out["path"]: (name, recorded_digest(out)) for out in stage.get("outs", [])}
        self.lost = [o["path"] for stage in self.stages.values() for o in stage.get("outs", []) if is_lost(o)]

    def owner(self, path: str) -> str | None:
        """The output that ``path`` is or is in."""
        parts = Path(path).parts
        candidates = ("/".join(parts[:n]) for n in range(len(parts), 0, -1))
        return next((c for c in candidates if c in self.outs), None)

    def stage_of(self, path: str) -> str | None:
        """The stage that made ``path``."""
        owner = self.owner(path)
        return self.outs[owner][0] if owner else None

    def upstream(self, stage: str) -> list[str]:
        """The stage and all it depends on, in the order of the pipeline."""
        stages: set[str] = set()
        waiting = [stage]
        while waiting:
            name = waiting.pop()
            if name in stages or name not in self.stages:
                continue
            stages.add(name)
            waiting += [s for d in self.stages[name].get("deps", []) if (s := self.stage_of(d["path"])) is not None]
        return [name for name in self.stages if name in stages]

    def listing(self, md5: str) -> dict[str, str] | None:
        """Relative path → md5 of a recorded folder, from DVC's cache; None when the cache does not hold it."""
        if md5 not in self._listings:
            self._listings[md5] = self._read_listing(md5)
        return self._listings[md5]

    def md5_of(self, path: str) -> str | None:
        """The md5 that is recorded for a file; None when none is, or the cache lacks the list of its folder."""
        owner = self.owner(path)
        if owner is None:
            return None
        md5 = self.outs[owner][1]
        if not md5.endswith(".dir"):
            return md5 if owner == path else None
        return (self.listing(md5) or {}).get(path[len(owner) + 1 :])

    def _read_listing(self, md5: str) -> dict[str, str] | None:
        digest = md5.removesuffix(".dir")
        place = object_path(cache_folder(main_repository_of(self.root)), md5)
        try:
            data = place.read_bytes()
        except OSError:
            return None
        if hashlib.md5(data, usedforsecurity=False).hexdigest() != digest:
            return None
        try:
            return {str(entry["relpath"]): str(entry["md5"]) for entry in parse_json(data)}
        except (AiprodError, KeyError, TypeError):  # its name is its MD5, so DVC never wrote this
            return None

    def expectations(self, out: str) -> tuple[list[Expectation], list[Mismatch]]:
        """What each file of an output should be, and what can be said without reading bytes (missing, foreign)."""
        md5 = self.outs[out][1]
        place = self.root / out
        if out in self.lost:
            return [], [Mismatch(out, "dvc.lock does not say what it holds: a push left its list of files empty")]
        if not md5.endswith(".dir"):
            return [Expectation(out, md5=md5 or None)], []
        present = {p.relative_to(place).as_posix() for p in place.rglob("*") if p.is_file()}
        listing = self.listing(md5)
        if listing is None:
            if not present:
                return [], [Mismatch(out, "the folder is missing")]
            whole = folder_md5(place, sorted(present))
            return [], [] if whole == md5 else [Mismatch(out, f"the folder has md5 {whole}, dvc.lock says {md5}")]
        foreign = [Mismatch(f"{out}/{name}", "is not recorded in dvc.lock") for name in sorted(present - set(listing))]
        return [Expectation(f"{out}/{name}", md5=digest) for name, digest in sorted(listing.items())], foreign


def parse_lock(text: bytes | str) -> dict[str, dict[str, Any]]:
    """The stages of a lock file, every entry with its digest as ``md5``, in whichever form DVC wrote it.

    Raises:
        AiprodError: not YAML, or not as DVC writes it.
    """
    content = parse_yaml(text, "dvc.lock", hint="restore it from git")
    stages = content.get("stages") or {} if isinstance(content, dict) else {} if content is None else None
    if not isinstance(stages, dict):
        raise AiprodError("dvc.lock lists no stages", "restore it from git")
    for name, stage in stages.items():
        parts = [stage.get("deps", []), stage.get("outs", [])] if isinstance(stage, dict) else [None]
        for part in parts:
            if not isinstance(part, list) or not all(map(_has_path, part)):
                raise AiprodError(f"dvc.lock: stage {name} is not as DVC writes it", "restore it from git")
            for entry in part:
                if digest := recorded_digest(entry):
                    entry["md5"] = digest
    return stages


def _has_path(entry: Any) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("path"), str)


def verify(root: Path, expected: Iterable[Expectation]) -> list[Mismatch]:
    """Read every expected file once and compare. Files are hashed in threads (hashing releases the interpreter)."""
    merged: dict[str, Expectation] = {}
    for item in expected:
        before = merged.get(item.path, item)
        if None not in (before.sha256, item.sha256) and before.sha256 != item.sha256:
            return [Mismatch(item.path, f"two manifests disagree: {before.sha256} and {item.sha256}")]
        merged[item.path] = Expectation(item.path, item.md5 or before.md5, item.sha256 or before.sha256)
    with ThreadPoolExecutor(max_workers=2) as pool:
        results = pool.map(lambda item: _check(root, item), [merged[path] for path in sorted(merged)])
        return [mismatch for mismatch in results if mismatch is not None]


def _check(root: Path, item: Expectation) -> Mismatch | None:
    try:
        md5, sha256 = hashes(root / item.path)
    except OSError:
        return _check_packed(root, item)
    if item.md5 is not None and md5 != item.md5:
        return Mismatch(item.path, f"its bytes have md5 {md5}, dvc.lock says {item.md5}")
    if item.sha256 is not None and sha256 != item.sha256:
        return Mismatch(item.path, f"its bytes have SHA-256 {sha256}, its manifest says {item.sha256}")
    return None


def _check_packed(root: Path, item: Expectation) -> Mismatch | None:
    """An object that dvc.lock does not list may be in a shard, which it lists."""
    try:
        sha256 = stored_sha256(root / item.path) if item.md5 is None else None
    except OSError:
        sha256 = None
    except AiprodError as error:
        return Mismatch(item.path, error.what)
    if sha256 is None:
        return Mismatch(item.path, "the file is missing")
    if item.sha256 is not None and sha256 != item.sha256:
        return Mismatch(item.path, f"its bytes have SHA-256 {sha256}, its manifest says {item.sha256}")
    return None


def hashes(path: Path) -> tuple[str, str]:
    """MD5 (DVC's) and SHA-256 (the manifests') of a file, in one pass."""
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    with open_file(path) as file:
        while chunk := file.read(1 << 20):
            md5.update(chunk)
            sha256.update(chunk)
    return md5.hexdigest(), sha256.hexdigest()


def folder_md5(place: Path, names: Iterable[str]) -> str:
    """DVC's digest of a folder: MD5 over the JSON list of its files' digests, sorted by relative path."""
    return listing_digest({name: hashes(place / name)[0] for name in names})
