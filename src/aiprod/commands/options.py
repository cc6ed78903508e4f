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
from aiprod.media.errors import MediaError

As = Annotated[
    str | None,
    typer.Option(
        "--as", help="who you are; a name in datasets/roles.yaml (default: AIPROD_ACTOR, then git's user.name)"
    ),
]


OUTPUTS = ("out", "to", "target", "html", "prov", "scopes", "train")
"""Parameters of commands that name a file or folder to write; every other path is read."""
_FILES = ("html", "prov", "scopes", "train")
"""Of these the ones that name a file."""
_EACH = "files"  # a parameter whose commands tell of each by itself, so that one costs the others nothing


_LARGEST = 2**63 - 1  # what Python's containers and SQLite can count
_SHOWN = 200  # characters of a word in an error


def with_checked_paths(command: Callable[..., Any]) -> Callable[..., Any]:
    """A command that refuses what none can use, and that says of a media file which cannot be used which one it is.

    Refused are pipes, sockets and devices, outputs that would overwrite what is read for them, words that are neither
    UTF-8 nor the name of a file, and numbers that nothing counts to.
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
        for parameter, value in given.items():
            if isinstance(value, int) and abs(value) > _LARGEST:
                raise AiprodError(f"{parameter}: {value} is too large", f"give at most {_LARGEST}")
        for parameter, text in named:
            if isinstance(text, str) and not _is_utf_8(text) and not os.path.lexists(text):  # a file may be called so
                raise AiprodError(f"{parameter}: {text[:_SHOWN]} is no UTF-8", "write it in UTF-8")
        written = [(parameter, path) for parameter, path in named if parameter in OUTPUTS and isinstance(path, Path)]
        for parameter, path in written:
            if any(other not in OUTPUTS and _is_same_file(path, read) for other, read in named):
                raise AiprodError(f"{path} is read, and --{parameter} would overwrite it", "write to another file")
        for parameter, path in written:
            if parameter in _FILES and path.is_dir():  # an empty word is the working directory
                raise AiprodError(f"--{parameter}: {path} is a folder", "name a file in it")
        try:
            return command(*args, **given)
        except MediaError as error:
            raise _of_command(error, [path for parameter, path in named if parameter not in OUTPUTS]) from None

    return checked


def _of_command(error: MediaError, read: Sequence[Path | str]) -> AiprodError:
    """The error with the file, which rows must not hold and a user needs, and with what to do."""
    files = [path for path in read if isinstance(path, Path) and path.is_file()]
    known = len(files) == 1 and files[0].name not in error.what  # of several it may be any
    return AiprodError(f"{files[0]}: {error.what}" if known else error.what, error.hint or "give a file that plays")


def _is_utf_8(text: str) -> bool:
    """Whether a word of the command line, which may hold any bytes, can be written to a file or a log."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_same_file(path: Path, other: Path | str) -> bool:
    try:
        return path.is_file() and os.path.samefile(path, other)
    except (OSError, ValueError):  # words are among them, which are no path
        return False


def log_denials(refusals: Sequence[Refusal], *, once: bool = False) -> None:
    """Write denials to the audit log. A module of its own opens that, because few commands need it."""
    from aiprod.governance.audit.denials import append

    append(refusals, once=once)
