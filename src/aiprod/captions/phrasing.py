"""Chooses between wordings of the same meaning: varied over clips, the same for one clip."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Wording:
    """Draws from lists of phrases by a hash of the clip, the seed and the question."""

    def __init__(self, clip_id: str, seed: int) -> None:
        self._base = f"{seed}:{clip_id}"

    def pick(self, question: str, options: Sequence[T]) -> T:
        """One of ``options``."""
        digest = hashlib.sha256(f"{self._base}:{question}".encode()).digest()
        return options[int.from_bytes(digest[:4], "big") % len(options)]


def listed(things: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return things[0] if len(things) == 1 else ", ".join(things[:-1]) + " and " + things[-1]


def with_article(words: str) -> str:
    """``a red circle``, ``an orange square``."""
    return f"{'an' if words[:1].lower() in 'aeiou' else 'a'} {words}"


def capital(sentence: str) -> str:
    """First letter large."""
    return sentence[:1].upper() + sentence[1:]
