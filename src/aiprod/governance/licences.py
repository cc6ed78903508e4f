"""What a licence lets a trainer do: SPDX expressions, a table of terms, and the few free-text spellings we accept."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date
from enum import IntEnum
from functools import cache
from typing import Any


class Right(IntEnum):
    """A permission to train, ordered so that the effective right is the minimum of the layers."""

    DENY = 0
    TRAIN_WITH_OBLIGATIONS = 1
    TRAIN = 2

    @property
    def word(self) -> str:
        """The spelling in manifests."""
        return self.name.lower()


@dataclass(frozen=True)
class Finding:
    """What one licence (or one layer of rights) permits, and why, in words."""

    right: Right
    why: str
    obligations: tuple[str, ...] = ()


@dataclass(frozen=True)
class Contract:
    """A commercial data licence: the registered meaning of one ``LicenseRef-`` symbol."""

    contract_id: str
    permits_training: bool = False
    expires_on: date | None = None
    obligations: tuple[str, ...] = field(default=())


ATTRIBUTION = "attribution"
SHARE_ALIKE = "share-alike"
NO_ENDORSEMENT = "no-endorsement"

# Free text that appears beside real collections, and the term it means. Lower case; nothing is guessed beyond it.
FREE_TEXT = {
    "cc0": "CC0-1.0",
    "cc0-1.0 / public domain": "CC0-1.0",
    "public domain": "LicenseRef-public-domain",
    "public domain (unlicense)": "Unlicense",
    "public domain (nasa)": "LicenseRef-public-domain-us-government",
    "public domain (us government)": "LicenseRef-public-domain-us-government",
    "public domain mark 1.0": "LicenseRef-public-domain",
}

_FREE = {"CC0-1.0", "CC-PDDC", "PDDL-1.0", "Unlicense", "0BSD", "MIT-0", "WTFPL", "CC-PDM-1.0"}
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
    """The licences an expression names, in order; empty where it does not parse."""
    try:
        tree = _licensing().parse(_spelling(text), validate=False)
    except Exception:
        return []
    return [str(s.key) for s in _licensing().license_symbols(tree)] if tree is not None else []


def judge_licence(text: str | None, *, contracts: dict[str, Contract] | None = None, on: date | None = None) -> Finding:
    """What a licence expression permits.

    ``AND`` takes the minimum of its parts and all their obligations; ``OR`` lets the licensee choose, so it takes the
    best part, the one with fewer obligations among equals. What is unknown, malformed, or has no rule is denied.

    Args:
        text: an SPDX expression, or one of the spellings in ``FREE_TEXT``; None means that nobody said.
        contracts: the registered contracts by their ``LicenseRef-`` symbol.
        on: the day for which contracts are judged; today when not given.
    """
    if text is None or not text.strip() or text.strip().lower() in {"unknown", "unspecified", "not stated"}:
        return Finding(Right.DENY, "no licence is stated, and unknown means no")
    expression = _spelling(text)
    bare = next((s for s in re.findall(r"[\w.-]+", expression) if _is_unversioned_cc(s)), None)
    if bare is not None:
        versions = ", ".join(f"{bare.upper()}-{v}" for v in _CC_VERSIONS)
        return Finding(Right.DENY, f"{bare!r} names no version, and the versions differ: say one of {versions}")
    try:
        tree = _licensing().parse(expression, validate=False)
    except Exception:
        return Finding(Right.DENY, f"{text!r} is not an SPDX expression")
    return _judge_tree(tree, contracts or {}, on or date.today())


def spdx(text: str) -> str:
    """The SPDX spelling of a stated licence; the text itself where there is none."""
    try:
        return str(_licensing().parse(_spelling(text), validate=False).render())
    except Exception:
        return text


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
    if name == "LicenseWithExceptionSymbol":  # an exception only ever adds permissions
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
    if key not in _known():
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
        return Finding(Right.DENY, f"contract {contract.contract_id} ({key}) does not grant training of models")
    end = contract.expires_on
    if end is not None and end < on:
        return Finding(Right.DENY, f"contract {contract.contract_id} ({key}) expired on {end.isoformat()}")
    until = f" until {end.isoformat()}" if end else ""
    right = Right.TRAIN_WITH_OBLIGATIONS if contract.obligations else Right.TRAIN
    return Finding(right, f"contract {contract.contract_id} ({key}) grants training{until}", contract.obligations)


def _spelling(text: str) -> str:
    plain = " ".join(text.split())
    return FREE_TEXT.get(plain.lower(), plain)


def _is_unversioned_cc(symbol: str) -> bool:
    return re.fullmatch(r"CC-(BY|SA|NC|ND|BY-(SA|NC|ND|NC-SA|NC-ND))", symbol, re.IGNORECASE) is not None


@cache
def _licensing() -> Any:
    from license_expression import get_spdx_licensing

    return get_spdx_licensing()


@cache
def _known() -> frozenset[str]:
    return frozenset(_licensing().known_symbols)
