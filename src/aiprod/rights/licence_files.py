"""Files that state the rights of a whole folder: LICENSE, COPYING, RIGHTS and the like, and what other texts forbid.

Such a file holds for the films in its folder and below it, and only narrows what is said of each of them. One that is
not understood denies them all: what it says might be no.
"""

from __future__ import annotations

import codecs
import functools
import re
from collections.abc import Iterator
from typing import Any

from aiprod.errors import AiprodError
from aiprod.rights.licence_words import UNKNOWN, Licence, quoted, read_licence
from aiprod.rights.licences import judge_licence
from aiprod.rights.owners import names_somebody
from aiprod.rights.right import Right
from aiprod.rights.tables import text_of
from aiprod.rights.training_opt_outs import MAX_CELL, objection
from aiprod.rights.unclear_words import named_licence, unclear

MAX_TEXT = 1 << 17  # bytes of a text that are read
_LEGAL_TEXT = 450  # characters below a title from which on a text is the licence itself, not somebody's remark
_TITLE_LINES = 4
_LABEL = (
    r"(?:media[ _-]?|film[ _-]?|video[ _-]?|content[ _-]?|dc:|dcterms:|cc:|spdx-)?(?:licen[cs]es?(?:-identifier)?|"
    r"rights|usage[ _-]?(?:terms|rights)|terms[ _-]of[ _-]use|lizenz|nutzungsrechte|licencia|licenza|"
    r"licence d'utilisation)"
)
_LABELLED = rf"(?im)^[\s#>*{{<\"'|-]*{_LABEL}[\"'>*_]*[ \t]*[:=>][ \t]*[\"'`*_]*(\S.{{0,200}}?)[ \t\"'`*_,;}}]*$"
_ELEMENT = rf"(?i)<{_LABEL}(?:\s[^<>]{{0,200}})?>([^<>]{{1,200}})</"
_HEADING = rf"(?im)^(?:#+[ \t]*{_LABEL}[ \t:]*#*[ \t]*$|{_LABEL}[ \t]*\n[=-]{{3,}}[ \t]*$)"


def against(name: str, content: bytes) -> str | None:
    """What a text says against training, in words for a person; None where it says nothing.

    A licence that it states behind a label, or under a heading, says so where it is not understood, or forbids it.
    """
    text = decoded(content)
    if text is None:
        return None
    return against_in(name, text) or next(
        (
            f"{quoted(name)} states {quoted(words)}: {why}"
            for words in _stated_licences(text)
            if (why := _why_not(words)) is not None
        ),
        None,
    )


def against_in(name: str, text: str) -> str | None:
    """What words say against training, as :func:`against`, whatever stands behind labels."""
    pieces = (text[at : at + MAX_CELL] for at in range(0, len(text), MAX_CELL // 2))
    stated = next((words for piece in pieces if (words := objection(piece)) is not None), None)
    return None if stated is None else f"{quoted(name)} says {stated}"


def decoded(content: bytes) -> str | None:
    """The text of a file, of which :data:`MAX_TEXT` bytes are read; None where it is none."""
    content = content[:MAX_TEXT]
    if content[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return content.decode("utf-16", "replace")
    odd, even = content[1:2000:2].count(0), content[0:2000:2].count(0)
    if max(odd, even) * 5 > len(content[:2000]) and min(odd, even) == 0:  # without its mark
        return content.decode("utf-16-le" if odd else "utf-16-be", "replace")
    return None if b"\0" in content else content.decode("utf-8", "replace")


def _stated_licences(text: str) -> Iterator[str]:
    """What stands behind a label such as ``License:``, and below a heading of that name."""
    for line in _compiled(_LABELLED).finditer(text):
        if "rights" in line[0].lower().split(line[1].lower())[0] and names_somebody(line[1]) and not line[1].islower():
            continue  # whose they are, as in `Rights: Ada Example`
        yield re.sub(r"</[\w:.-]*>?$|\s#.*$", "", line[1]).strip(" \t\"'`*_,;<>{}[]")
    for element in _compiled(_ELEMENT).finditer(text):
        if not (names_somebody(element[1]) and "rights" in element[0].lower() and not element[1].islower()):
            yield element[1].strip()
    for heading in _compiled(_HEADING).finditer(text):
        below, *_ = re.split(r"(?m)^(?:#|[=-]{3})", text[heading.end() : heading.end() + _LEGAL_TEXT], maxsplit=1)
        yield below.strip() or "nothing"


@functools.cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """Not before it is needed: most commands read no text beside films."""
    return re.compile(pattern)


def _why_not(words: str) -> str | None:
    """Why a licence that a text states permits no training, or cannot be known to; None where it may."""
    if not words or re.fullmatch(r"(?i)(?:see|in) (?:the )?(?:file )?`?(?:licen[cs]e|copying)\S*(?: file)?\W*", words):
        return None  # which is read itself
    sentences = [sentence for sentence in re.split(r"[\n;]|\.\s", words) if sentence.strip()]
    known = [licence for each in sentences if (licence := named_licence(each)) is not None]
    if not known or unclear(words) is not None:
        return "which is not understood as a licence"
    denied = (judge_licence(spdx) for spdx in known)
    return next((finding.why for finding in denied if finding.right == Right.DENY), None)


def statement_from_licence_file(name: str, content: bytes) -> dict[str, Any]:
    """What a licence file states, as fields of a record.

    Raises:
        AiprodError: it is not understood.
    """
    hint = (
        "say in a table which licence each film or recording has, and move the file elsewhere if it is not about them"
    )
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
