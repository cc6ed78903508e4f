"""Films of every container, codec and habit of stamping come out picture by picture and sample by sample as they are.

Few of them in every run, all of them with ``make test-long``; ``python -m tests.media.matrix`` says more.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from tests.media.matrix import truth
from tests.media.matrix.combinations import Combination, everything, representative
from tests.media.matrix.films import Part
from tests.media.matrix.marks import RATE, number_of, numbered, sound
from tests.media.matrix.trying import try_one

# Of these a refusal is right: a part of the film is unlike the rest.
_MAY_BE_REFUSED = ("reset", "size_change")


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    av.logging.set_level(av.logging.PANIC)
    yield
    av.logging.set_level(None)


def _passes(combination: Combination, folder: Path) -> None:
    outcome = try_one(combination, folder / "film")
    allowed = ("ok", "refused") if combination.habit in _MAY_BE_REFUSED else ("ok",)
    assert outcome.state in allowed, outcome.said


@pytest.mark.parametrize("combination", representative(), ids=lambda c: c.name)
def test_a_film_is_read_as_it_is(combination: Combination, tmp_path: Path) -> None:
    _passes(combination, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("combination", everything(), ids=lambda c: c.name)
def test_every_film_is_read_as_it_is(combination: Combination, tmp_path: Path) -> None:
    _passes(combination, tmp_path)


def test_the_few_hold_every_value() -> None:
    few, every = representative(), everything()
    assert len(every) >= 200 and len({c.name for c in every}) == len(every)
    for value in ("container", "video", "audio", "habit"):
        assert {getattr(c, value) for c in few} == {getattr(c, value) for c in every}


def test_numbers_are_read_and_mixed_pictures_are_not() -> None:
    pictures = [numbered(n, 96, 64).to_ndarray(format="gray", threads=1) for n in (3, 60, 61)]
    assert [number_of(picture) for picture in pictures] == [3, 60, 61]
    assert number_of((pictures[0].astype(int) + pictures[1]) // 2) is None
    assert number_of(np.concatenate([pictures[0][:32], pictures[1][32:]])) is None


def _part() -> Part:
    made = sound(2.0)
    return Part([(n / 24, n) for n in range(48)], (96, 64), made, np.ones(made.shape[1], bool))


@pytest.mark.parametrize("lossless", [True, False])
def test_faults_in_sound_are_seen(lossless: bool) -> None:
    part = _part()
    assert not truth.judge_sound(part.sound.copy(), part, lossless)
    late = np.pad(part.sound, ((0, 0), (100, 0)))
    assert any("+2.1 ms" in said for said in truth.judge_sound(late, part, lossless))
    hole = part.sound.copy()
    hole[:, 30_000:30_300] = 0
    assert any("1 holes" in said for said in truth.judge_sound(hole, part, lossless))
    stretch = np.concatenate([part.sound[:, :40_000], part.sound[:, 39_500:]], axis=1)  # 500 samples twice
    assert truth.judge_sound(stretch, part, lossless)
    other = np.ascontiguousarray(np.roll(part.sound, RATE, axis=1))
    assert truth.judge_sound(other, part, lossless)
    assert truth.judge_sound(part.sound[:, :60_000], part, lossless)
    one = part.sound.copy()
    one[0, 50_000] += 1 / 32_768
    assert bool(truth.judge_sound(one, part, lossless)) == lossless


def test_faults_in_pictures_are_seen() -> None:
    part = _part()
    assert not truth.judge_pictures(part.pictures, part, 24)
    assert truth.judge_pictures(part.pictures[:20] + part.pictures[21:], part, 24)
    assert truth.judge_pictures(part.pictures[:20] + part.pictures[19:], part, 24)
    swapped = [(at, {7: 8, 8: 7}.get(n, n)) for at, n in part.pictures]
    assert truth.judge_pictures(swapped, part, 24)
    assert truth.judge_pictures([(at * 25 / 24, n) for at, n in part.pictures], part, 24)
