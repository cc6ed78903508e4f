"""One thing in a lineage tree."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Node:
    """One thing in a lineage tree; ``children`` are what it came from (or, downwards, what was made from it)."""

    kind: str
    name: str
    facts: dict[str, Any] = field(default_factory=dict)
    children: list[Node] = field(default_factory=list)


@dataclass(slots=True)
class ShortNode(Node):
    """A node that came from more than it names."""

    more: int = 0
