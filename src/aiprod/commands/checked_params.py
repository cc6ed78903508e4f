"""Remembers that a parameter file was found good, for the models that check it load PyTorch, which takes seconds."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

from aiprod.base.files import digest_of, read_json, write_json
from aiprod.base.state import state
from aiprod.errors import AiprodError


def what_decides(path: Path) -> str:
    """Digest of the file and of the size and time of each module of this package.

    Checks and captioners that other packages add are not looked at: their stages refuse what is wrong.
    """
    package = Path(__file__).parents[1]
    stamps = sorted(
        (str(module.relative_to(package)), found.st_size, str(found.st_mtime_ns))
        for module in package.rglob("*.py")
        for found in [module.stat()]
    )
    return digest_of([hashlib.sha256(path.read_bytes()).hexdigest(), str(package), stamps])


def was_good(path: Path) -> bool:
    """Whether this code found this content good before."""
    try:
        return bool(read_json(_note())["good"] == what_decides(path))
    except (AiprodError, OSError, KeyError, TypeError):
        return False


def remember(decided_by: str) -> None:
    """Keep that what ``what_decides`` named is good. A note that cannot be written costs the time again, no more."""
    with contextlib.suppress(OSError):
        write_json(_note(), {"good": decided_by})


def _note() -> Path:
    return state().cache("doctor") / "params.json"
