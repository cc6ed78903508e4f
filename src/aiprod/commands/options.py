"""What several commands share: the option by which a person says who they are, and where denials are written."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from aiprod.base.denials import Refusal
from aiprod.base.opening import special_kind
from aiprod.errors import NotAFileError

As = Annotated[
    str | None,
    typer.Option(
        "--as", help="who you are; a name in datasets/roles.yaml (default: AIPROD_ACTOR, then git's user.name)"
    ),
]


def with_checked_paths(command: Callable[..., Any]) -> Callable[..., Any]:
    """A command that is refused a pipe, a socket or a device by whatever option or argument takes a path.

    To read one may wait for ever, and to write there, as files are written here, would put a file in its place.
    """

    @functools.wraps(command)
    def checked(*args: Any, **given: Any) -> Any:
        for value in given.values():
            for path in value if isinstance(value, list | tuple) else [value]:
                if isinstance(path, Path) and (kind := special_kind(path)) is not None:
                    raise NotAFileError(kind, path)
        return command(*args, **given)

    return checked


def log_denials(refusals: Sequence[Refusal], *, once: bool = False) -> None:
    """Write denials to the audit log. A module of its own opens that, because few commands need it."""
    from aiprod.governance.audit.denials import append

    append(refusals, once=once)
