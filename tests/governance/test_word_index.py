"""Needles are found wherever they stand, and nothing else is: as Python's own search says."""

from __future__ import annotations

import random

import pytest

from aiprod.governance.erasure.search_patterns import Needles
from aiprod.governance.erasure.word_index import SHORTEST, WordIndex


@pytest.mark.parametrize("length", [SHORTEST, 16, 31, 32, 64, 65])
@pytest.mark.parametrize("count", [1, 300])
def test_a_needle_is_found_at_every_place_of_the_data(length: int, count: int) -> None:
    source = random.Random(length)
    needles = [source.randbytes(length) for _ in range(count)]
    index = WordIndex(needles)
    for size in (length, length + 1, 200, (1 << 19) + 77):  # the last is more than is looked at at once
        ground = source.randbytes(size)
        assert not index.may_hold(ground)
        last = size - length
        for start in {*range(min(17, last + 1)), last // 2, max(0, last - 9), last, min(last, (1 << 19) - 7)}:
            found = ground[:start] + needles[start % count] + ground[start + length :]
            assert index.may_hold(found), (size, start)


def test_kinds_are_told_as_plain_search_tells_them() -> None:
    source = random.Random(1)
    names, hashes = {b"Ann.mp4", "Gräfin".encode(), b"a much longer title of a film"}, {b"%032x" % 7, b"%064x" % 9}
    needles = Needles(names=names, hashes=hashes, pieces={source.randbytes(64) for _ in range(12)})
    every = [*needles.names, *needles.hashes, *needles.pieces]
    for _ in range(400):
        data = bytearray(source.randbytes(source.randrange(3000)))
        for needle in source.sample(every, source.choice([0, 0, 1, 2])):
            cut = needle[: source.choice([len(needle), len(needle), len(needle) - 1])]  # a part is none
            data[(at := source.randrange(len(data) + 1)) : at] = cut
        kinds = {"pieces": needles.pieces, "hashes": needles.hashes, "names": needles.names}
        assert needles.in_data(bytes(data)) == [k for k, wanted in kinds.items() if any(n in data for n in wanted)]


def test_a_needle_that_is_added_is_looked_for_from_then_on() -> None:
    needles = Needles()
    assert needles.in_data(b"x" * 100 + bytes(range(64))) == []
    needles.pieces.add(bytes(range(64)))
    assert needles.in_data(b"x" * 100 + bytes(range(64))) == ["pieces"]
    needles.names.add(b"film 7")
    assert needles.in_data(b"about film 7") == ["names"]
