"""What several commands share: the option by which a person says who they are, and where denials are written."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from aiprod.base.denials import Refusal
from aiprod.base.opening import special_kind
from aiprod.errors import AiprodError, NotAFileError

As = Annotated[
    str | None,
    typer.Option(
        "--as", help="who you are; a name in datasets/roles.yaml (default: AIPROD_ACTOR, then git's user.name)"
    ),
]


OUTPUTS = ("out", "to", "target", "html", "prov", "scopes", "train")
"""Parameters of commands that name a file or folder to write; every other path is read."""
_EACH = "files"  # a parameter whose commands tell of each by itself, so that one costs the others nothing


def with_checked_paths(command: Callable[..., Any]) -> Callable[..., Any]:
    """A command that refuses pipes, sockets and devices, and outputs that would overwrite what is read for them.

    To read a pipe may wait for ever, and to write there, as files are written here, would put a file in its place.
    """

    @functools.wraps(command)
    def checked(*args: Any, **given: Any) -> Any:
        named = [
            (parameter, path)
            for parameter, value in given.items()
            for path in (value if isinstance(value, list | tuple) else [value])
            if isinstance(path, Path | str)
        ]
        for parameter, path in named:
            if parameter != _EACH and isinstance(path, Path) and (kind := special_kind(path)) is not None:
                raise NotAFileError(kind, path)
        written = [(parameter, path) for parameter, path in named if parameter in OUTPUTS and isinstance(path, Path)]
        for parameter, path in written:
            if any(other not in OUTPUTS and _is_same_file(path, read) for other, read in named):
                raise AiprodError(f"{path} is read, and --{parameter} would overwrite it", "write to another file")
        return command(*args, **given)

    return checked


def _is_same_file(path: Path, other: Path | str) -> bool:
    try:
        return path.is_file() and os.path.samefile(path, other)
    except (OSError, ValueError):  # words are among them, which are no path
        return False


def log_denials(refusals: Sequence[Refusal], *, once: bool = False) -> None:
    """Write denials to the audit log. A module of its own opens that, because few commands need it."""
    from aiprod.governance.audit.denials import append

    append(refusals, once=once)
