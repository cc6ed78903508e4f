"""What a film or a recording says of its own rights: the tags of its container and its XMP packets, as the fields of a
statement. Reasons call it "the file", because the same words are read in films, recordings and pictures.

Tags that are there for rights (a licence, terms of use) are read as strictly as a table's: what is not understood is an
objection. A copyright notice names an owner and takes nothing away, unless it says more than that. In other words, such
as a comment, only a Creative Commons licence and what speaks against training are heard.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator
from typing import Any
from xml.etree import ElementTree

from aiprod.rights.columns import plain_column
from aiprod.rights.licence_words import RESERVED, UNKNOWN, quoted, read_licence
from aiprod.rights.licences import judge_licence
from aiprod.rights.owners import names_somebody
from aiprod.rights.right import Right
from aiprod.rights.statements import merged
from aiprod.rights.training_opt_outs import objection
from aiprod.rights.unclear_words import unclear

MAX_XMP = 1 << 20  # bytes of a packet
_LICENCE = re.compile(r"(^|_)(license|license_url|terms_of_use|termsofuse|usage_terms|usageterms|web_?statement)$")
_NOTICE = re.compile(r"(^|_)(copyright|copyrights|rights|cprt|copyright_notice|owner|legal)$")
_RESERVATION = re.compile(r"(^|_)(tdm_reservation|reservation|do_not_train|notrain|noai|no_ai|datamining|data_mining)$")
_CREDIT = re.compile(
    r"(^|_)(artist|author|creator|publisher|producer|credit|credits|provider|source|by_?line|photographer|network|owner)$"
)
_LANGUAGE = re.compile(r"_[a-z]{2,3}$")
_MORE = re.compile(  # words by which a notice says more than whose the film is
    r"licen|creative ?commons|permi[ts]|restrict|prohibit|forbid|reserv|vorbehalten|réserv|only|\bnot?\b|\bnon\b|"
    r"except|unauthori|confidential|proprietary|without|protect|propert|trademark|lizenz|licenc|nutzung|禁|转载|転載|無断"
)
_LEAD = re.compile(
    r"^\s*(?:this (?:work|film|video|file) is )?(?:licensed|licenced|released|available|distributed|published) under "
    r"(?:the |a |an )?(?:terms of (?:the )?)?",
    re.IGNORECASE,
)
_ALLOWED = frozenset({"0", "false", "no", "dmi-allowed", "dmi-unspecified", "allowed", "unspecified"})
_MAX_TAGS = 10_000
_COMMON_CHARS = 200
_REMEDY = "if it is yours, correct what it says of itself (docs/sources.md, Your own film)"


def statement_from_tags(tags: Iterable[tuple[str, str]], where: str = "") -> dict[str, Any]:
    """What tags (name and value) come to; empty where they say nothing of rights.

    Args:
        where: they stand, in words such as `` in its XMP``.
    """
    statements = []
    for number, (name, value) in enumerate(tags):
        if number >= _MAX_TAGS:
            statements.append({"objections": [f"the file has more than {_MAX_TAGS} tags, which are read at most"]})
            break
        if value.strip():
            read = _from_common_tag if len(value) <= _COMMON_CHARS else _from_tag
            statements.append(read(name, value, where))
    return merged([statement for statement in statements if statement])


def statement_from_xmp(packet: bytes) -> dict[str, Any]:
    """What an XMP packet comes to. One that cannot be read may have said anything, which is an objection."""
    if len(packet) > MAX_XMP:
        return {"objections": [f"the file has an XMP packet of more than {MAX_XMP} bytes, which is not read"]}
    properties = properties_of_xml(packet)
    if properties is None:
        return {"objections": ["the file has an XMP packet that cannot be read"]}
    return statement_from_tags(properties, " in its XMP")


def properties_of_xml(document: bytes) -> list[tuple[str, str]] | None:
    """Names and values in an XML document of UTF-8; None where it cannot be read."""
    if b"<!" in document.replace(b"<!--", b""):  # a document type may define entities without end
        return None
    try:
        root = ElementTree.fromstring(document.decode("utf-8-sig"))  # noqa: S314 (bounded, without a document type)
    except (ElementTree.ParseError, ValueError, RecursionError):
        return None
    return list(_properties(root))


def against_training(statement: dict[str, Any]) -> str | None:
    """Why what a film says of itself permits no training, whatever else is said of it; None where it may."""
    if statement.get("objections"):
        return f"{'; '.join(statement['objections'][:3])}; {_REMEDY}"
    if statement.get("tdm_reservation"):
        return f"the file itself reserves text and data mining; {_REMEDY}"
    if "media_license" not in statement:
        return None
    words = str(statement["media_license_declared"])
    why = _against(words)
    return None if why is None else f"the file itself states {quoted(words)}: {why}; {_REMEDY}"


def _against(words: str) -> str | None:
    """Why a licence permits no training, unless it is a contract that the source may have registered."""
    finding = judge_licence(words)
    contracts = set(re.findall(r"LicenseRef-[\w.-]+", read_licence(words).spdx)) - {RESERVED}
    return finding.why if finding.right == Right.DENY and not contracts else None


def _properties(root: ElementTree.Element) -> Iterator[tuple[str, str]]:
    """Names and values of what stands in a packet: texts and addresses of elements, and attributes."""
    waiting = [(root, _local(root.tag))]
    while waiting:
        element, name = waiting.pop()
        own = _local(element.tag)
        name = name if own in ("li", "Alt", "Bag", "Seq", "Description", "value") else own
        if element.text and element.text.strip():
            yield name, element.text.strip()
        for key, value in element.attrib.items():
            yield (name if _local(key) in ("resource", "value") else _local(key)), value
        waiting.extend((child, name) for child in element)


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def _from_tag(name: str, value: str, where: str) -> dict[str, Any]:
    if name == "unreadable_text":
        return {"objections": [f"the file has a text that is not read here{where}: {value}"]}
    tag = f"the file's tag {quoted(name)}{where}"
    plain = plain_column(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name))
    for spelt in (plain, _LANGUAGE.sub("", plain)):
        if _RESERVATION.search(spelt):
            word = value.strip().casefold().rpartition("/")[2]
            return {} if word in _ALLOWED else {"objections": [f"{tag} says {quoted(value)}"]}
        if _LICENCE.search(spelt):
            return _licence(tag, value, strict=True)
        if _NOTICE.search(spelt):
            return _licence(tag, value, strict=False)
    credited = any(_CREDIT.search(spelt) for spelt in (plain, _LANGUAGE.sub("", plain)))
    if (against := objection(f"credit {value}" if credited else value)) is not None:
        return {"objections": [f"{tag} says {against}"]}
    if (unread := unclear(value)) is not None:
        return {"objections": [f"{tag} says {unread}, which is not understood"]}
    return _creative_commons(tag, value)


_from_common_tag = functools.lru_cache(maxsize=1024)(_from_tag)  # films of one program bear the same tags


def _licence(tag: str, value: str, *, strict: bool) -> dict[str, Any]:
    """The licence in a tag; in a notice, what it says beyond whose the film is."""
    words = _LEAD.sub("", value)
    licence = read_licence(words)
    if licence.problem is None and licence.spdx != UNKNOWN:
        return _stated(tag, licence.spdx, words.strip())
    heard = objection(f"copyright {value}") or objection(value) or unclear(value)
    if not strict and heard is None:
        statement = _creative_commons(tag, value)
        if statement or (names_somebody(value) and not _MORE.search(value.casefold())):
            return statement
    return {"objections": [f"{tag} says {quoted(value)}, which is not understood"]}


def _stated(tag: str, spdx: str, words: str) -> dict[str, Any]:
    """A licence; one that denies is an objection as well, which says where it stands."""
    why = _against(words)
    statement = {"media_license": spdx, "media_license_declared": words}
    return statement if why is None else statement | {"objections": [f"{tag} says {quoted(words)}: {why}"]}


def _creative_commons(tag: str, value: str) -> dict[str, Any]:
    """The Creative Commons licences, with their versions, that are named among other words."""
    statements = []
    for piece in re.split(r"[()\[\]{}<>;,|\n\r\"]|\s[-–—:]\s|[:]\s|(?<![:/])/(?!/)\s|\s(?=https?://)", value[:2000]):
        words = _LEAD.sub("", piece).strip().rstrip(".")
        licence = read_licence(words) if 3 <= len(words) <= 200 and re.search(r"cc|creative", words, re.I) else None
        if licence is not None and re.fullmatch(r"CC0-1\.0|CC-BY(-[A-Z]+)*-\d\.\d(-[A-Z]+)?", licence.spdx):
            statements.append(_stated(tag, licence.spdx, words))
    return merged(statements)
