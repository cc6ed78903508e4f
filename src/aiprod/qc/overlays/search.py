"""Marks that clips share: a region that carries the same edges in the same place while what lies round it differs.

The search is for carriers, not for cells: in each window of the picture clips are linked that have enough cells in
common; the cells that most of the clips linked to one of them have make a template, the clips that have most of the
template its carriers, and both are found again from each other. What is common to clips by chance (a horizon, a wall
behind heads and shoulders) is told from a mark by three questions:

- Do the scenes differ? Carriers that agree outside of the template too are one scene and count once.
- Would as many clips carry it by chance? The same template is laid over the mirrored and shifted sketches of the pool,
  which are scenes of the same kind without the mark; how often it fits there gives the chance that one clip carries it,
  and the binomial tail over the clips, times the number of templates tried, the chance of a false mark.
- Is it more than a line from side to side? Edges of bars are that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import comb, sqrt

import numpy as np
from numpy.typing import NDArray

from aiprod.qc.overlays.edge_sketch import COLUMNS, DIRECTIONS, LEAST, ROWS, Cells

INDEPENDENT = 4
"""Scenes in which a mark must be seen."""
_LINKED = 5  # cells in common in a window
_CARRIED = 0.6  # of a template
_HELD = 0.6  # of the carriers have a cell of the template
_BEGUN = 0.35  # the same of the clips linked to one, some of them by chance
_ROUNDS = 10
_CHANCE, _DEVIATIONS = 0.15, 3.0  # that a cell of two scenes agrees, and how far above it a cell of a template must be
_SAME, _SAYS = 0.2, 24  # agreeing share of the cells outside, of so many at least
_FALSE = 1e-4  # false marks a pool
_WINDOW, _STEP = (6, 8), (3, 4)
_CENTRES = 4  # clips of a window from which templates are made
_MARKS, _TRIED = 8, 48
_LINE = 0.5  # of a side
_SHIFTS = [(dy, dx) for dy in range(-3, 4) for dx in range(-8, 9)]

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Mark:
    """A mark of a pool.

    Attributes:
        cells: directions where its edges are, 0 elsewhere, uint8 [28, 48].
        carriers: which of the clips that were searched carry it, bool [n].
        chance: how many such marks to expect in a pool that has none.
    """

    cells: Cells
    carriers: Mask
    chance: float


def find_marks(cells: Cells, moves: Mask) -> list[Mark]:
    """The marks that clips of one pool share.

    Args:
        cells: sketches, uint8 [n, 28, 48].
        moves: whether the camera moves, so that nothing of the scene stays, bool [n].
    """
    left = cells.copy()
    accepted: list[Mark] = []
    while len(accepted) < _MARKS and len(left) >= INDEPENDENT:
        marks = [judged(left, moves, template) for template in _templates(left)]
        best = min((mark for mark in marks if mark is not None), key=lambda mark: mark.chance, default=None)
        if best is None:
            break
        accepted.append(best)
        left[best.carriers] = np.where(best.cells > 0, 0, left[best.carriers])
    return accepted


def judged(cells: Cells, moves: Mask, template: Cells) -> Mark | None:
    """What a template comes to when each scene counts once; None where it is not a mark.

    Args:
        cells: sketches of the pool, uint8 [n, 28, 48].
        moves: whether the camera moves, bool [n].
        template: directions where edges may be a mark's, uint8 [28, 48].
    """
    scenes = _scenes(cells, template, carries(cells, template), moves)
    if len(scenes) < INDEPENDENT:
        return None
    lasting = np.count_nonzero(cells[scenes] == template, axis=0) >= _HELD * len(scenes)
    template = np.where(lasting, template, 0).astype(np.uint8)
    if np.count_nonzero(template) < LEAST or _is_line(template):
        return None
    carriers = carries(cells, template)
    scenes = _scenes(cells, template, carriers, moves)
    if len(scenes) < INDEPENDENT:
        return None
    chance = _false_marks(cells, template, carriers, len(scenes))
    return Mark(template, carriers, chance) if chance <= _FALSE else None


def carries(cells: Cells, template: Cells) -> Mask:
    """Which clips have most of a template. Args: cells: [n, 28, 48]; template: [28, 48]."""
    y, x = np.nonzero(template)
    return np.count_nonzero(cells[:, y, x] == template[y, x], axis=1) >= least_of(y.size)


def least_of(cells: int) -> int:
    """Cells of a template that a clip must have to carry it."""
    return max(LEAST - 1, int(np.ceil(_CARRIED * cells)))


def _templates(pool: Cells) -> Iterator[Cells]:
    """Templates to look at, those with the most cells in the most clips first."""
    everywhere = _one_hot(pool.reshape(len(pool), -1))
    common_whole, size = everywhere @ everywhere.T, everywhere.sum(axis=1)
    offered: list[tuple[int, bytes]] = []
    for top in range(0, ROWS - _WINDOW[0] + 1, _STEP[0]):
        for left in range(0, COLUMNS - _WINDOW[1] + 1, _STEP[1]):
            window = np.zeros((ROWS, COLUMNS), np.bool_)
            window[top : top + _WINDOW[0], left : left + _WINDOW[1]] = True
            has = _one_hot(pool[:, window])
            common = has @ has.T
            linked = common >= _LINKED
            if np.count_nonzero(linked.sum(axis=1) >= INDEPENDENT) < INDEPENDENT:
                continue
            # Views of one scene have much in common and would be all that is looked at; but a large mark makes scenes
            # look alike outside of a window too. So both are looked at: all links, and those between unlike scenes.
            outside = size - has.sum(axis=1)
            unlike = common_whole - common <= _SAME * np.minimum(outside[:, None], outside)
            for links in (linked, linked & (unlike | np.eye(len(pool), dtype=np.bool_))):
                for carriers in _stars(has, common, links):
                    template = _settled(pool, carriers, window)
                    if template is not None:
                        reach = int(carries(pool, template).sum()) * int(np.count_nonzero(template))
                        offered.append((reach, template.tobytes()))
    for _, content in sorted(set(offered), key=lambda item: (-item[0], item[1]))[:_TRIED]:
        yield np.frombuffer(content, np.uint8).reshape(ROWS, COLUMNS)


def _stars(has: Floats, common: Floats, links: Mask) -> Iterator[Mask]:
    """Clips that share much of a window with those that have most in common with others there, bool [n]."""
    centres = np.argsort(-(common * links).sum(axis=1), kind="stable")[:_CENTRES]
    star = links[centres].astype(np.float32)
    size = star.sum(axis=1)
    kept = (star @ has >= np.maximum(3.0, _BEGUN * size)[:, None]).astype(np.float32)
    count = kept.sum(axis=1)
    carriers = kept @ has.T >= np.maximum(LEAST - 1, _CARRIED * count)[:, None]
    promising = (size >= INDEPENDENT) & (count >= LEAST - 1) & (carriers.sum(axis=1) >= INDEPENDENT)
    yield from carriers[promising]


def _settled(pool: Cells, carriers: Mask, window: Mask) -> Cells | None:
    """The template of some carriers and its carriers, found again from each other; None where they come to nothing."""
    template = _consensus(pool[carriers], window)
    for _ in range(_ROUNDS):  # outwards too, as far as its carriers agree
        if np.count_nonzero(template) < LEAST - 1:
            return None
        carriers = carries(pool, template)
        if np.count_nonzero(carriers) < INDEPENDENT:
            return None
        wider = _consensus(pool[carriers], _grown(_grown(template > 0)))
        if (wider == template).all():
            break
        template = wider
    return template if np.count_nonzero(template) >= LEAST else None


def _one_hot(cells: Cells) -> Floats:
    """Which of four directions each cell has, [n, k] → [n, up to 4 k], without what no clip has."""
    has = (cells[:, :, None] == np.arange(1, DIRECTIONS + 1, dtype=np.uint8)).reshape(len(cells), -1)
    return has[:, has.any(axis=0)].astype(np.float32)


def _consensus(carriers: Cells, where: Mask) -> Cells:
    """The cells that most of the carriers have, within a region."""
    k = len(carriers)
    by_chance = _CHANCE * k + _DEVIATIONS * sqrt(_CHANCE * (1 - _CHANCE) * k) + 1
    least = max(3.0, _HELD * k, min(by_chance, k))
    part = carriers[:, where]
    counts = np.stack([np.count_nonzero(part == d, axis=0) for d in range(1, DIRECTIONS + 1)])
    template = np.zeros(where.shape, np.uint8)
    template[where] = np.where(counts.max(axis=0) >= least, counts.argmax(axis=0) + 1, 0)
    return template


def _scenes(cells: Cells, template: Cells, carriers: Mask, moves: Mask) -> list[int]:
    """One carrier of each scene: views of one scene agree outside of the template too, or show nothing there."""
    chosen = np.flatnonzero(carriers)
    if chosen.size == 0:
        return []
    has = _one_hot(cells[chosen][:, ~_grown(_boxed(template > 0))])  # a box: not each carrier has all of a mark
    common, size = has @ has.T, has.sum(axis=1)
    least = np.minimum(size[:, None], size)
    differ = (common <= _SAME * least) & (np.maximum(size[:, None], size) >= _SAYS)
    differ |= moves[chosen][:, None] | moves[chosen]
    leaders: list[int] = []
    for i in np.argsort(-size, kind="stable").tolist():
        if all(differ[i, j] for j in leaders):
            leaders.append(i)
    return [int(chosen[i]) for i in leaders]


def _false_marks(cells: Cells, template: Cells, carriers: Mask, scenes: int) -> float:
    """How many marks of so many scenes to expect where there are none."""
    rest = cells.copy()
    rest[carriers] = np.where(template > 0, 0, rest[carriers])
    turned = np.array([0, 3, 2, 1, 4], np.uint8)[rest[:, :, ::-1]]  # mirrored, right and left change places
    y, x = np.nonzero(template)
    wanted, least = template[y, x], least_of(y.size)
    padded = np.pad(turned, ((0, 0), (3, 3), (8, 8)))
    fits = sum(
        int(np.count_nonzero(np.count_nonzero(padded[:, y + 3 + dy, x + 8 + dx] == wanted, axis=1) >= least))
        for dy, dx in _SHIFTS
    )
    one = (fits + 1) / (len(_SHIFTS) * len(cells) + 1)
    others = len(cells) - 1
    tail = sum(comb(others, k) * one**k * (1 - one) ** (others - k) for k in range(scenes - 1, others + 1))
    windows = (1 + (ROWS - _WINDOW[0]) // _STEP[0]) * (1 + (COLUMNS - _WINDOW[1]) // _STEP[1])
    return float(tail * windows * len(cells))


def _is_line(template: Cells) -> bool:
    """Whether a template is nothing but one straight edge over much of the picture, as beside a bar."""
    y, x = np.nonzero(template)
    tall, wide = int(np.ptp(y)) + 1, int(np.ptp(x)) + 1
    directions = np.bincount(template[y, x])
    return min(tall, wide) <= 2 and max(tall / ROWS, wide / COLUMNS) >= _LINE and bool(directions.max() >= 0.8 * y.size)


def _grown(mask: Mask) -> Mask:
    """A region and the cells beside it."""
    wide = np.pad(mask, 1)
    wide = wide[:-2] | wide[1:-1] | wide[2:]
    return np.asarray(wide[:, :-2] | wide[:, 1:-1] | wide[:, 2:])


def _boxed(mask: Mask) -> Mask:
    """A region with the boxes round its parts."""
    filled = mask.copy()
    for part in _parts(mask):
        y, x = np.nonzero(part)
        filled[y.min() : y.max() + 1, x.min() : x.max() + 1] = True
    return filled


def area_of(mask: Mask) -> float:
    """Share of the picture that boxes round the parts of a region of cells cover.

    A part that is n cells long touches n + 1 on average, so one is taken off, down to a half.
    """
    area = 0.0
    for part in _parts(mask):
        y, x = np.nonzero(part)
        area += max(0.5, float(np.ptp(y))) / ROWS * max(0.5, float(np.ptp(x))) / COLUMNS
    return min(1.0, area)


def _parts(mask: Mask) -> list[Mask]:
    """The parts of a region that more than one empty cell separates."""
    rest, parts = mask.copy(), []
    while rest.any():
        part = np.zeros_like(mask)
        part.flat[int(np.flatnonzero(rest)[0])] = True
        while True:
            wider = _grown(_grown(part)) & mask
            if (wider == part).all():
                break
            part = wider
        parts.append(part)
        rest &= ~part
    return parts
