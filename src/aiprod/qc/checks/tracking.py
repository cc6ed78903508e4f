"""Whether the camera follows something: a compact thing that keeps its place while the ground passes behind it.

Flow alone cannot say what is a subject; it can say that corners in one place do not share a movement that everything
round them shares. So each pair of pictures is looked at for a ground that moves one way along most of the picture's
border and a group of corners within it that stays behind, and the pairs are asked together whether the group keeps its
place. What is burnt into the picture keeps it to a fraction of a pixel, by which it is told from what is followed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aiprod.qc.clip_context import Plane

Mask = NDArray[np.bool_]
WAYS = ("left", "right", "up", "down")

# In one pair. Speeds are shares of the ground's.
_GROUND_PX = 0.9  # a slower ground cannot be told from what stays
_PASSES, _AHEAD, _ACROSS = 0.45, 2.5, 0.4  # parallax: what is far passes slower, what is near faster
_SLOWER = 0.8  # of a thing that keeps its place: it sways, but not as fast as the ground passes
_APART = 0.4  # from what the ground's own movement, turned and scaled too, would be at that place
_SPREAD, _SPREAD_PX = 0.35, 0.1  # of the corners' movements about the thing's own
_NEIGHBOURS = 5
_LINK = 0.1  # widths between corners of one thing
_CORNERS = 6
_AREA_LEAST, _AREA_MOST = 0.005, 0.5  # of the picture, box round the middle four fifths of its corners
_PURE = 0.6  # of the corners in that box, those that pass left out of nothing
_ROWS, _COLUMNS = 4, 6
_BORDER = 0.6  # of the border's cells pass
_SIDES = 3
_STANDS = 0.3  # corners along the border that stay away from the thing, over those that pass: else the scene stands
# Over all pairs.
_MOST = 0.55  # of the pairs show it
_ONE_WAY = 0.85  # length of the mean of the ground's directions
_DRIFT_ALONG, _DRIFT_ACROSS = 0.25, 0.3  # mean of the thing's own speed: what goes faster crosses the picture
_NEAR, _NEAR_MOST = 0.2, 0.75  # widths from its usual place, and in how many of those pairs
# What a group looks like.
_PATCH = 4  # pixels each way round a corner
_SLOPE, _HEADED = 2.0, 0.42  # levels a pixel along the ground's way, and share of all slope: else no movement is seen
_ALIKE, _SAME_PX, _SAME_MOST = 0.5, 0.6, 0.3  # correlation with, and distance from, the same place at another time
_EXACT_PX = 0.12  # usual movement within a pair


@dataclass(frozen=True)
class Flow:
    """Corners followed from one plane to a later one.

    Attributes:
        first: the plane they start in, uint8 [h, w].
        start: where they start, float32 [N, 2 (x, y)], pixels.
        shift: how far they go, float32 [N, 2], pixels.
    """

    first: Plane
    start: NDArray[np.float32]
    shift: NDArray[np.float32]


@dataclass(frozen=True)
class Look:
    """A pair of pictures in which something stays behind while the ground passes.

    Attributes:
        rates: of the ground at the picture's middle: dx, dy in widths, log scale, radians (as ``camera.PairMotion``).
        ground: its share of the followed corners.
        own: the thing's movement (along the ground's, across it), shares of the ground's speed.
        own_px: the same, pixels.
        place: the thing's middle (x, y), and size: its width and height; shares of the picture.
    """

    rates: NDArray[np.float64]
    ground: float
    own: NDArray[np.float64]
    own_px: float
    place: NDArray[np.float64]
    size: NDArray[np.float64]


@dataclass(frozen=True)
class Following:
    """What a camera that follows something does.

    Attributes:
        movement: its name, by where the camera goes: ``tracks left``, ``right``, ``up`` or ``down``.
        looks: by index of the pairs that show it.
        subject: place and size of what is followed: x, y of its middle, width, height; shares of the picture.
        share: of the pairs that show it.
    """

    movement: str
    looks: dict[int, Look]
    subject: list[float]
    share: float


def measure(flows: Sequence[Flow], pairs: int) -> Following | None:
    """What is followed, or None.

    Args:
        flows: of the pairs of pictures in which corners could be followed, in order, all of one size.
        pairs: how many pairs were tried.
    """
    if len({flow.first.shape for flow in flows}) != 1:
        return None
    wanted = max(4.0, _MOST * pairs)
    looks: dict[int, Look] = {}
    for n in range(len(flows)):
        if len(looks) + len(flows) - n < wanted:
            return None
        if (seen := _look(flows, n)) is not None:
            looks[n] = seen
    if len(looks) < wanted:
        return None
    tracks = list(looks.values())
    ways = np.array([look.rates[:2] / np.hypot(*look.rates[:2]) for look in tracks])
    way = ways.mean(axis=0)
    places = np.array([look.place for look in tracks])
    middle = np.median(places, axis=0)
    h, w = flows[0].first.shape
    away = np.hypot(*((places - middle) * (1.0, h / w)).T)
    drift = np.abs(np.mean([look.own for look in tracks], axis=0))
    if (
        np.hypot(*way) < _ONE_WAY
        or drift[0] > _DRIFT_ALONG
        or drift[1] > _DRIFT_ACROSS
        or float(np.mean(away <= _NEAR)) < _NEAR_MOST
        or float(np.median([look.own_px for look in tracks])) < _EXACT_PX
    ):
        return None
    sideways = abs(way[0]) >= abs(way[1])
    # The camera goes where the ground comes from.
    name = WAYS[int(way[0] <= 0)] if sideways else WAYS[2 + int(way[1] <= 0)]
    size = np.median([look.size for look in tracks], axis=0)
    return Following(f"tracks {name}", looks, [float(v) for v in (*middle, *size)], len(looks) / pairs)


def _look(flows: Sequence[Flow], n: int) -> Look | None:
    """What stays behind in one pair; None where nothing does, or where the ground does not move round it."""
    start, shift = flows[n].start, flows[n].shift
    h, w = flows[n].first.shape
    length = np.hypot(*shift.T)
    cell = (start * (_COLUMNS, _ROWS) / (w, h)).astype(int)
    edge = (cell == 0).any(axis=1) | (cell == (_COLUMNS - 1, _ROWS - 1)).any(axis=1)
    moving = (length >= _GROUND_PX) & edge
    if moving.sum() < 2 * _CORNERS:
        return None
    usual = np.median(shift[moving], axis=0).astype(np.float64)
    speed = float(np.hypot(*usual))
    if speed < _GROUND_PX:
        return None
    ahead = usual / speed
    aside = np.array([-ahead[1], ahead[0]])
    along = shift @ ahead / speed
    passing = (along >= _PASSES) & (along <= _AHEAD) & (np.abs(shift @ aside) <= _ACROSS * speed)
    staying = (length <= _SLOWER * speed) & (along < _PASSES)
    if staying.sum() < _CORNERS or not _surrounded(start, passing, w, h):
        return None
    middle = np.array([w / 2, h / 2])
    spread = np.column_stack([start - middle, np.ones(len(start))])
    fit, *_ = np.linalg.lstsq(spread[passing], shift[passing].astype(np.float64), rcond=None)
    for group in _groups(start, staying, passing, w):
        low, high = np.quantile(start[group], (0.1, 0.9), axis=0)
        size = (high - low) / (w, h)
        inside = ((start >= low) & (start <= high)).all(axis=1)
        reach = w / 40
        about = ((start >= start[group].min(axis=0) - reach) & (start <= start[group].max(axis=0) + reach)).all(axis=1)
        own = np.median(shift[group], axis=0).astype(np.float64)
        of_ground = np.median((spread @ fit)[group], axis=0)
        if (
            not _AREA_LEAST <= size.prod() <= _AREA_MOST
            or (staying & edge & ~about).sum() > _STANDS * (passing & edge).sum()
            or (staying & inside).sum() < _PURE * ((staying | passing) & inside).sum()
            or np.median(np.hypot(*(shift[group] - own).T)) > _SPREAD * speed + _SPREAD_PX
            or np.hypot(*(own - of_ground)) < _APART * speed
            or not _is_a_thing(flows, n, group, ahead)
        ):
            continue
        turn = np.eye(2) + fit[:2].T
        scale = float(np.sqrt(max(np.linalg.det(turn), 1e-6)))
        roll = float(np.arctan2(turn[1, 0] - turn[0, 1], turn[0, 0] + turn[1, 1]))
        return Look(
            rates=np.array([*(fit[2] / w), np.log(scale), roll]),
            ground=float(passing.mean()),
            own=np.array([own @ ahead, own @ aside]) / speed,
            own_px=float(np.hypot(*own)),
            place=np.median(start[group], axis=0) / (w, h),
            size=size,
        )
    return None


def _surrounded(start: NDArray[np.float32], passing: Mask, w: int, h: int) -> bool:
    """Whether the ground passes along most of the picture's border: what stays is then a thing in it, not the scene."""
    row, column = (start[:, 1] * _ROWS // h).astype(int), (start[:, 0] * _COLUMNS // w).astype(int)
    cell, cells = row * _COLUMNS + column, _ROWS * _COLUMNS
    count = np.bincount(cell, minlength=cells).reshape(_ROWS, _COLUMNS)
    passes = np.bincount(cell, passing, cells).reshape(_ROWS, _COLUMNS) >= np.maximum(0.5 * count, 1.0)
    border = np.ones((_ROWS, _COLUMNS), bool)
    border[1:-1, 1:-1] = False
    known = border & (count >= 2)
    sides = sum(bool(side.sum() >= 2) for side in (passes[0], passes[-1], passes[:, 0], passes[:, -1]))
    return bool(known.sum() >= 6 and passes[known].sum() >= _BORDER * known.sum() and sides >= _SIDES)


def _groups(start: NDArray[np.float32], staying: Mask, passing: Mask, w: int) -> Iterator[Mask]:
    """Corners that stay, in places where most of their neighbours do: linked groups, bool [N] each, largest first."""
    apart = np.hypot(start[:, None, 0] - start[None, :, 0], start[:, None, 1] - start[None, :, 1])
    near = np.argpartition(apart, _NEIGHBOURS, axis=1)[:, : _NEIGHBOURS + 1]  # a corner is its own neighbour
    with_it, against = staying[near].sum(axis=1), passing[near].sum(axis=1)
    left = staying & (with_it >= against) & (with_it >= 3)
    linked = apart <= _LINK * w
    groups = []
    while left.any():
        group = np.zeros_like(left)
        group[np.argmax(left)] = True
        while (grown := left & linked[group].any(axis=0)).sum() > group.sum():
            group = grown
        left &= ~group
        if group.sum() >= _CORNERS:
            groups.append(group)
    yield from sorted(groups, key=lambda group: -int(group.sum()))


def _is_a_thing(flows: Sequence[Flow], n: int, group: Mask, ahead: NDArray[np.float64]) -> bool:
    """Whether a group would be seen to move if it did, and is not burnt in: not the same in the same place for long.

    A wall without marks, or a post along which the camera tilts, only seems to stay: nothing in it has a slope along
    the ground's way. Letters, logos and the edges of bars do stay, to a fraction of a pixel, which nothing that a
    camera follows does: the patches round the group's corners are laid over the same places of the other pairs'
    pictures and compared, by correlation and by the shift between them (one step of Lucas and Kanade, 1981).
    """
    h, w = flows[n].first.shape
    reach = np.arange(-_PATCH, _PATCH + 1)
    at = np.rint(flows[n].start[group]).astype(int)
    x, y = np.clip(at[:, 0], _PATCH + 1, w - 2 - _PATCH), np.clip(at[:, 1], _PATCH + 1, h - 2 - _PATCH)
    rows, columns = (y[:, None] + reach)[:, :, None], (x[:, None] + reach)[:, None, :]

    def cut(plane: Plane, dx: int = 0, dy: int = 0) -> NDArray[np.float32]:
        return np.asarray(plane[rows + dy, columns + dx].reshape(len(x), -1).astype(np.float32))

    first = flows[n].first
    slope = np.stack([cut(first, 1) - cut(first, -1), cut(first, 0, 1) - cut(first, 0, -1)]) / 2
    headed = np.sqrt(((ahead[0] * slope[0] + ahead[1] * slope[1]) ** 2).mean(axis=1))
    steepest = np.sqrt((slope**2).sum(axis=0).mean(axis=1))
    if np.median(headed) < _SLOPE or np.median(headed / np.maximum(steepest, 1e-3)) < _HEADED:
        return False
    slope = (slope - slope.mean(axis=2, keepdims=True)).reshape(2, -1)
    structure = slope @ slope.T + 1e-3 * np.eye(2)
    here = _level(cut(first))
    same = []
    for other in (*flows[:n], *flows[n + 1 :]):
        there = _level(cut(other.first))
        alike = float(here @ there) / max(float(np.linalg.norm(here) * np.linalg.norm(there)), 1e-3)
        moved = float(np.hypot(*np.linalg.solve(structure, slope @ (here - there))))
        same.append(alike >= _ALIKE and moved <= _SAME_PX)
    return float(np.mean(same)) <= _SAME_MOST


def _level(patches: NDArray[np.float32]) -> NDArray[np.float32]:
    """Patches [N, P] without their own means, in one row."""
    return np.asarray(patches - patches.mean(axis=1, keepdims=True)).ravel()
