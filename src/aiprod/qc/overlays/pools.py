"""Which clips are compared for a shared mark: those of one source, by a sample of them, and those of one film.

A mark that a good part of a source has is looked for in some clips, of as many films as possible, and then in all. A
mark of a single film is on most of its shots, so that what most of them have in one place is all that has to be looked
at; that is counted for many films at once.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aiprod.qc.overlays.edge_sketch import (
    COLUMNS,
    DIRECTIONS,
    LEAST,
    ROWS,
    WORDS,
    Cells,
    Planes,
    agreeing,
    cells_of,
    planes_of,
    read,
)
from aiprod.qc.overlays.search import INDEPENDENT, Mark, area_of, find_marks, judged, least_of
from aiprod.qc.projections import ClipProjection, FilmProjection

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
class _Clips:
    """All clips that left a sketch, in the order of their films and ids.

    Attributes:
        sketches: uint64 [n, 3, 21].
        film: number of each clip's film, ascending; ``source``: of its source.
        moves: which of them could be measured by themselves.
    """

    ids: list[str]
    sketches: Planes
    film: Places
    source: Places
    moves: Mask

    def planes(self, places: Places) -> Planes:
        """The sketches of some clips, uint64 [n, 3, 21]."""
        return self.sketches[places]

    def carriers(self, places: Places, mark: Mark) -> Places:
        """Which of some clips carry a mark."""
        template, least = planes_of(mark.cells[None])[0], least_of(int(np.count_nonzero(mark.cells)))
        parts = [places[at : at + _AT_ONCE] for at in range(0, places.size, _AT_ONCE)]
        counts = [np.bitwise_count(agreeing(self.planes(part), template)).sum(axis=1, dtype=np.int64) for part in parts]
        return np.concatenate([part[count >= least] for part, count in zip(parts, counts, strict=True)])


def shared_marks(
    sketches: Mapping[str, str],
    measured: Collection[str],
    films: Sequence[FilmProjection],
    clips: Sequence[ClipProjection],
) -> dict[str, SharedMark]:
    """The marks that clips share with others of their film or source, by the ids of those that have no own answer.

    Args:
        sketches: by clip id (see ``mark_sketch``).
        measured: ids of clips that have an answer of their own: they are compared too.

    Raises:
        ValueError: a text is no sketch.
    """
    if sketches.keys() <= set(measured):
        return {}
    pooled = _pooled(sketches, measured, films, clips)
    of_sources = list(_of_sources(pooled))
    holds: dict[int, list[_PooledMark]] = {}
    for mark in [*of_sources, *_of_films(pooled, of_sources)]:
        for place in mark.carriers[~pooled.moves[mark.carriers]].tolist():
            holds.setdefault(place, []).append(mark)
    areas: dict[tuple[int, ...], float] = {}
    answers: dict[str, SharedMark] = {}
    for place, marks in holds.items():
        key = tuple(map(id, marks))
        if key not in areas:
            areas[key] = round(area_of(np.logical_or.reduce([m.mark.cells > 0 for m in marks])), 6)
        most = max(marks, key=lambda m: m.carriers.size)
        answers[pooled.ids[place]] = SharedMark(areas[key], most.carriers.size, most.compared, most.pool)
    return answers


def _pooled(
    sketches: Mapping[str, str],
    measured: Collection[str],
    films: Sequence[FilmProjection],
    clips: Sequence[ClipProjection],
) -> _Clips:
    source_of = {film.film_id: film.source_id for film in films}
    known = sorted((c.film_id, c.clip_id) for c in clips if c.clip_id in sketches and c.film_id in source_of)
    ids = [clip_id for _, clip_id in known]
    begins = [True, *(one != other for (one, _), (other, _) in itertools.pairwise(known))] if known else []
    film = np.cumsum(begins, dtype=np.int64) - 1
    numbers: dict[str, int] = {}
    source = np.array([numbers.setdefault(source_of[film_id], len(numbers)) for film_id, _ in known], np.int64)
    del known, source_of, begins  # what follows takes most memory
    moves = np.array([clip_id in measured for clip_id in ids], np.bool_)
    return _Clips(ids, _read(sketches, ids), film, source, moves)


def _read(sketches: Mapping[str, str], ids: Sequence[str]) -> Planes:
    """The sketches of these clips, read some at a time: their texts are larger than what they say."""
    sketches_read = np.empty((len(ids), 3, WORDS), np.uint64)
    for at in range(0, len(ids), _AT_ONCE):
        sketches_read[at : at + _AT_ONCE] = read([sketches[clip_id] for clip_id in ids[at : at + _AT_ONCE]])
    return sketches_read


def _of_sources(clips: _Clips) -> Iterator[_PooledMark]:
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


def _of_films(clips: _Clips, marks: Sequence[_PooledMark]) -> Iterator[_PooledMark]:
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
