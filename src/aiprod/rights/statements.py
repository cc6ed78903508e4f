"""What is said of one film, as fields; and what several statements come to together: the narrower word of each rules.

Statements are merged field by field. Licences are all to be kept (``AND``), one reservation is enough, free words are
gathered, and where two fields contradict each other so that neither is the narrower (two legal bases, two consents)
that is an objection, which denies.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aiprod.errors import AiprodError
from aiprod.rights.columns import OF_OWNERS, PEOPLE, field_of, is_plain_flag, plain_column
from aiprod.rights.licence_words import OWN, RESERVED, UNKNOWN, all_of, quoted, read_licence
from aiprod.rights.training_opt_outs import MAX_CELL, objection, readable
from aiprod.rights.unclear_words import unclear

BASES = (
    "none",
    "unknown",
    "legitimate_interests",
    "consent",
    "contract",
    "legal_obligation",
    "vital_interests",
    "public_task",
    "per-file",
)
_NO = frozenset(["0", "0.0", "false", "no", "n", "f", "off", "nein", "nej", "nee", "non"])
_YES = frozenset(["1", "1.0", "true", "yes", "y", "t", "on", "ja", "j", "oui", "si", "sí", "reserved"])
_NOBODY = _NO | {
    "none",
    "nobody",
    "no one",
    "keine",
    "keiner",
    "niemand",
    "aucun",
    "aucune",
    "personne",
    "ninguno",
    "-",
}
_FLAGS = (_NO | _YES | {"x", "✓", "✔", "✗", "✘", "☑", "☐", "☒"}) - {"0", "0.0", "1", "1.0", "reserved"}
_GATHERED = {"title": "; ", "description": "; ", "license_evidence": "; ", "attribution": "; ", "tdm_policy": "; "}
_JOINED = {"url": " ", "origin": " "}
OF_RIGHTS = {
    "media_license",
    "annotation_license",
    "consent_ref",
    "personal_data_basis",
    PEOPLE,
    "tdm_reservation",
    "tdm_policy",
}
_REFUSED = re.compile(  # as a whole cell: what somebody decided about the film, under whatever heading
    r"(not )?(rejected|refused|denied|withdrawn|revoked|expired|forbidden|prohibited|blocked|banned|do not use|"
    r"unusable|taken down|takedown|copyrighted|proprietary|restricted|no rights|on hold|pending|unclear|disputed|"
    r"to be (cleared|clarified|confirmed|checked)|tbc|tbd|under review|ask first|unverified|do not (release|publish)|"
    r"not (approved|cleared|permitted|allowed|usable)|verboten|gesperrt|abgelehnt|interdit|refuse|prohibido|proibido|"
    r"vietato)"
)
_NO_OWNER = re.compile(  # as a whole cell in a column for the owner: whoever it is, it is not who made the table
    r"(?:(?:it is |is )?(?:unknown|unclear|not known|undetermined|unbekannt|unklar|inconnue?|desconocid[oa]|"
    r"sconosciut[oa]|onbekend|okand|nieznany|none|nobody|no one|n a|tb[cd]|orphan|various|several|multiple|diverse|"
    r"divers|others?|(?:a )?(?:third|3rd) part(?:y|ies)|some(?:body|one) else|not (?:us|me|mine|ours)|"
    r"(?:the |our |a )?(?:client|customer|kunde|agency|broadcaster|distributor|label|studio|publisher)))?"
)
_MEDIA_HOUSES = re.compile(  # which make no film that somebody hands in as their own
    r"\b(?:bbc|itv|channel 4|sky (?:news|sports)|disney|pixar|lucasfilm|marvel|warner|universal pictures|paramount|"
    r"sony pictures|columbia pictures|20th century|netflix|amazon studios|hbo|nbc\w*|cbs|cnn|fox news|msnbc|c span|"
    r"pbs|espn|abc news|zdf|ard|orf|srf|rtl|prosieben|tf1|france televisions|canal|m6|gaumont|pathe|studiocanal|rai|"
    r"mediaset|rtve|atresmedia|televisa|globo|nhk|cctv|kbs|mbc|al jazeera|dreamworks|lionsgate|mgm|viralhog|storyful|"
    r"jukin(?: media)?|newsflare|caters|swns|framestock|artbeats|dissolve|nimia|unsplash|pexels|pixabay|mixkit|"
    r"coverr|videvo)\b"
)
_MAX_NAME = 200  # characters of a licence in a column that is not known
_FREE = ("title", "description", "attribution")  # that are about something else, or name somebody
_WORDS = ("title", "description", "license_evidence", "attribution", "origin", "url")


def fields_of(pairs: Iterable[tuple[str, Any]], where: str) -> dict[str, Any]:
    """The fields of one statement, from columns and their cells, of which each field may have several.

    Raises:
        AiprodError: a column or a value is wrong; names the place.
    """
    cells: dict[str, list[tuple[str, Any]]] = {}
    heard: list[str] = []  # against training, in columns that nothing here asks for
    for column, value in pairs:
        name = field_of(column, where)
        if name in (None, PEOPLE):
            if isinstance(value, dict | list):
                _check_nothing_within(value, column, where)
            heard += [text for text in (_heard(column, value) for value in _texts(value)) if text is not None]
        if name is None:
            heard += [_flag(under, word) for under, word in _leaves(column, value) if _is_flag(under, word)]
        if name is not None and value is not None and not (isinstance(value, str) and not value.strip()):
            cells.setdefault(name, []).append((column, value))
    if PEOPLE in cells and any(_basis(str(v), c, where) != "none" for c, v in cells.get("personal_data_basis", [])):
        del cells[PEOPLE]  # the basis that they ask for is stated
    single = [_single(name, column, value, where) for name, texts in cells.items() for column, value in texts]
    statement = merged([*single, {"objections": heard}])
    if OWN in str(statement.get("media_license")) and (house := _house(str(statement.get("attribution", "")))):
        why = f"it is said to be your own, and to be owed to {quoted(house)}: name its licence"
        statement = merged([statement, {"objections": [why]}])
    if "repo" in cells:
        parts = [str(cells[name][0][1]).strip() for name in ("repo", "path") if name in cells]
        commit = f"@{str(cells['commit'][0][1]).strip()}" if "commit" in cells else ""
        statement["origin"] = " ".join(
            [":".join(parts) + commit, *([statement["origin"]] if "origin" in statement else [])]
        )
    return statement


def _house(credit: str) -> str | None:
    """The broadcaster, studio or agency that a credit names."""
    hit = _MEDIA_HOUSES.search(" ".join(re.sub(r"[\W_]+", " ", readable(credit)).split()))
    return None if hit is None else hit[0]


def _texts(value: Any) -> list[str]:
    """The texts in a value, however deep."""
    texts, waiting = [], [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            waiting += [*one.keys(), *one.values()]
        elif isinstance(one, list):
            waiting += one
        elif isinstance(one, str):
            texts.append(one)
    return sorted(texts)


def _leaves(column: str, value: Any) -> list[tuple[str, Any]]:
    """The single values in a value, each with the name that it stands under."""
    leaves, waiting = [], [(column, value)]
    while waiting:
        name, one = waiting.pop()
        if isinstance(one, dict):
            waiting += [(str(key), inner) for key, inner in one.items()]
        elif isinstance(one, list):
            waiting += [(name, inner) for inner in one]
        else:
            leaves.append((name, one))
    return leaves


def _is_flag(name: str, value: Any) -> bool:
    """Whether yes or no is said under a name of which nobody here knows what it asks."""
    is_flag = isinstance(value, bool) or (isinstance(value, str) and _word(value) in _FLAGS)
    return is_flag and not is_plain_flag(name)


def _flag(name: str, value: Any) -> str:
    return (
        f"{quoted(name)} is {quoted(str(value))}, and what it asks is not understood: rename the column, or remove it"
    )


def _word(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold().strip(" .!\"'")


def _heard(column: str, text: str) -> str | None:
    """What a text in a column that is not known says against training: in words, or as a licence that forbids it."""
    against = objection(text) or objection(f"{column}: {text}") or unclear(text)
    if against is None and is_refusal(text):
        against = quoted(text)
    if against is None and len(text) <= _MAX_NAME:
        spdx = read_licence(text).spdx
        against = quoted(text) if RESERVED in spdx or re.search(r"\bCC(-\w+)*-N[CD]\b", spdx) else None
    return f"{quoted(column)} says {against}" if against else None


def is_refusal(text: str) -> bool:
    """Whether a text as a whole says that somebody decided against a film."""
    return _REFUSED.fullmatch(" ".join(re.sub(r"[\W_]+", " ", readable(text)).split())) is not None


def _check_nothing_within(value: Any, column: str, where: str) -> None:
    """Refuse statements that stand one level too deep: under a key that is not read."""
    for inner in value if isinstance(value, list) else [value]:
        if not isinstance(inner, dict):
            continue
        for key, deeper in inner.items():
            if field_of(str(key), where) in OF_RIGHTS:
                raise AiprodError(f"{where}: {quoted(str(key))} is inside {quoted(column)}", "write it at the top")
            if isinstance(deeper, dict | list):
                _check_nothing_within(deeper, str(key), where)


def merged(statements: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Several statements of one film as one. Their order and number make no difference to what is permitted."""
    together: dict[str, Any] = {}
    objections: set[str] = set()
    for name in dict.fromkeys(key for statement in statements for key in statement):
        values = [statement[name] for statement in statements if statement.get(name) not in (None, [])]
        if not values:
            continue
        if name == "labels":
            together[name] = list(dict.fromkeys(label for value in values for label in value))
        elif name == "objections":
            objections.update(text for value in values for text in value)
        elif name in ("media_license", "annotation_license"):
            together[name] = _licences(values)
        elif name == "media_license_declared":
            together[name] = " | ".join(sorted({str(value) for value in values}))
        elif name == "tdm_reservation":
            together[name] = any(values)
        elif name in _GATHERED or name in _JOINED:
            separator = _GATHERED.get(name) or _JOINED[name]
            together[name] = separator.join(sorted({str(value) for value in values}))
        else:
            stated = sorted({str(value) for value in values} - ({"none"} if name == "personal_data_basis" else set()))
            together[name] = stated[-1] if stated else values[0]
            if len(stated) > 1:
                readings = " and as ".join(quoted(value) for value in stated[:4])
                objections.add(f"{name} is stated as {readings}")
    if objections:
        together["objections"] = sorted(objections)
    return together


def _licences(values: Sequence[Any]) -> str:
    """The licences of several statements; one that is not understood keeps its words, to be quoted."""
    problem = next((str(value) for value in sorted(map(str, values)) if read_licence(str(value)).problem), None)
    return problem if problem is not None else all_of(read_licence(str(value)).spdx for value in values)


def _single(name: str, column: str, value: Any, where: str) -> dict[str, Any]:
    """What one cell says."""
    if name == "labels":
        pieces = value if isinstance(value, list) else re.split(r"[;,]", _text(value, column, where))
        labels = [str(piece).strip() for piece in pieces if str(piece).strip()]
        statement: dict[str, Any] = {"labels": labels}
        against = objection("; ".join(labels)) or unclear("; ".join(labels))
        return statement | ({"objections": [f"{column} says {against}"]} if against else {})
    if name == "media_license":
        words = (
            " | ".join(_text(v, column, where) for v in value)
            if isinstance(value, list)
            else _text(value, column, where)
        )
        return {"media_license_declared": words, "media_license": read_licence(words).spdx}
    text = _text(value, column, where)
    if name == "annotation_license":
        licence = read_licence(text)
        return {name: text if licence.problem else licence.spdx}
    if name == "tdm_reservation":
        word = _word(text)
        reserved = word not in _NO
        odd = reserved and word not in _YES
        return {name: reserved} | (
            {"objections": [f"{column} is {quoted(text)}, which counts as reserved"]} if odd else {}
        )
    if name == "personal_data_basis":
        return {name: _basis(text, column, where)}
    if name == PEOPLE:
        return {} if _word(text) in _NOBODY else {"personal_data_basis": UNKNOWN}
    if name in ("repo", "path", "commit", "file"):
        against = objection(text) if name != "file" else None
        return {"objections": [f"{column} says {against}"]} if against else {}
    against = objection(f"credit {text}" if name == "attribution" else text) if name in _WORDS else None
    if against is None and name in _FREE:
        against = unclear(text)
    if against is None and name == "attribution" and plain_column(column) in OF_OWNERS:
        bare = " ".join(re.sub(r"[\W_]+", " ", readable(text)).split())
        against = quoted(text) if _NO_OWNER.fullmatch(bare) else None
    return {name: text} | ({"objections": [f"{column} says {against}"]} if against else {})


def _basis(text: str, column: str, where: str) -> str:
    word = re.sub(r"[\W_]+", "_", unicodedata.normalize("NFKC", text).casefold()).strip("_")
    word = {"legitimate_interest": "legitimate_interests", "per_file": "per-file", "": UNKNOWN}.get(word, word)
    word = {"not_stated": UNKNOWN, "unstated": UNKNOWN, "n_a": UNKNOWN, "unclear": UNKNOWN}.get(word, word)
    if word not in BASES:
        raise AiprodError(f"{where}: {column} is {quoted(text)}", f"write one of {', '.join(BASES[:-1])}")
    return UNKNOWN if word == "per-file" else word


def _text(value: Any, column: str, where: str) -> str:
    text = value.strip() if isinstance(value, str) else str(value)
    if len(text) > MAX_CELL:
        raise AiprodError(f"{where}: {column} has {len(text)} characters, {MAX_CELL} are read at most", "shorten it")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise AiprodError(f"{where}: there is half a character in it (a lone surrogate)", "write it again") from None
    return text
