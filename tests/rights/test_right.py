"""One order of rights, in which a word of a manifest has the same place as its right."""

from __future__ import annotations

import itertools

import pytest

from aiprod.rights.right import Right

WORDS = ["deny", "train_with_obligations", "train"]  # from the narrowest


@pytest.mark.parametrize(("one", "other"), list(itertools.product(WORDS, repeat=2)))
def test_a_narrower_right_is_less_than_a_wider_one(one: str, other: str) -> None:
    here, there = WORDS.index(one), WORDS.index(other)
    a, b = Right(one), Right(other)
    assert ((a < b), (a <= b), (a > b), (a >= b), (a == b)) == (
        (here < there),
        (here <= there),
        (here > there),
        (here >= there),
        (here == there),
    )
    assert (a < other, a == other) == (here < there, here == there), "a word stands for its right"
    assert min(a, b).word == WORDS[min(here, there)] and type(a.word) is str
    assert a.permits_training == (one != "deny")
