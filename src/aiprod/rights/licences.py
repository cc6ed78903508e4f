"""What a licence lets a trainer do: a table of terms over SPDX expressions.

Which words mean which licence is in :mod:`aiprod.rights.licence_words`, and nowhere else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from aiprod.rights.licence_words import UNKNOWN, known_licences, parsed, read_licence
from aiprod.rights.right import Right


@dataclass(frozen=True)
class Finding:
    """What one licence (or one layer of rights) permits, and why, in words."""

    right: Right
    why: str
    obligations: tuple[str, ...] = ()


class Contract(BaseModel):
    """A registered commercial data licence: the meaning of one ``LicenseRef-`` symbol."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    license_symbol: str = Field(pattern=r"^LicenseRef-[A-Za-z0-9.-]+$")
    expires: date | None = None
    permits_training: bool = False
    obligations: list[str] = Field(default_factory=list, description="what it asks of a model, in words")


ATTRIBUTION = "attribution"
SHARE_ALIKE = "share-alike"
NO_ENDORSEMENT = "no-endorsement"

_FREE = {"CC0-1.0", "CC-PDDC", "PDDL-1.0", "Unlicense", "0BSD", "MIT-0", "WTFPL"}
_CREDIT = {
    "MIT",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Zlib",
    "ODC-By-1.0",
    "OGL-UK-3.0",
    "OGL-UK-2.0",
    "CDLA-Permissive-1.0",
    "CDLA-Permissive-2.0",
    "etalab-2.0",
}
_CREDIT_PATTERN = re.compile(r"CC-BY-\d\.\d(-[A-Z]+)?$")  # with ports such as CC-BY-3.0-DE
_COPYLEFT_PATTERN = re.compile(
    r"(CC-BY-SA-\d\.\d(-[A-Z]+)?|ODbL-1\.0|CDLA-Sharing-1\.0|CC-SA-1\.0|(A|L)?GPL-.*|GFDL-.*|FAL-1\.3)$"
)
_CC_VERSIONS = ("1.0", "2.0", "2.5", "3.0", "4.0")
_REGISTERED = {
    "LicenseRef-public-domain": Finding(Right.TRAIN, "in the public domain by the evidence recorded beside it"),
    "LicenseRef-public-domain-us-government": Finding(
        Right.TRAIN_WITH_OBLIGATIONS,
        "a work of the United States government (17 U.S.C. § 105): no copyright there; the agency asks to be named "
        "and must not seem to endorse",
        (ATTRIBUTION, NO_ENDORSEMENT),
    ),
    "LicenseRef-own": Finding(Right.TRAIN, "made by, or with all rights assigned to, whoever runs this pipeline"),
    "LicenseRef-all-rights-reserved": Finding(Right.DENY, "all rights are reserved"),
}
NEEDS_EVIDENCE = frozenset({"LicenseRef-public-domain", "LicenseRef-public-domain-us-government"})


def licence_symbols(text: str) -> list[str]:
    """The licences that a text names, in order; empty where it is not understood."""
    tree = parsed(read_licence(text).spdx)
    return [str(s.key) for s in tree.symbols] if tree is not None else []


def judge_licence(text: str | None, *, contracts: dict[str, Contract] | None = None, on: date | None = None) -> Finding:
    """What a licence expression permits.

    ``AND`` takes the minimum of its parts and all their obligations; ``OR`` lets the licensee choose, so it takes the
    best part, the one with fewer obligations among equals. What is unknown, malformed, or has no rule is denied.

    Args:
        text: a licence in any spelling that is understood; None means that nobody said.
        contracts: the registered contracts by their ``LicenseRef-`` symbol.
        on: the day for which contracts are judged; today when not given.
    """
    licence = read_licence(text or "")
    if licence.problem is not None:
        return Finding(Right.DENY, f"{licence.problem}, and what is not understood means no")
    if licence.spdx == UNKNOWN:
        return Finding(Right.DENY, "no licence is stated, and unknown means no")
    bare = next((s for s in re.findall(r"[\w.-]+", licence.spdx) if _is_unversioned_cc(s)), None)
    if bare is not None:
        versions = ", ".join(f"{bare}-{v}" for v in _CC_VERSIONS)
        return Finding(Right.DENY, f"{bare!r} names no version, and the versions differ: say one of {versions}")
    return _judge_tree(parsed(licence.spdx), contracts or {}, on or date.today())


def spdx(text: str) -> str:
    """The SPDX spelling of a stated licence; ``unknown`` where it is not understood."""
    return read_licence(text).spdx


def _judge_tree(tree: Any, contracts: dict[str, Contract], on: date) -> Finding:
    """Evaluate a parsed expression bottom up."""
    name = type(tree).__name__
    if name in {"AND", "OR"}:
        parts = [_judge_tree(part, contracts, on) for part in tree.args]
        if name == "AND":
            together = tuple(dict.fromkeys(o for part in parts for o in part.obligations))
            return Finding(min(p.right for p in parts), "; and ".join(p.why for p in parts), together)
        best = max(parts, key=lambda p: (p.right, -len(p.obligations)))
        return Finding(best.right, f"of the licences offered, this one is chosen: {best.why}", best.obligations)
    if name == "LicenseWithExceptionSymbol":  # of SPDX's own list, in which an exception only ever adds permissions
        return _judge_tree(tree.license_symbol, contracts, on)
    return _judge_symbol(str(tree.key), contracts, on)


def _judge_symbol(key: str, contracts: dict[str, Contract], on: date) -> Finding:
    """One licence."""
    if key in contracts:
        return _judge_contract(key, contracts[key], on)
    if key in _REGISTERED:
        return _REGISTERED[key]
    if key.startswith("LicenseRef-"):
        return Finding(Right.DENY, f"{key} is not a registered contract")
    if re.search(r"(^|-)NC(-|$)", key):
        return Finding(Right.DENY, f"{key} forbids commercial use")
    if re.search(r"(^|-)ND(-|$)", key):
        return Finding(Right.DENY, f"{key} forbids derivatives, and whether a model is one is not settled")
    if key not in known_licences():
        return Finding(Right.DENY, f"{key!r} is not an SPDX licence")
    if key in _FREE:
        return Finding(Right.TRAIN, f"{key} permits every use")
    if _COPYLEFT_PATTERN.match(key):
        return Finding(
            Right.TRAIN_WITH_OBLIGATIONS,
            f"{key} permits commercial use with credit and share-alike",
            (ATTRIBUTION, SHARE_ALIKE),
        )
    if key in _CREDIT or _CREDIT_PATTERN.match(key):
        return Finding(Right.TRAIN_WITH_OBLIGATIONS, f"{key} permits commercial use with credit", (ATTRIBUTION,))
    return Finding(Right.DENY, f"there is no rule for {key}; legal has to add one")


def _judge_contract(key: str, contract: Contract, on: date) -> Finding:
    """A registered commercial contract on one day."""
    if not contract.permits_training:
        return Finding(Right.DENY, f"contract {contract.id} ({key}) does not grant training of models")
    end = contract.expires
    if end is not None and end < on:
        return Finding(Right.DENY, f"contract {contract.id} ({key}) expired on {end.isoformat()}")
    until = f" until {end.isoformat()}" if end else ""
    right = Right.TRAIN_WITH_OBLIGATIONS if contract.obligations else Right.TRAIN
    return Finding(right, f"contract {contract.id} ({key}) grants training{until}", tuple(contract.obligations))


def _is_unversioned_cc(symbol: str) -> bool:
    return re.fullmatch(r"CC-(BY|SA|NC|ND|BY-(SA|NC|ND|NC-SA|NC-ND))", symbol, re.IGNORECASE) is not None
