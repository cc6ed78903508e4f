"""Files that state the rights of a whole folder: LICENSE, COPYING, RIGHTS and the like, and what other texts forbid.

Such a file holds for the films in its folder and below it, and only narrows what is said of each of them. One that is
not understood denies them all: what it says might be no.
"""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import Any

from aiprod.errors import AiprodError
from aiprod.rights.licence_words import UNKNOWN, Licence, quoted, read_licence
from aiprod.rights.tables import text_of
from aiprod.rights.training_opt_outs import MAX_CELL, objection

MAX_TEXT = 1 << 17  # bytes of a text that are read
_NAME = re.compile(
    r"(un)?licen[cs]es?|licen[cs]ing|copying|copyrights?|rights|usage|terms|tos|eula|legal|lizenz|nutzungsbedingungen|"
    r"licencia|permissions?"
)
_ENDING = re.compile(
    r"|\.(txt|text|md|markdown|rst|html?|pdf|rtf|docx?|odt|ya?ml|\d+|(cc|by|mit|apache|gpl|bsd|own)[\w-]*|[a-z]{2})"
)
_LEGAL_TEXT = 450  # characters below a title from which on a text is the licence itself, not somebody's remark
_TITLE_LINES = 4


def is_licence_name(path: PurePath | str) -> bool:
    """Whether a file is named as one that states the rights of its folder."""
    name = PurePath(path).name.casefold()
    first = re.split(r"[^a-z_]+", name.lstrip("._"))[0].strip("_")
    return _NAME.fullmatch(first) is not None and _ENDING.fullmatch(PurePath(name).suffix) is not None


def against(name: str, content: bytes) -> str | None:
    """What a text says against training, in words for a person; None where it says nothing."""
    text = content[:MAX_TEXT].decode("utf-8", "replace")
    pieces = (text[at : at + MAX_CELL] for at in range(0, len(text), MAX_CELL // 2))
    stated = next((words for piece in pieces if (words := objection(piece)) is not None), None)
    return f"{quoted(name)} says {stated}" if stated is not None else None


def statement_from_licence_file(name: str, content: bytes) -> dict[str, Any]:
    """What a licence file states, as fields of a record.

    Raises:
        AiprodError: it is not understood.
    """
    hint = "say in a table which licence each film has, and move the file elsewhere if it is not about the films"
    if not content.strip():
        raise AiprodError(f"{quoted(name)} is empty, and it is not known what it was to say", hint)
    if len(content) > MAX_TEXT or b"\0" in content[:4]:
        raise AiprodError(f"{quoted(name)} is not a text of at most {MAX_TEXT} bytes, and is not read", hint)
    text = text_of(name, content)
    licence = _licence_in(text)
    if licence is None or licence.spdx == UNKNOWN:
        first = next((line.strip(" \t#*=-_>") for line in text.splitlines() if line.strip(" \t#*=-_>")), "")
        raise AiprodError(f"{quoted(name)} begins {quoted(first[:80])}, which is not understood as a licence", hint)
    return {"media_license": licence.spdx, "media_license_declared": licence.spdx}


def _licence_in(text: str) -> Licence | None:
    """The licence that a short text names, or whose text it is under its title."""
    lines = [line for raw in text.splitlines() if (line := raw.strip(" \t#*=-_>"))]
    together = " ".join(lines)
    if len(together) <= _LEGAL_TEXT:
        tried = [together, "; ".join(lines)]
    else:
        titles = [*lines[:_TITLE_LINES], " ".join(lines[:2]), re.sub(r"(?i) (version)", r", \1", " ".join(lines[:2]))]
        titles = [re.sub(r",? [A-Z][a-z]+ \d{4}$", "", title) for title in titles]  # Apache's has a date
        tried = [*titles, *(f"Creative Commons {title}" for title in titles)]
    read = (read_licence(words) for words in tried if len(words) <= _LEGAL_TEXT)
    return next((licence for licence in read if licence.problem is None and licence.spdx != UNKNOWN), None)
