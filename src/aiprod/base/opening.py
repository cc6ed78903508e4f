"""Opens files that people name: at what is no file, such as a named pipe, ``open`` may wait for ever."""

from __future__ import annotations

import os
import stat
from io import BufferedReader
from pathlib import Path

from aiprod.errors import AiprodError, NotAFileError

_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def special_kind(path: Path | str) -> str | None:
    """What a path is that is neither a file nor a folder, such as "a pipe"; None for these and for nothing."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return None
    return None if stat.S_ISREG(mode) or stat.S_ISDIR(mode) else _KINDS.get(stat.S_IFMT(mode), "no file")


def open_file(path: Path | str) -> BufferedReader:
    """Open a file that somebody gave, or that lies in a folder that somebody gave, for reading.

    ``open`` waits at a named pipe until somebody writes to it, which may be never.

    Raises:
        NotAFileError: it is a pipe, a socket or a device.
        OSError: as ``open``.
    """
    if (kind := special_kind(path)) is not None:
        raise NotAFileError(kind, path)
    return open(path, "rb")


def read_file(path: Path | str) -> bytes:
    """The bytes of a file, opened by :func:`open_file`."""
    with open_file(path) as file:
        return file.read()


def read_utf8(path: Path | str) -> str:
    """The text of a file of ours, which whoever changed it may have saved in another encoding.

    Raises:
        AiprodError: it is no UTF-8.
        OSError: as :func:`open_file`.
    """
    try:
        return read_file(path).decode()
    except UnicodeDecodeError:
        raise AiprodError(f"{path} is damaged: it is not UTF-8", "restore it from git, or from a backup") from None
