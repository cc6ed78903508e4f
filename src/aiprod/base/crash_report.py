"""What nobody foresaw: one line for the user, an exit code of its own, and the traceback in a file.

A traceback tells a user nothing, and it hides the line that would. It goes into ``errors`` of the state folder, for its
owner only; ``AIPROD_TRACEBACK=1`` shows it as well. The newest twenty are kept.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import tempfile
import time
import traceback
from pathlib import Path

from aiprod.base.denials import last_line
from aiprod.base.state import state
from aiprod.errors import FREE_SPACE, UNEXPECTED, USER_ERROR, NotAFileError, is_disk_full, is_one_line
from aiprod.printable import escape_controls

SHOW = "AIPROD_TRACEBACK"
_KEPT = 20
_LINE_MAX = 400
_HINTS = {
    errno.EACCES: "fix its permissions",
    errno.EPERM: "fix its permissions",
    errno.EROFS: "it is on a file system that is mounted read-only: use another location",
    errno.ENOENT: "see whether it was moved or deleted",
    errno.EISDIR: "there is a folder where a file belongs: move it away",
    errno.ENOTDIR: "there is a file where a folder belongs: move it away",
    errno.EEXIST: "something of another kind bears its name: move it away",
    errno.ENOTEMPTY: "something of another kind bears its name: move it away",
    errno.EMFILE: "raise the limit of open files (`ulimit -n`)",
    errno.ENFILE: "close something: the machine has no open files left",
    errno.EIO: "the disk reports an error: look at its health and restore the file",
    errno.ENAMETOOLONG: "give it a shorter name",
    errno.ELOOP: "fix the links on the way to it",
}


def end_with(error: BaseException) -> tuple[str, int]:
    """The line to print for an error that ends a command or stage, and the exit status.

    ``USER_ERROR`` where the user can fix it, else ``UNEXPECTED``, and the traceback is kept.
    """
    if os.environ.get(SHOW):
        traceback.print_exception(error, file=sys.stderr)
    if is_one_line(error):
        return f"error: {last_line(error)}", USER_ERROR
    if is_disk_full(error):
        return f"error: no space left on the disk, or where the output goes → {FREE_SPACE}", USER_ERROR
    package = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    if package and package not in ("aiprod", "pipeline"):
        hint = "in a checkout, run `make setup`; elsewhere, `pip install 'aiprod[train]'`"
        return f"error: this needs the package {escape_controls(package)}, which is not installed → {hint}", USER_ERROR
    if isinstance(error, NotAFileError):
        return (
            f"error: {_line(f'{error.filename}: {error.strerror}')} → give a file, or put one in its place",
            USER_ERROR,
        )
    if isinstance(error, OSError) and error.errno in _HINTS:
        where = " → ".join(str(name) for name in (error.filename, error.filename2) if name) or "a file"
        return f"error: {_line(f'{where}: {error.strerror}')} → {_HINTS[error.errno]}", USER_ERROR
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # torch's, which is not imported
        place = _keep(error)
        hint = f"close something, or lower the batch or size in params.yaml{place}"
        return f"error: out of memory{_where(error)} → {hint}", UNEXPECTED
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return f"error: unexpected: {_line(what)}{_where(error)} → please report this{_keep(error)}", UNEXPECTED


def _line(text: str) -> str:
    short = " ".join(text.split())
    return escape_controls(short if len(short) <= _LINE_MAX else f"{short[:_LINE_MAX]}…")


def _where(error: BaseException) -> str:
    """The last place of ours on the way to the error."""
    ours = [f for f in traceback.extract_tb(error.__traceback__) if f"{os.sep}aiprod{os.sep}" in f.filename]
    return f" ({Path(ours[-1].filename).name}:{ours[-1].lineno})" if ours else ""


def _keep(error: BaseException) -> str:
    """Write the traceback to the state folder; says where."""
    try:
        folder = state().errors
        with tempfile.NamedTemporaryFile(
            "w",
            prefix=time.strftime("%Y%m%d-%H%M%S-"),
            suffix=".txt",
            dir=folder,
            delete=False,
            encoding="utf-8",
            errors="backslashreplace",
        ) as file:
            file.write(f"{' '.join(sys.argv)}\n")
            traceback.print_exception(error, file=file)
        for old in sorted(folder.glob("*.txt"))[:-_KEPT]:
            with contextlib.suppress(OSError):
                old.unlink()
        return f"; the traceback is in {file.name}"
    except Exception:  # nothing may keep the line from being printed
        return f"; {SHOW}=1 shows the traceback"
