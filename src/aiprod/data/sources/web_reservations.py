"""What a web server says against training: in the headers of a film, and in the two files that speak of a whole site.

Headers are those of the TDM Reservation Protocol (``tdm-reservation``, ``tdm-policy``), ``X-Robots-Tag: noai``,
``Content-Usage`` and a ``Link`` to a licence. Of a site, ``/.well-known/tdmrep.json`` and ``/robots.txt`` are read: for
this program, and for the crawlers by which a site names the training of models.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import unquote, urlsplit

from aiprod.base.params import validate
from aiprod.errors import AiprodError
from aiprod.rights.declarations import SidecarRecord
from aiprod.rights.licence_words import quoted
from aiprod.rights.statements import fields_of, merged

TDMREP, ROBOTS = "/.well-known/tdmrep.json", "/robots.txt"
MAX_SAID = 1 << 19  # bytes of either that are read (RFC 9309 asks for 500 KiB)
AGENT = "aiprod"
_AI_CRAWLERS = (
    *("gptbot", "ccbot", "google-extended", "claudebot", "anthropic-ai", "applebot-extended", "meta-externalagent"),
    *("facebookbot", "bytespider", "amazonbot", "cohere-ai", "cohere-training-data-crawler", "diffbot", "omgilibot"),
    *("img2dataset", "ai2bot", "laion-huggingface-processor"),
)
_NO_TRAINING = re.compile(r"\b(?:train-ai|ai-train|train-genai|tdm)\s*=\s*(?:n|no|\?0)\b", re.IGNORECASE)
_LICENCE_LINK = re.compile(r"<([^<>]{1,300})>\s*;[^,<]*\brel\s*=\s*\"?[^\",;]*\blicense\b", re.IGNORECASE)
_HEARD = ("tdm-reservation", "tdm-policy", "x-robots-tag", "content-usage", "link")


@dataclass
class SeenHeaders:
    """The headers of answers that speak of rights, as they come by."""

    _by_address: dict[str, list[tuple[str, str]]] = field(default_factory=dict)

    def trace(self) -> Any:
        """What aiohttp calls for each answer, redirections included."""
        import aiohttp

        config = aiohttp.TraceConfig()

        async def note(_session: Any, _context: Any, params: Any) -> None:
            headers = [
                (name.lower(), value) for name, value in params.response.headers.items() if name.lower() in _HEARD
            ]
            for address in {str(params.url), str(params.response.url)}:
                self._by_address.setdefault(unquote(address), []).extend(headers)

        config.on_request_end.append(note)
        config.on_request_redirect.append(note)
        return config

    def of(self, address: str) -> dict[str, Any]:
        """What the answers for an address said."""
        return statement_from_headers(self._by_address.get(unquote(address), ()), "its header")


def statement_from_headers(headers: Iterable[tuple[str, str]], where: str) -> dict[str, Any]:
    """Headers as fields of a record."""
    statements: list[dict[str, Any]] = []
    for name, value in dict.fromkeys(headers):
        if name in ("tdm-reservation", "tdm-policy"):
            statements.append(fields_of([(name, value[:1000])], where))
        elif name == "x-robots-tag":
            heard = fields_of([("note", value[:1000])], where).get("objections", [])
            statements.append({"objections": [text.replace("note says", f"{where} {name} says") for text in heard]})
        elif name == "content-usage" and _NO_TRAINING.search(value):
            statements.append({"objections": [f"{where} {name} says {quoted(value[:80])}"]})
        elif name == "link":
            statements += [fields_of([("license", link)], where) for link in _LICENCE_LINK.findall(value[:4000])]
    return merged(statements)


def statement_from_page(content: bytes) -> dict[str, Any]:
    """What an index page says in its ``meta`` elements, which go by the names of the headers (and ``robots``)."""
    reader = _Metas()
    reader.feed(content[:MAX_SAID].decode("utf-8", "replace"))
    return statement_from_headers(reader.headers, "the page")


@dataclass(frozen=True)
class SiteRules:
    """What a site says of its addresses.

    Attributes:
        reserved: patterns of paths → fields, of ``tdmrep.json``.
        closed: agent → the rules that hold for it, as (pattern, whether it is allowed).
        of_all: what holds for all addresses.
        name: of the file that closes addresses to agents.
    """

    reserved: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    closed: Mapping[str, tuple[tuple[str, bool], ...]] = field(default_factory=dict)
    of_all: tuple[str, ...] = ()
    name: str = "robots.txt"

    def of(self, address: str) -> dict[str, Any]:
        """What is said of one address."""
        path = unquote(urlsplit(address).path) or "/"
        statements = [statement for pattern, statement in self.reserved if _matches(pattern, path)]
        objections = list(self.of_all)
        for agent, rules in self.closed.items():
            fitting = [(len(pattern), allowed) for pattern, allowed in rules if _matches(pattern, path)]
            if fitting and not max(fitting)[1]:
                objections.append(f"{self.name} closes it to {agent} (`User-agent: {AGENT}` may allow it)")
                break
        return merged([*statements, {"objections": objections}])


def site_rules(tdmrep: tuple[int, str, bytes], robots: tuple[int, str, bytes], name: str = "robots.txt") -> SiteRules:
    """What the two files say; each comes as status, content type and content.

    Args:
        name: of the second.
    """
    reserved: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    closed: dict[str, tuple[tuple[str, bool], ...]] = {}
    of_all: list[str] = []
    for place, (status, kind, content) in ((TDMREP, tdmrep), (ROBOTS, robots)):
        if status >= 500 or status == 0:
            of_all.append(f"{place} cannot be read ({status or 'no answer'}), so what it reserves is not known")
        elif status == 200 and "html" not in kind.lower():  # a site's own page for what it does not have
            if place == ROBOTS:
                closed = dict(_robots(content.decode("utf-8-sig", "replace")))
                of_all += [f"{name} says {quoted(m[0])}" for m in _NO_TRAINING.finditer(content.decode("latin-1"))]
            else:
                try:
                    reserved = tuple(_tdmrep(content))
                except (AiprodError, ValueError, RecursionError) as error:
                    of_all.append(f"{place} is not understood ({quoted(str(error)[:80])})")
    return SiteRules(reserved, closed, tuple(dict.fromkeys(of_all)), name)


def record(*statements: Mapping[str, Any]) -> SidecarRecord | None:
    """Several statements as one record; None where they say nothing."""
    statement = merged(statements)
    return validate(SidecarRecord, statement, "the server") if statement else None


def _tdmrep(content: bytes) -> Iterator[tuple[str, Mapping[str, Any]]]:
    rules = json.loads(content.decode("utf-8-sig"))
    if not isinstance(rules, list) or len(content) > MAX_SAID:
        raise ValueError("it is not a list of rules")
    for rule in rules:
        location = rule.get("location") if isinstance(rule, dict) else None
        if not isinstance(location, str):
            raise ValueError("a rule names no location")
        cells = [(str(key), value) for key, value in rule.items() if key != "location"]
        yield unquote(location), fields_of([cell for cell in cells if str(cell[0]).startswith("tdm")], TDMREP)


def _robots(text: str) -> Iterator[tuple[str, tuple[tuple[str, bool], ...]]]:
    """The rules for this program (else those for all) and for crawlers of AI that are named (RFC 9309)."""
    groups: dict[str, list[tuple[str, bool]]] = {}
    agents: list[str] = []
    in_rules = False
    for line in text[:MAX_SAID].splitlines():
        key, _, value = line.partition("#")[0].partition(":")
        key, value = key.strip().lower(), value.strip()
        if key == "user-agent":
            agents = [*([] if in_rules else agents), value.lower()]
            in_rules = False
            groups.setdefault(value.lower(), [])
        elif key in ("allow", "disallow"):
            in_rules = True
            for agent in agents if value else ():
                groups[agent].append((unquote(value), key == "allow"))
    if (own := groups.get(AGENT, groups.get("*"))) is not None:
        yield AGENT, tuple(own)
    if AGENT not in groups:
        yield from ((agent, tuple(groups[agent])) for agent in _AI_CRAWLERS if agent in groups)


def _matches(pattern: str, path: str) -> bool:
    """Whether a path begins as a pattern says, in which ``*`` is anything and ``$`` the end."""
    at, pieces = 0, pattern.removesuffix("$").split("*")
    for number, piece in enumerate(pieces):
        position = path.find(piece, at)
        if position < 0 or (number == 0 and position != 0):
            return False
        at = position + len(piece)
    return not pattern.endswith("$") or at == len(path) or (path.endswith(pieces[-1]) and len(pieces) > 1)


class _Metas(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.headers: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        name = (attributes.get("name") or attributes.get("http-equiv") or "").lower()
        if tag == "meta" and name in (*_HEARD, "robots"):
            self.headers.append(("x-robots-tag" if name == "robots" else name, attributes.get("content", "")))
        elif tag in ("link", "a") and "license" in attributes.get("rel", "").lower().split():
            self.headers.append(("link", f'<{attributes.get("href", "")}>; rel="license"'))
