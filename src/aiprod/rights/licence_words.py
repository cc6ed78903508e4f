"""A licence in somebody's words as an SPDX expression: the one place where words for licences are understood.

Nothing that was written is dropped. A text is one licence, or it is cut at brackets, commas, slashes, "or" and the like
into pieces, of which each has to be a licence or a remark known to be harmless. Several licences are joined by ``AND``,
because a writer's comma, slash or "or" does not say who may choose: the narrower one rules. Only a text that is an SPDX
expression as it stands, operators in capitals and every identifier a known one, keeps its ``OR``: there SPDX defines
that the licensee chooses. A piece that is not understood makes the whole unknown, which denies, and is quoted.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from aiprod.printable import escape_controls

UNKNOWN = "unknown"
OWN = "LicenseRef-own"
PUBLIC_DOMAIN = "LicenseRef-public-domain"
US_GOVERNMENT = "LicenseRef-public-domain-us-government"
RESERVED = "LicenseRef-all-rights-reserved"

MAX_CHARS = 1000  # longer texts are no name of a licence
_MAX_PIECES, _MAX_DEPTH = 64, 16
_QUOTED = 80

# Words that mean one licence, lower case, "licence" spelt with a c, spaces and hyphens for whatever stood between.
WORDS = {
    "own": OWN,
    "public domain": PUBLIC_DOMAIN,
    "public domain mark": PUBLIC_DOMAIN,
    "public domain mark 1.0": PUBLIC_DOMAIN,
    "cc-pdm-1.0": PUBLIC_DOMAIN,
    "public domain (unlicense)": "Unlicense",
    "public domain (nasa)": US_GOVERNMENT,
    "public domain (us government)": US_GOVERNMENT,
    "public domain (u.s. government)": US_GOVERNMENT,
    "cc0": "CC0-1.0",
    "cc0 (public domain)": "CC0-1.0",
    "cc0-1.0 (public domain)": "CC0-1.0",
    "cc0 / public domain": "CC0-1.0",
    "cc0-1.0 / public domain": "CC0-1.0",  # the words are a part of CC0's own title
    "public domain (cc0)": "CC0-1.0",
    "public domain (cc0-1.0)": "CC0-1.0",
    "public domain / cc0": "CC0-1.0",
    "public domain / cc0-1.0": "CC0-1.0",
    "cc0 1.0 universal (cc0 1.0) public domain dedication": "CC0-1.0",
    "the unlicense": "Unlicense",
    "mit licence": "MIT",
    "the mit licence": "MIT",
    "apache 2.0": "Apache-2.0",
    "apache 2": "Apache-2.0",
    "apache licence 2.0": "Apache-2.0",
    "apache licence, version 2.0": "Apache-2.0",
    "bsd-2": "BSD-2-Clause",
    "bsd-3": "BSD-3-Clause",
    "bsd 2-clause": "BSD-2-Clause",
    "bsd 3-clause": "BSD-3-Clause",
    "isc licence": "ISC",
    "all rights reserved": RESERVED,
    "alle rechte vorbehalten": RESERVED,
    "tous droits réservés": RESERVED,
    "todos los derechos reservados": RESERVED,
    "unclear": UNKNOWN,
    "unknown": UNKNOWN,
    "unspecified": UNKNOWN,
    "not stated": UNKNOWN,
    "none": UNKNOWN,
    "n/a": UNKNOWN,
    "?": UNKNOWN,
    "-": UNKNOWN,
}
# Remarks beside a licence that take nothing away from it. Whatever is not here may: it makes the licence unknown.
HARMLESS = frozenset(
    {
        "repo",
        "repository",
        "repo licence",
        "repository licence",
        "repo level",
        "whole repo",
        "whole repository",
        "film",
        "this film",
        "the film",
        "whole film",
        "file",
        "this file",
        "the file",
        "whole file",
        "whole video",
        "licence",
        "the licence",
        "licence file",
        "see licence",
        "see licence file",
        "see readme",
        "readme",
        "spdx",
        "spdx-licence-identifier",
        "spdx id",
        "checked",
        "verified",
        "international",
        "universal",
        "unported",
        "generic",
    }
)
_CC_WORDS = (
    ("creative commons", "cc"),
    ("attribution", "by"),
    ("non commercial", "nc"),
    ("noncommercial", "nc"),
    ("no derivatives", "nd"),
    ("noderivatives", "nd"),
    ("no derivs", "nd"),
    ("noderivs", "nd"),
    ("share alike", "sa"),
    ("sharealike", "sa"),
)
_CC_TAIL = frozenset({"international", "universal", "unported", "generic", "licence", "public", "cc"})
_CC_VERSIONS = {"1": "1.0", "2": "2.0", "3": "3.0", "4": "4.0"} | {
    v: v for v in ("1.0", "2.0", "2.1", "2.5", "3.0", "4.0")
}
_CC_UNPORTED = frozenset(
    f"CC-{kind}-{version}"
    for kind in ("BY", "BY-SA", "BY-ND", "BY-NC", "BY-NC-SA", "BY-NC-ND")
    for version in ("1.0", "2.0", "2.5", "3.0", "4.0")
)  # known without asking the library, which takes longer to load than a scan takes
_CC_ZERO = re.compile(r"(cc[- ]?(0|zero)|cc zero)([- ]v?1(\.0)?)?( universal)?( public domain dedication)?( licence)?")
_CC_DEED = re.compile(
    r"(?:https?:)?//(?:www\.)?creativecommons\.org/(licenses|publicdomain)/([a-z-]+)/(\d\.\d)(?:/([a-z]{2,3}))?"
    r"(?:/(?:deed|legalcode)(?:\.[a-z]{2,3}(?:[-_][a-z]{2,4})?)?(?:\.txt)?)?/?(?:\?ref=chooser-v\d)?",
    re.IGNORECASE,
)
_SPDX_PAGE = re.compile(
    r"(?:https?:)?//(?:www\.)?spdx\.org/licenses/([\w.+-]+?)(?:\.html|\.json|\.txt)?/?", re.IGNORECASE
)
_OSI_PAGE = re.compile(r"(?:https?:)?//(?:www\.)?opensource\.org/licen[cs]es?/([\w.+-]+?)/?", re.IGNORECASE)
_PAGES = {
    "unlicense.org": "Unlicense",
    "www.apache.org/licenses/license-2.0": "Apache-2.0",
    "www.apache.org/licenses/license-2.0.txt": "Apache-2.0",
    "apache.org/licenses/license-2.0": "Apache-2.0",
}
_TOKEN = re.compile(r"[()]|[^\s()]+")
_CUT = re.compile(
    r"(?P<url>(?:https?:)?//[^\s()\[\]{}<>;,|]+)|[()\[\]{}<>;,|/&:\n\r\"]|\s[-+]\s|\s(?:or|and|oder|und|ou|et|y|o)(?=\s)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Licence:
    """What a text says.

    Attributes:
        spdx: the expression, ``unknown`` where nothing is stated or something is not understood.
        problem: what was not understood, quoted, or None.
    """

    spdx: str
    problem: str | None = None


@lru_cache(maxsize=4096)
def read_licence(text: str) -> Licence:
    """The licence that a text states. Its own result is read as it is."""
    if len(text) > MAX_CHARS:
        return Licence(UNKNOWN, f"a licence of {len(text)} characters ({quoted(text)}) is not read")
    if not text.strip():
        return Licence(UNKNOWN)
    whole = _one(text)
    if whole is not None:
        return Licence(whole)
    pieces = _pieces(text)
    if len(pieces) > _MAX_PIECES:
        return Licence(UNKNOWN, f"{quoted(text)} has too many parts to be the name of a licence")
    licences: list[str] = []
    for piece in pieces:
        if _key(piece) in HARMLESS:
            continue
        one = _one(piece)
        if one is None:
            part = "" if piece.strip() == text.strip() else f" ({quoted(piece)} is no licence and no known remark)"
            return Licence(UNKNOWN, f"{quoted(text)} is not understood{part}")
        licences.append(one)
    if not licences:
        return Licence(UNKNOWN, f"{quoted(text)} names no licence")
    return Licence(all_of(licences))


def all_of(expressions: Iterable[str]) -> str:
    """One expression under which every one of several licences has to be kept; ``unknown`` where one of them is.

    The order and number in which they are given makes no difference.
    """
    parts = sorted(set(expressions))
    if not parts or UNKNOWN in parts:
        return UNKNOWN
    if len(parts) == 1:
        return parts[0]
    if any(not _is_expression(part) for part in parts):
        return UNKNOWN
    terms = {str(term) for part in parts for term in _terms(_licensing().parse(part, validate=False))}
    joined = " AND ".join(f"({term})" if " OR " in term else term for term in sorted(terms))
    return joined if len(joined) <= MAX_CHARS else UNKNOWN


def quoted(text: str) -> str:
    """A text from outside for a sentence: bounded, in quotes of its own kind, control characters escaped.

    By these quotes such words are found again, and taken out of the clear part of a row of somebody's film.
    """
    plain = escape_controls(" ".join(text[: 4 * _QUOTED].split())).replace("“", '"').replace("”", '"')
    plain = "".join(c if unicodedata.category(c) != "Cf" else c.encode("unicode_escape").decode() for c in plain)
    return f"“{plain}”" if len(plain) <= _QUOTED and len(text) <= 4 * _QUOTED else f"“{plain[:_QUOTED]}…”"


@lru_cache(maxsize=1024)  # very many films share a few licences
def parsed(expression: str) -> Any:
    """The tree of an expression that :func:`read_licence` gave; None for anything else."""
    return _licensing().parse(expression, validate=False) if _is_expression(expression) else None


def _one(text: str) -> str | None:
    """The expression that a text as a whole is: words of the table, a Creative Commons name, a page, or SPDX."""
    key = _key(text)
    return WORDS.get(key) or _creative_commons(key) or _page(text.strip().strip("<>")) or _expression(text)


def _key(text: str) -> str:
    """A text as the table spells it."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    plain = (
        re.sub(r"[\u2010-\u2015\u2212_]", "-", plain).replace("license", "licence").replace("unlicence", "unlicense")
    )
    plain = " ".join(plain.split()).strip(" \"'").removesuffix(".")
    return re.sub(r"\s*/\s*", " / ", plain) if plain != "n/a" else plain


def _creative_commons(key: str) -> str | None:
    """``CC-BY-SA-4.0`` from ``cc by-sa 4.0 international`` and the like; without a version ``CC-BY-SA``."""
    if len(key) > 120:
        return None
    if _CC_ZERO.fullmatch(key):
        return "CC0-1.0"
    plain = re.sub(r"\bv(?=\d)", "", re.sub(r"[- ]+", " ", key))
    for words, short in _CC_WORDS:
        plain = re.sub(rf"\b{words}\b", short, plain)
    tokens = re.findall(r"\d+(?:\.\d+)?|[a-z]+", plain)
    if " ".join(tokens) != plain or tokens[:1] != ["cc"]:
        return None
    elements: list[str] = []
    version = port = None
    for token in tokens[1:]:
        if token in ("by", "nc", "nd", "sa") and version is None and token not in elements:
            elements.append(token)
        elif token in _CC_VERSIONS and version is None and elements:
            version = _CC_VERSIONS[token]
        elif token in _CC_TAIL:
            continue
        elif version is not None and port is None and re.fullmatch(r"[a-z]{2}|igo", token):
            port = token
        else:
            return None
    if not elements:
        return None
    name = "-".join(
        ["CC", *(e.upper() for e in ("by", "nc", "nd", "sa") if e in elements), *([version] if version else [])]
    )
    name = f"{name}-{port.upper()}" if port else name
    return name if version is None or name in _CC_UNPORTED else _canonical().get(name.casefold())


def _page(text: str) -> str | None:
    """The licence whose official page an address is."""
    if len(text) > 200:
        return None
    if (deed := _CC_DEED.fullmatch(text)) is not None:
        kind, name, version, port = (part.lower() if part else "" for part in deed.groups())
        if kind == "publicdomain":
            return {("zero", "1.0"): "CC0-1.0", ("mark", "1.0"): PUBLIC_DOMAIN}.get((name, version))
        return _creative_commons(" ".join(f"cc {name} {version} {port}".split()))
    for pattern in (_SPDX_PAGE, _OSI_PAGE):
        if (page := pattern.fullmatch(text)) is not None:
            return WORDS.get(page[1].casefold()) or _canonical().get(page[1].casefold())
    return _PAGES.get(re.sub(r"^https?://", "", text.lower()).rstrip("/"))


@lru_cache(maxsize=1024)
def _expression(text: str) -> str | None:
    """A genuine SPDX expression in its canonical spelling: known identifiers, operators in capitals."""
    tokens = _TOKEN.findall(text)
    if not tokens or len(tokens) > _MAX_PIECES:
        return None
    spelt: list[str] = []
    for token in tokens:
        if token in ("(", ")", "AND", "OR", "WITH") or re.fullmatch(r"LicenseRef-[A-Za-z0-9.-]+", token):
            spelt.append(token)
        elif (name := _canonical().get(token.casefold())) is not None:
            spelt.append(name)
        else:
            return None
    if not _well_formed(spelt):
        return None
    try:
        rendered = str(_licensing().parse(" ".join(spelt), validate=False).render())
    except Exception:  # whatever the library makes of a text from outside
        return None
    return PUBLIC_DOMAIN if rendered == "CC-PDM-1.0" else rendered


def _well_formed(tokens: list[str]) -> bool:
    """Whether tokens are an expression, by its grammar: the library is more lenient."""
    depth, operand = 0, True  # operand: whether one is expected next
    for index, token in enumerate(tokens):
        if token == "(":
            depth += 1
            if not operand or depth > _MAX_DEPTH:
                return False
        elif token == ")":
            depth -= 1
            if operand or depth < 0:
                return False
        elif token in ("AND", "OR"):
            if operand:
                return False
            operand = True
        elif token == "WITH":
            after = tokens[index + 1] if index + 1 < len(tokens) else ""
            if operand or index == 0 or tokens[index - 1] == ")" or after not in _exceptions():
                return False
            operand = True
        else:
            excepting = index > 0 and tokens[index - 1] == "WITH"
            if not operand or (token in _exceptions()) != excepting:
                return False
            operand = False
    return depth == 0 and not operand


def _pieces(text: str) -> list[str]:
    """A text cut where one statement ends and another begins. Takes time in proportion to its length."""
    pieces, place = [], 0
    for cut in _CUT.finditer(text):
        pieces.append(text[place : cut.start()])
        place = cut.end()
        if cut["url"]:
            pieces.append(cut["url"].rstrip("."))
    pieces.append(text[place:])
    return [piece.strip() for piece in pieces if piece.strip(" \t.")]


def _terms(tree: Any) -> list[Any]:
    """The parts of a conjunction."""
    if type(tree).__name__ == "AND":
        return [term for part in tree.args for term in _terms(part)]
    return [tree.render()]


def _is_expression(text: str) -> bool:
    return _is_bare_cc(text) or _expression(text) is not None


def _is_bare_cc(text: str) -> bool:
    return re.fullmatch(r"CC(-(BY|NC|ND|SA)){1,4}", text) is not None


@cache
def _licensing() -> Any:
    from license_expression import get_spdx_licensing

    return get_spdx_licensing()


@cache
def _exceptions() -> frozenset[str]:
    """Exceptions that SPDX lists; ScanCode's own symbols are none."""
    symbols = _licensing().known_symbols
    return frozenset(
        name for name, symbol in symbols.items() if symbol.is_exception and not name.startswith("LicenseRef-")
    )


@cache
def _canonical() -> dict[str, str]:
    """SPDX identifiers by their lower case, of licences and exceptions, with those that SPDX has renamed."""
    symbols = _licensing().known_symbols
    names = [name for name in symbols if not name.startswith("LicenseRef-")]
    old = {
        alias.casefold(): name
        for name in names
        for alias in symbols[name].aliases
        if re.fullmatch(r"[A-Za-z0-9.+-]+", alias) and not alias.startswith("LicenseRef-")
    }
    return old | {name.casefold(): name for name in names}


@cache
def known_licences() -> frozenset[str]:
    """Identifiers of SPDX's list."""
    return frozenset(_canonical().values())
