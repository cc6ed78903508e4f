"""Lineage at a git revision, in an experiment or now: what the command and the desk look up."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from aiprod.errors import AiprodError
from aiprod.governance.lineage.lineage import Lineage
from aiprod.governance.lineage.signed_video import lineage_of
from aiprod.repo.revisions import missing_outputs, workspace_at

SHOWN = 9
"""Children of a node that are listed where not all are."""


@contextmanager
def lineage_at(
    root: Path, target: str, *, rev: str | None, at: str | None, rehash: bool, shown: int | None
) -> Iterator[tuple[Path, Lineage]]:
    """The workspace as it was at ``rev``, for as long as the block lasts, and the lineage of ``target`` there.

    Args:
        at, rehash, shown: as of :func:`aiprod.governance.lineage.signed_video.lineage_of`.

    Raises:
        AiprodError: no such revision, or nothing there is called that.
    """
    with nullcontext(root) if rev is None else workspace_at(root, rev) as there:
        name = target if rev is None else _relative(target, root, there)
        try:
            walked = lineage_of(there, name, at=at, rehash=rehash, shown=shown)
        except AiprodError:
            if rev is not None:
                _say_what_is_not_here(there, rev, target)
            raise
        yield there, walked


def _say_what_is_not_here(there: Path, rev: str, target: str) -> None:
    """Raise where ``target`` is unknown because DVC's cache lacks what that revision recorded.

    Raises:
        AiprodError: says so, and how to get it.
    """
    if absent := missing_outputs(there):
        raise AiprodError(
            f"{target} cannot be looked up at {rev}: DVC's cache here does not hold "
            f"{next((out for out in absent if target.startswith(out)), absent[0])} as it was then",
            f"`dvc fetch --all-commits` brings what was pushed; else make it again: "
            f"`git worktree add ../at-that-time {rev}` and `make repro` there",
        )


def _relative(target: str, root: Path, there: Path) -> str:
    """A path that the user gave from where they stand, as it is called from the top of the workspace ``there``."""
    full = Path(os.path.abspath(target))
    name = full.relative_to(root).as_posix() if full.is_relative_to(root) else target
    return name if (there / name).exists() else target
