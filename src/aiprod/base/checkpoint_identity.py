"""What identifies a checkpoint: the bytes of a folder's files, or a hub's name with the commit that was meant."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from aiprod.base.files import sha256_file
from aiprod.errors import AiprodError

_COMMIT = re.compile(r"[0-9a-f]{40}")


def pinned(checkpoint: str, revision: str, where: str) -> dict[str, Any]:
    """The values by which two checkpoints differ, for digests.

    Args:
        checkpoint: a folder, or a name on the hub.
        revision: of a hub name: its commit, 40 hex digits. A branch or tag can be moved to other weights unseen.
        where: the section of the parameters that names both, for the error.

    Raises:
        AiprodError: it is not a folder here, and no commit is named.
    """
    folder = Path(checkpoint)
    if folder.is_dir():
        files = sorted(p for p in folder.rglob("*") if p.is_file() and not p.name.startswith("."))
        return {"files": {p.relative_to(folder).as_posix(): sha256_file(p) for p in files}}
    if not _COMMIT.fullmatch(revision):
        lack = f"its revision {revision!r} can change" if revision else "it has no revision"
        raise AiprodError(
            f"{where}.checkpoint: {checkpoint!r} is not a folder here, and as a model id on the Hub {lack}",
            f"name a folder, or set {where}.revision to the commit (40 hex digits)",
        )
    return {"name": checkpoint, "revision": revision}
