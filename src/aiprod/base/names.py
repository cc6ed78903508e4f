"""The one form in which names of films are compared, wherever they come from: folders, tables, web lists, buckets.

A name is written in many ways that mean one file: macOS decomposes accents, Windows separates folders by backslashes,
``find .`` begins with ``./``, and keys in a bucket may double a slash. This form is for comparing only. A file is
opened, and its row named, by the name that its folder or server gave it; two files that compare equal share what is
said of either.
"""

from __future__ import annotations

import posixpath
import unicodedata

_INVISIBLE = "\ufeff\u200b\u2060"  # byte order mark, zero width space, word joiner: left at the ends by editors


def film_name(text: str) -> str:
    """A path as it is compared: NFC, forward slashes, no ``.``, ``..`` or doubled slash that can be resolved.

    Space around the whole is dropped. An absolute path stays absolute, one that leaves its folder begins with ``..``,
    and an empty one is empty. Never fails, and gives the same for its own result.
    """
    name = unicodedata.normalize("NFC", text).replace("\\", "/")
    while (simpler := _simpler(name)) != name:  # each step makes it shorter
        name = simpler
    return name


def _simpler(name: str) -> str:
    bare = name.strip().strip(_INVISIBLE)
    if not bare:
        return ""
    path = posixpath.normpath(bare)
    return "" if path == "." else "/" + path.lstrip("/") if path.startswith("/") else path


def caseless_name(text: str) -> str:
    """:func:`film_name` without regard to case: file systems of macOS and Windows keep one such name only."""
    return unicodedata.normalize("NFC", film_name(text).casefold())


def is_hidden(text: str) -> bool:
    """Whether a path, or a folder in it, is hidden: its name begins with a dot (``._SOURCES.csv``, ``.git/x``)."""
    return any(part.startswith(".") and part not in (".", "..") for part in film_name(text).split("/"))


def leaves_its_folder(text: str) -> bool:
    """Whether a path is absolute, or climbs out of the folder that it is relative to."""
    name = film_name(text)
    return name.startswith("/") or name.split("/")[0] == ".."
