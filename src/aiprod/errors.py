"""The one exception that reaches a user: what is wrong, where, and the fix, in one line."""

from __future__ import annotations

import errno

from aiprod.printable import escape_controls

FREE_SPACE = "free some space and run again"
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
USER_ERROR = 2  # the exit status of a command that said in one line what the user can fix
UNEXPECTED = 70  # EX_SOFTWARE of sysexits.h: what nobody foresaw; the traceback is in the state folder


_WORD_MOST = 4096  # the longest path of a file system; what is longer was given by mistake


def _shown(word: str) -> str:
    """A word of an error, so short that the rest can be read."""
    return word if len(word) <= _WORD_MOST else f"{word[:100]}… ({len(word)} characters)"


class AiprodError(Exception):
    """Bad input or a state that the user can fix.

    Args:
        what: what is wrong and where, as one sentence fragment without a final full stop.
        hint: what to do about it; printed after an arrow.

    The command line prints ``str(error)`` on one line and exits with 2; it never prints a traceback for it. Names in
    it that hold control characters are shown escaped (:func:`aiprod.printable.escape_controls`).
    """

    def __init__(self, what: str, hint: str = "") -> None:
        self.what = escape_controls(" ".join(map(_shown, what.split())))
        self.hint = escape_controls(" ".join(map(_shown, hint.split())))
        super().__init__(f"{self.what} → {self.hint}" if self.hint else self.what)


class NotAFileError(OSError):
    """A pipe, a socket or a device where a file belongs: to open one may wait for ever, and it is read only once.

    An ``OSError``, so that whoever says which files cannot be read says it of these too.
    """

    def __init__(self, kind: str, path: object) -> None:
        super().__init__(errno.EINVAL, f"it is {kind}, not a file", str(path))


class CoreError(AiprodError, ValueError):
    """An invalid size, setting or file given to the model library."""


class CheckpointError(CoreError):
    """A checkpoint that is not loaded, because it is missing, damaged, of another kind, or unsafe.

    Nothing was loaded when this is raised: a model is either whole or not there.
    """


def is_one_line(error: BaseException) -> bool:
    """Whether an error is meant for the user."""
    return isinstance(error, AiprodError)


def is_disk_full(error: BaseException | None) -> bool:
    """Whether an error, or one that led to it, says that the disk is full."""
    while error is not None:
        if getattr(error, "errno", None) in DISK_FULL or getattr(error, "hint", None) == FREE_SPACE:
            return True
        error = error.__cause__ or error.__context__
    return False


def words_of(error: BaseException, most: int = 200) -> str:
    """What an error of a library says, for a line of ours: its first line, or its kind where it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0].strip()[:most] if lines else type(error).__name__


def per_item(error: Exception, whose: str) -> str:
    """Why one item of a batch failed, in words for its row: ours as they are, a library's behind who ``whose`` is.

    Raises:
        Exception: the same, where it is not a fault of the item: the disk is full.
    """
    if is_disk_full(error):
        raise error
    if is_one_line(error):
        return str(error)
    return f"{whose} failed on it ({type(error).__name__}: {words_of(error)})"
