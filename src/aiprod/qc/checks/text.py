"""Text in the picture (names and number plates are personal data): nothing looks for it yet, and the row says so."""

from __future__ import annotations

from typing import Any

VERSION = "1"
METHOD = "none: no text detector is configured"


def measure() -> dict[str, Any]:
    """An answer that is never a score."""
    return {"status": "not_evaluated", "reason": "no text detector is configured"}
