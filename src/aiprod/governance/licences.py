"""What a licence lets a trainer do: see :mod:`aiprod.rights.licence_terms`."""

from __future__ import annotations

from aiprod.rights.licence_terms import (
    ATTRIBUTION,
    NEEDS_EVIDENCE,
    NO_ENDORSEMENT,
    SHARE_ALIKE,
    Contract,
    Finding,
    Right,
    judge_licence,
    licence_symbols,
    spdx,
)

__all__ = [
    "ATTRIBUTION",
    "NEEDS_EVIDENCE",
    "NO_ENDORSEMENT",
    "SHARE_ALIKE",
    "Contract",
    "Finding",
    "Right",
    "judge_licence",
    "licence_symbols",
    "spdx",
]
