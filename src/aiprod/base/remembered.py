"""Small results in the state folder, kept by what decides them: a command that finds all of it as it was need not load
what it takes to find out again. A note that cannot be read or written costs that time, no more."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from aiprod.base.files import digest_of, read_json, write_json
from aiprod.base.state import state
from aiprod.errors import AiprodError


def recall(name: str, decided_by: str) -> Any:
    """What was kept under this name, if the same decided it; else None."""
    try:
        kept = read_json(_note(name))
        return kept["value"] if kept["decided_by"] == decided_by else None
    except (AiprodError, OSError, KeyError, TypeError):
        return None


def remember(name: str, decided_by: str, value: Any) -> None:
    """Keep a JSON value that is not None, in place of what was kept under this name."""
    with contextlib.suppress(OSError):
        write_json(_note(name), {"decided_by": decided_by, "value": value})


def code_stamp() -> str:
    """Digest of the size and time of each module of this package."""
    package = Path(__file__).parents[1]
    return digest_of([str(package), stamps(package.rglob("*.py"))])


def stamps(files: Iterable[Path]) -> list[tuple[str, int, str]]:
    """Path, size and time of each file, in the order of their paths; those that are not there are left out."""
    found = []
    for path in sorted(files):
        with contextlib.suppress(OSError):
            seen = path.stat()
            found.append((str(path), seen.st_size, str(seen.st_mtime_ns)))
    return found


def _note(name: str) -> Path:
    return state().cache("remembered") / f"{name}.json"
