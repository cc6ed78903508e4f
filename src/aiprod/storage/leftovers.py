"""What killed processes left of results under way. Apart from the result cache, for every stage begins with this."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from aiprod.base.state import state
from aiprod.base.tempdirs import sweep

UNDER_WAY = ".new."
"""How the name of a folder begins in which a result is made."""


@cache
def sweep_once(folder: Path) -> None:
    """Remove what killed processes left below a folder of results; once per process, for it looks at every entry."""
    sweep(folder, f"*/{UNDER_WAY}*")


def sweep_all() -> None:
    """Remove what killed processes left of results under way, of every stage: the next one may keep nothing."""
    for folder in (state().root / "memo").glob("*"):
        sweep_once(folder)
