"""A workspace as it was at a git revision or in an experiment: git's files, and links to DVC's cache for all outputs.

Nothing is checked out and nothing of the present workspace is touched. What the local cache lacks is missing here too,
and whoever hashes says so; ``dvc fetch`` brings it.
"""

from __future__ import annotations

import io
import shutil
import tarfile
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from aiprod.base.files import contained
from aiprod.errors import AiprodError
from aiprod.repo.dvc import cache_folder, main_repository_of, object_path, uncached_outputs
from aiprod.repo.dvc_lock import Lock
from aiprod.repo.git import git, git_text

_FROM_GIT = (
    "dvc.yaml",
    "dvc.lock",
    "params.yaml",
    "datasets/sources.yaml",
    "datasets/versions",
    "datasets/audit",
    "metrics",
)


# What DVC names experiments by: two folders of hash, then the name. It keeps notes of its own beside them.
_NAMED = ("refs/exps/??/*/*", "refs/heads", "refs/tags")


@contextmanager
def workspace_at(root: Path, revision: str, outs: Collection[str] | None = None) -> Iterator[Path]:
    """A read-only likeness of the workspace at ``root`` at a revision, an experiment's name or a tag.

    Args:
        outs: the outputs that are wanted; None: all.

    Raises:
        AiprodError: no such revision, or it holds no dvc.lock.
    """
    commit = commit_of(root, revision)
    home = main_repository_of(root) / ".dvc" / "tmp" / "revisions"
    home.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{commit[:12]}.", dir=home))
    try:
        _unpack(root, commit, folder)
        if not (folder / "dvc.lock").is_file():
            raise AiprodError(f"{revision} holds no dvc.lock", "give a commit made after `dvc repro`")
        _link_outputs(folder, outs)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def commit_of(root: Path, revision: str) -> str:
    """The commit that a revision, a tag, a branch or an experiment's name means.

    Raises:
        AiprodError: none.
    """
    answer = git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if answer:
        return answer.decode().strip()
    listed = git(root, "for-each-ref", "--format=%(refname) %(objectname)", "refs/exps") or b""
    for line in listed.decode().splitlines():
        name, commit = line.rsplit(" ", 1)
        if name.rsplit("/", 1)[-1] == revision:
            return commit
    raise AiprodError(
        f"{revision!r} is not a revision, tag or experiment here", "`git log`, `git tag` and `dvc exp show` list them"
    )


def revision_names(root: Path, most: int = 200) -> list[str]:
    """Experiments, branches and tags by name, the newest first."""
    listed = git_text(root, "for-each-ref", "--sort=-creatordate", "--format=%(refname)", *_NAMED).splitlines()
    names = (line.rsplit("/", 1)[-1] if line.startswith("refs/exps/") else line.split("/", 2)[2] for line in listed)
    return list(dict.fromkeys(names))[:most]


def _unpack(root: Path, commit: str, folder: Path) -> None:
    """git's own files of that commit that lineage reads."""
    there = git(root, "ls-tree", "--name-only", commit, "--", *_FROM_GIT) or b""
    names = there.decode().splitlines()
    data = git(root, "archive", "--format=tar", commit, "--", *names) if names else None
    if data is not None:
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            if hasattr(tarfile, "data_filter"):  # since Python 3.11.4; git packs no links out of a folder anyway
                archive.extraction_filter = staticmethod(tarfile.data_filter)
            archive.extractall(folder)  # noqa: S202 (filtered above; git wrote it)


def _link_outputs(folder: Path, wanted: Collection[str] | None) -> None:
    """A link into the cache for each file of each output that is wanted."""
    lock = Lock(folder)
    cache = cache_folder(main_repository_of(folder))
    for out, (_, md5) in lock.outs.items():
        if wanted is not None and out not in wanted:
            continue
        place = contained(folder, out)
        if not md5.endswith(".dir"):
            _link(cache, md5, place)
            continue
        place.mkdir(parents=True, exist_ok=True)
        for name, digest in (lock.listing(md5) or {}).items():
            _link(cache, digest, contained(place, name))


def missing_outputs(folder: Path) -> list[str]:
    """Outputs of a likeness whose bytes, or some of them, DVC's cache here does not hold."""
    lock, kept_by_git = Lock(folder), uncached_outputs(folder)
    missing = []
    for out, (_, md5) in lock.outs.items():
        if out in kept_by_git:
            continue
        names = (lock.listing(md5) if md5.endswith(".dir") else {"": md5}) if md5 else {}
        if names is None or not all((folder / out / name).exists() for name in names):
            missing.append(out)
    return missing


def _link(cache: Path, md5: str, place: Path) -> None:
    source = object_path(cache, md5)
    if source.is_file() and not place.exists():  # git's own file comes first
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(source.resolve())
