"""Which clips are compared for a shared mark: those of one source, by a sample of them, and those of one film.

A mark that a good part of a source has is looked for in some clips, of as many films as possible, and then in all. A
mark of a single film is on most of its shots, so that what most of them have in one place is all that has to be looked
at; that is counted for many films at once.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aiprod.base.spool import ArraySpool
from aiprod.qc.overlays.edge_sketch import (
    COLUMNS,
    DIRECTIONS,
    LEAST,
    ROWS,
    Cells,
    Planes,
    agreeing,
    cells_of,
    planes_of,
)
from aiprod.qc.overlays.search import INDEPENDENT, Mark, area_of, find_marks, judged, least_of

_SOURCE, _FILM = 96, 16  # clips that are searched
_MOST = 0.75  # of the shots of a film
_SCENE = 0.5  # of the edges of a shot: where most shots have them in common, it is one scene all along
_AT_ONCE = 8192

Places = NDArray[np.int64]
Mask = NDArray[np.bool_]


class SharedMark(NamedTuple):
    """What marks a clip shares with others.

    Attributes:
        area: share of the picture.
        clips: how many clips carry the mark that most carry, of ``compared`` ones of the same film or source.
        pool: ``film`` or ``source``.
    """

    area: float
    clips: int
    compared: int
    pool: str


class _PooledMark(NamedTuple):
    """A mark, the clips that it was looked for in, and those that carry it, by their places."""

    mark: Mark
    pool: str
    compared: int
    carriers: Places


@dataclass(frozen=True)
class SketchedClips:
    """All clips that left a sketch, in the order of their films and ids.

    Attributes:
        sketches: uint64 [n, 3, 21], in an order of their own; ``at``: where that of each clip is.
        film: number of each clip's film, ascending; ``source``: of its source, by first use.
        moves: which of them have an answer of their own.
    """

    sketches: ArraySpool
    at: Places
    film: Places
    source: Places
    moves: Mask

    def planes(self, places: Places) -> Planes:
        """The sketches of some clips, uint64 [n, 3, 21]."""
        return np.asarray(self.sketches.take(self.at[places]), np.uint64)

    def carriers(self, places: Places, mark: Mark) -> Places:
        """Which of some clips carry a mark."""
        template, least = planes_of(mark.cells[None])[0], least_of(int(np.count_nonzero(mark.cells)))
        parts = [places[at : at + _AT_ONCE] for at in range(0, places.size, _AT_ONCE)]
        counts = [np.bitwise_count(agreeing(self.planes(part), template)).sum(axis=1, dtype=np.int64) for part in parts]
        return np.concatenate([part[count >= least] for part, count in zip(parts, counts, strict=True)])


def shared_marks(clips: SketchedClips) -> tuple[Places, list[SharedMark]]:
    """The marks that clips share with others of their film or source, for those that have no answer of their own.

    Returns:
        Which of the marks each clip carries, -1 = none; and the marks.
    """
    which = np.full(clips.film.size, -1, np.int64)
    if clips.moves.all():
        return which, []
    of_sources = list(_of_sources(clips))
    marks = [*of_sources, *_of_films(clips, of_sources)]
    bare = [mark.carriers[~clips.moves[mark.carriers]] for mark in marks]
    places = np.concatenate([np.empty(0, np.int64), *bare])
    numbers = np.repeat(np.arange(len(marks)), [some.size for some in bare])
    order = np.argsort(places, kind="stable")
    ordered, numbers = places[order].tolist(), numbers[order].tolist()
    known: dict[tuple[int, ...], int] = {}
    for place, group in itertools.groupby(range(len(ordered)), ordered.__getitem__):
        which[place] = known.setdefault(tuple(numbers[i] for i in group), len(known))
    return which, [_together([marks[number] for number in held]) for held in known]


def _together(marks: Sequence[_PooledMark]) -> SharedMark:
    """What several marks of one clip come to."""
    area = round(area_of(np.logical_or.reduce([m.mark.cells > 0 for m in marks])), 6)
    most = max(marks, key=lambda m: m.carriers.size)
    return SharedMark(area, most.carriers.size, most.compared, most.pool)


def _of_sources(clips: SketchedClips) -> Iterator[_PooledMark]:
    for number in range(int(clips.source.max(initial=-1)) + 1):
        places = np.flatnonzero(clips.source == number)
        if places.size < INDEPENDENT or clips.moves[places].all():
            continue
        chosen = places[_first_of_each(clips.film[places])[:_SOURCE]]
        for mark in find_marks(cells_of(clips.planes(chosen)), clips.moves[chosen]):
            yield _PooledMark(mark, "source", places.size, clips.carriers(places, mark))


def _first_of_each(film: Places) -> Places:
    """The order that takes one clip of each film, then a second of each, and so on. Args: film: ascending."""
    starts = np.flatnonzero(np.diff(film, prepend=-1))
    rank = np.arange(film.size) - np.repeat(starts, np.diff(starts, append=film.size))
    return np.argsort(rank, kind="stable")


def _of_films(clips: SketchedClips, marks: Sequence[_PooledMark]) -> Iterator[_PooledMark]:
    """Marks of single films, beside those that were found already."""
    starts = np.flatnonzero(np.diff(clips.film, prepend=-1))
    sizes = np.diff(starts, append=clips.film.size)
    wanting = np.add.reduceat(~clips.moves, starts, dtype=np.int64) > 0 if starts.size else np.zeros(0, np.bool_)
    for size in range(INDEPENDENT, _FILM + 1):
        chosen = np.flatnonzero(wanting & ((sizes == size) if size < _FILM else (sizes >= _FILM)))
        films_at_once = max(1, _AT_ONCE // size)
        for at in range(0, chosen.size, films_at_once):
            part = chosen[at : at + films_at_once]
            spread = (np.arange(size) * sizes[part, None]) // size
            places = starts[part, None] + spread
            planes = clips.planes(places.ravel())
            for one in marks:
                bare = np.isin(places.ravel(), one.carriers)
                planes[bare, 0] &= ~planes_of(one.mark.cells[None])[0, 0]
            for film, sketches, template in _common(planes.reshape(len(part), size, *planes.shape[1:]), size):
                mark = judged(cells_of(sketches), clips.moves[places[film]], template)
                if mark is not None:
                    whole = np.arange(starts[part[film]], starts[part[film]] + sizes[part[film]])
                    yield _PooledMark(mark, "film", whole.size, clips.carriers(whole, mark))


def _common(planes: Planes, size: int) -> Iterator[tuple[int, Planes, NDArray[np.uint8]]]:
    """Films of which most shots have something in one place and are not one scene: number, sketches, what they have.

    Args:
        planes: uint64 [films, size, 3, 21].
    """
    least = ceil(_MOST * size) + (size < 6)  # of few shots, most have something in common by chance
    common = common_cells(planes, least)
    count = np.bitwise_count(common).sum(axis=(1, 2), dtype=np.int64)
    edges = np.bitwise_count(planes[:, :, 0]).sum(axis=2, dtype=np.int64).mean(axis=1)
    for film in np.flatnonzero((count >= LEAST) & (count <= _SCENE * edges)).tolist():
        yield film, planes[film], cells_held(common[film : film + 1])[0]


def common_cells(planes: Planes, least: int) -> Planes:
    """Cells in which the same edges stay in at least ``least`` of the clips of each of many films.

    Counts are kept as planes of bits and raised for 64 cells at a time.

    Args:
        planes: [films, clips, 3, 21].

    Returns:
        uint64 [films, 4, 21]: a plane a direction.
    """
    counts: list[Planes] = []
    for clip in range(planes.shape[1]):
        there, lower, upper = (planes[:, clip, i] for i in range(3))
        low, high = there & ~upper, there & upper
        carry = np.stack((low & ~lower, low & lower, high & ~lower, high & lower), axis=1)
        for place, count in enumerate(counts):
            counts[place], carry = count ^ carry, count & carry
        if clip + 1 == 1 << len(counts):  # as many as the bits so far can count, and one more
            counts.append(carry)
    more, same = np.zeros_like(counts[0]), ~np.zeros_like(counts[0])
    for place in reversed(range(len(counts))):
        if least >> place & 1:
            same = same & counts[place]
        else:
            more, same = more | (same & counts[place]), same & ~counts[place]
    return more | same


def cells_held(planes: Planes) -> Cells:
    """The cells of what ``common_cells`` gives of some films, uint8 [films, 28, 48]."""
    bits = np.unpackbits(np.ascontiguousarray(planes.astype("<u8")).view(np.uint8), axis=-1, bitorder="little")
    numbers = np.arange(1, DIRECTIONS + 1, dtype=np.uint8)[:, None]
    return (bits * numbers).max(axis=1).reshape(-1, ROWS, COLUMNS)
