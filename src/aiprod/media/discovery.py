"""The films below a folder. What cannot be looked at is among them, to be said with its problem, never left out.

What a file is shows in its bytes: a film may be named ``notes.txt``, and ``film.mp4`` may be a pipe.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path, PurePath

from aiprod.base.opening import open_file, special_kind
from aiprod.errors import AiprodError
from aiprod.media.sniffing import HEAD, sniff_bytes
from aiprod.printable import escape_controls
from aiprod.rights.licence_names import is_licence_name

_DOCUMENTS = {
    ".csv",
    ".tsv",
    ".json",
    ".jsonl",
    ".ndjson",
    ".xmp",
    ".c2pa",
    ".md",
    ".txt",
    ".srt",
    ".vtt",
    ".pdf",
    ".html",
    ".htm",
    ".xml",
    ".rst",
    ".adoc",
    ".toml",
    ".ini",
    ".description",
    ".yaml",
    ".yml",
    ".license",
    ".licence",
    ".nfo",
}
_BARE = {"notice", "readme", "authors", "contributors"}  # documents without an ending
_BACK = "\\"


def files_below(folder: Path, hidden: bool = False) -> list[Path]:
    """Every file below a folder, sorted, and the folders in it that are not looked into: :func:`problem_of` says why.

    Args:
        hidden: also those whose names begin with a dot, and what is in such folders.

    Raises:
        AiprodError: the folder itself cannot be read.
    """
    files: list[Path] = []

    def unread(error: OSError) -> None:
        path = Path(error.filename or folder)
        if path == folder:
            raise AiprodError(f"the folder {folder} cannot be read ({error.strerror})", "fix its permissions")
        files.append(path)

    for top, folders, names in os.walk(folder, onerror=unread):
        if not hidden:
            folders[:] = [name for name in folders if not name.startswith(".")]
        linked = [name for name in folders if os.path.islink(os.path.join(top, name))]
        files += [Path(top) / name for name in (*names, *linked) if hidden or not name.startswith(".")]
    return sorted(files)


def films_below(folder: Path) -> list[Path]:
    """What :func:`files_below` gives, without documents (:func:`is_document`).

    Raises:
        AiprodError: the folder itself cannot be read.
    """
    return [path for path in files_below(folder) if not is_document(path)]


def is_document(path: Path) -> bool:
    """Whether a file is named like a document and is one: a film with such a name is a film."""
    try:
        return named_like_a_document(path) and problem_of(path) is None and not is_media(path)
    except OSError:  # it opens, and then cannot be read
        return False


def named_like_a_document(path: PurePath) -> bool:
    """Whether the end of a name is a document's, whatever the bytes are."""
    return path.suffix.lower() in _DOCUMENTS or path.name.lower() in _BARE or is_licence_name(path)


def is_media(path: Path) -> bool:
    """Whether a file's first bytes are those of a container that is read here.

    Raises:
        OSError: it cannot be read.
    """
    with open_file(path) as file:
        return sniff_bytes(file.read(HEAD)) is not None


def problem_of(path: Path) -> str | None:
    """Why a path cannot be read as a file, None where it can. Waits for nobody, as opening a pipe would."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISREG(mode):
            with open_file(path):
                return None
        if stat.S_ISDIR(mode):
            if path.is_symlink():
                return "it is a link to a folder, which is not followed"
            os.scandir(path).close()
            return "it is a folder"
    except OSError as error:
        return f"it cannot be read ({error.strerror})"
    return f"it is {special_kind(path)}, not a file"


def key_of(path: Path, folder: Path) -> str:
    """How rows name a file below ``folder``: its path with forward slashes, as it is where it is UTF-8.

    Any other comes escaped, backslashes too, and after ``./``, with which no path from above begins: no two files share
    a key. It cannot be opened by that.
    """
    key = path.relative_to(folder).as_posix()
    return key if is_utf8(key) else f"./{escape_controls(key.replace(_BACK, 2 * _BACK))}"


def is_utf8(name: str) -> bool:
    """Whether a name that the file system gave is text."""
    return not any("\ud800" <= character <= "\udfff" for character in name)
