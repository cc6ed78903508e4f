"""A name from outside as one line that a terminal, a file and a page can show: names of files may hold anything."""

from __future__ import annotations

import os
import unicodedata

_HIDING = {"Cc", "Cs", "Zl", "Zp"}  # general categories: controls, halves of surrogate pairs, separators of lines
_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Marks that turn the direction of what follows (Unicode Annex 9), by which ``gpj.exe`` can read ``exe.jpg``."""


def escape_controls(name: str | os.PathLike[str]) -> str:
    """``name`` with line breaks, control characters and bytes that are no UTF-8 written out as escapes.

    Everything else stays, whatever its script; the result can be encoded as UTF-8 and is shown as it already is by
    this function. It is for people and for keys of rows: a file cannot be opened by it.
    """
    text = os.fspath(name)
    return text if text.isprintable() else "".join(map(_shown, text))


def _shown(character: str) -> str:
    if unicodedata.category(character) not in _HIDING and character not in _TURNING:
        return character
    if "\udc80" <= character <= "\udcff":  # a byte of a name that is no UTF-8 (PEP 383)
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def counted(number: int, thing: str, plural: str | None = None) -> str:
    """A count with its noun: ``1 film``, ``2 films``; ``plural`` where an s at the end does not make it."""
    return f"{number} {thing if number == 1 else plural or f'{thing}s'}"


def json_text(text: str) -> str:
    """JSON whose strings hold any names, as UTF-8: what is no UTF-8 in them becomes an escape that JSON has.

    A reader in Python gets the very name back, by which the file can be opened.
    """
    return text.encode("utf-8", "backslashreplace").decode()  # b"\xff" is U+DCFF in a name, and "\udcff" in JSON
