"""Looks for many needles in one pass over the data, whatever their number.

A needle of 15 bytes or more that stands anywhere covers one whole word of 8 bytes whose address is a multiple of 8.
So the 8 words that each needle may show at such an address are put into a table, and every word of the data is looked
up there (a hash by multiplication, as in Knuth, TAOCP 3, 6.4). Only where a word is known are the needles themselves
looked for.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

WORD = 8
SHORTEST = 2 * WORD - 1
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_AT_ONCE = 1 << 16  # words: what is made of them stays in the processor's cache
_BITS_MIN, _BITS_MAX = 12, 22


class WordIndex:
    """The words of some needles, each of at least :data:`SHORTEST` bytes."""

    def __init__(self, needles: Iterable[bytes]) -> None:
        words = b"".join(needle[start : start + WORD] for needle in needles for start in range(WORD))
        self._words = np.unique(np.frombuffer(words, "<u8"))
        bits = min(_BITS_MAX, max(_BITS_MIN, int(64 * len(self._words)).bit_length()))
        self._shift = np.uint64(64 - bits)
        self._table = np.zeros(1 << bits, np.bool_)
        self._table[self._places(self._words)] = True

    def may_hold(self, data: bytes) -> bool:
        """Whether a needle may be in ``data``; False is certain."""
        if not len(self._words):
            return False
        words = np.frombuffer(data, "<u8", count=len(data) // WORD)
        for start in range(0, len(words), _AT_ONCE):
            part = words[start : start + _AT_ONCE]
            known = self._table.take(self._places(part))
            if known.any() and bool(np.isin(part[known], self._words).any()):
                return True
        return False

    def _places(self, words: np.ndarray) -> np.ndarray:
        return ((words * _FACTOR) >> self._shift).view(np.int64)
