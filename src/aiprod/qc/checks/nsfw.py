"""Unsafe content: nothing is configured that could judge it, and the row says so."""

from __future__ import annotations

from typing import Any

VERSION = "1"
METHOD = "none: no classifier is configured"


def measure() -> dict[str, Any]:
    """An answer that is never a score."""
    return {"status": "not_evaluated", "reason": "no classifier for unsafe content is configured"}
