"""Overlays burnt into the picture: gradients that stay while the camera moves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from aiprod.qc.checks.judging import Case, Judgements, Rule, judged
from aiprod.qc.checks.persistent_edges import Pictures, Slopes, cells_that_stay, slopes_of, summed
from aiprod.qc.clip_context import ClipContext, Plane
from aiprod.qc.measurement import Figures, Measurement
from aiprod.qc.metric_table import FigureTable, Floats
from aiprod.qc.overlays.edge_sketch import LEAST, as_text

if TYPE_CHECKING:
    from aiprod.qc.params import QcDecideParams

VERSION = "7"
METHOD = (
    "small planes spread over the clip; median over time of signed gradients where their signs agree "
    "(after Dekel et al. 2017); only where the camera moves and most edges with it, and where what stays also changes "
    "less than what lies around it or is as sharp as lettering; a sketch of the edges that stay, for other clips to "
    "share"
)
_STRENGTH = 8.0  # gradient (levels per pixel, Sobel/8) an overlay keeps while what lies behind it changes
_AGREEMENT = 0.8
_EDGE = 0.02
_TRAVEL = 0.08  # widths: the scene has to move by more than a mark's strokes are wide
_SPEED = 0.02  # widths a second
_TURN = 0.04  # log scale or radians a second
_STANDS = 0.2  # of the edges: lettering is less of a picture, a scene with people before it is more
_NOISE = 6.0  # levels: pixels that stray further change
_CHANGING = 0.4
# Lettering over the whole picture makes a moving camera look still. Two things tell it from a scene that stands:
# more edges keep their place than people in passing leave, and between them every part of the picture changes.
_WIDE_KEPT, _WIDE_CHANGING = 0.15, 0.7
# Letters of every script run in more than one direction; stripes that move along themselves do not.
_WIDE_ACROSS = 0.45
# What is burnt in keeps its light, so that it changes less than the film around it, or hardly more; an edge of the
# scene that sways about one place changes half as much again.
_STRAYS, _RING = 1.4, 6
# That edges stay is one kind of evidence, and a corner of the scene gives it by chance. A second is wanted: light that
# changes less than the film around it, or edges as sharp as those of lettering.
_STEADY, _SHARP = 0.9, 16.0
_ROWS, _COLUMNS = 6, 9


def measure(
    planes: list[Plane], camera: Figures, borders: Figures, slopes: tuple[Slopes, Slopes] | None = None
) -> dict[str, Any]:
    """Area of what stays put, as a share of the picture.

    Args:
        planes: small planes [h, w] at evenly spaced times.
        camera: figures of the camera check; decides whether anything can be said.
        borders: black borders are excluded.
        slopes: of the planes, where they are known.

    A still camera shows the same gradients for ever, and a mark cannot be told from the scene: ``unmeasurable``, until
    other clips are seen to share it. So the figures hold a ``sketch`` of what stays, where anything does.
    """
    if len(planes) < 6:
        return {"status": "unmeasurable", "reason": "fewer than six frames to compare"}
    right, down = slopes or slopes_of(planes)
    figures = _overlay(planes, right, down, camera, borders)
    cells = cells_that_stay(right, down, borders)
    return {**figures, "sketch": as_text(cells)} if np.count_nonzero(cells) >= LEAST else figures


def _overlay(
    planes: list[Plane], horizontal: Slopes, vertical: Slopes, camera: Figures, borders: Figures
) -> dict[str, Any]:
    """What can be said by the clip alone, by what a scene with things passing before it does not show."""
    travelled, speed = float(camera.get("travel") or 0.0), float(camera.get("speed_per_s") or 0.0)
    moves = camera.get("movement") not in (None, "static", "undetermined") and travelled >= _TRAVEL
    zooms = abs(float(camera.get("zoom_per_s") or 0.0)) + abs(float(camera.get("roll_per_s") or 0.0)) >= _TURN
    strays, unit = _strays(planes)
    changes: NDArray[np.bool_] = strays > _NOISE**2 * unit
    changing, stands = float(changes.mean()), float(camera.get("standing") or 0.0)
    figures = {"travel": travelled, "changing_fraction": changing, "standing": stands}
    wide = _wide_lettering(changes, horizontal, vertical)
    if wide is not None:
        area, boxes = _cluster_area(_inside(wide, borders))
        return {"status": "ok", "area_fraction": area, "boxes": boxes, **figures, "frames_used": len(planes)}
    if not (moves and (speed >= _SPEED or zooms)):
        why = "the camera hardly moves"
    elif stands > _STANDS:
        why = f"{stands:.0%} of the edges stand"
    elif changing < _CHANGING:
        why = f"only {changing:.0%} of the picture changes"
    else:
        kept = persistent_edges(horizontal, vertical, motion_field(camera, planes[0].shape))
        strength = _Strength(horizontal, vertical)
        area, boxes = _cluster_area(_inside(kept, borders), np.sqrt(strays.astype(np.float64) / unit), strength)
        return {"status": "ok", "area_fraction": area, "boxes": boxes, **figures, "frames_used": len(planes)}
    return {"status": "unmeasurable", **figures, "reason": f"{why}, so a mark cannot be told from the scene"}


def _wide_lettering(changes: NDArray[np.bool_], horizontal: Slopes, vertical: Slopes) -> NDArray[np.bool_] | None:
    """Edges that stay all over a picture in which everything else changes, bool [h, w]; None where it is not so."""
    likely = _likely(horizontal[::4]), _likely(vertical[::4])
    if (likely[0] | likely[1]).mean() < _WIDE_KEPT:  # which fewer still can be
        return None
    if _rests_in_places(changes, likely[0] | likely[1]):
        return None
    upright, level = _steady(horizontal, likely[0]), _steady(vertical, likely[1])
    kept = upright | level
    less, more = sorted((upright.mean(), level.mean()))
    if kept.mean() < _WIDE_KEPT or less < _WIDE_ACROSS * more:
        return None
    away = cv2.dilate(kept.astype(np.uint8), np.ones((9, 9), np.uint8)) == 0
    shares = []
    for rows in np.array_split(np.arange(kept.shape[0]), _ROWS):
        for columns in np.array_split(np.arange(kept.shape[1]), _COLUMNS):
            cell = np.ix_(rows, columns)
            if np.count_nonzero(away[cell]) > 8:
                shares.append(float(changes[cell][away[cell]].mean()))
    enough = len(shares) >= _ROWS * _COLUMNS // 4
    return kept if enough and np.quantile(shares, 0.1) >= _WIDE_CHANGING else None


def _rests_in_places(changes: NDArray[np.bool_], likely: NDArray[np.bool_]) -> bool:
    """Whether too much of too many cells does not change to be film behind lettering, whichever of the likely edges
    are kept."""
    away = cv2.dilate(likely.astype(np.uint8), np.ones((9, 9), np.uint8)) == 0
    rests = cv2.integral((away & ~changes).astype(np.uint8))
    h, w = changes.shape
    rows, columns = (
        np.array([0, *np.cumsum([len(part) for part in np.array_split(np.arange(n), parts)])])
        for n, parts in ((h, _ROWS), (w, _COLUMNS))
    )
    count = np.diff(np.diff(rests[np.ix_(rows, columns)], axis=0), axis=1)
    cell = np.diff(rows)[:, None] * np.diff(columns)
    over = (count > (1 - _WIDE_CHANGING) * cell) & (count > 8)
    return int(np.count_nonzero(over)) > 0.1 * (_ROWS * _COLUMNS - 1) + 1


def _inside(kept: NDArray[np.bool_], borders: Figures) -> NDArray[np.bool_]:
    """What was kept, without black bars and the picture's edge."""
    h, w = kept.shape
    top, bottom = (int(np.ceil((borders.get(k) or 0.0) * h)) for k in ("top", "bottom"))
    left, right = (int(np.ceil((borders.get(k) or 0.0) * w)) for k in ("left", "right"))
    margin_y, margin_x = max(2, int(_EDGE * h)), max(2, int(_EDGE * w))
    inside = np.zeros_like(kept)
    inner = slice(top + margin_y, h - bottom - margin_y), slice(left + margin_x, w - right - margin_x)
    inside[inner] = kept[inner]
    return inside


def motion_field(camera: Figures, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Unit direction in which the scene passes each pixel, float32 [2 (x, y), h, w]; 0 where it hardly moves."""
    h, w = shape
    x = (np.arange(w, dtype=np.float32)[None, :] - np.float32(w / 2)) / np.float32(w)
    y = (np.arange(h, dtype=np.float32)[:, None] - np.float32(h / 2)) / np.float32(w)
    zoom, roll = float(camera["zoom_per_s"]), float(camera["roll_per_s"])
    field = np.stack((float(camera["dx_per_s"]) + zoom * x - roll * y, float(camera["dy_per_s"]) + zoom * y + roll * x))
    length = np.hypot(field[0], field[1])
    return np.where(length >= 0.5 * _SPEED, field / np.maximum(length, 1e-6), 0.0).astype(np.float32)


def persistent_edges(horizontal: Slopes, vertical: Slopes, direction: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Pixels whose gradient keeps direction and strength over time, bool [h, w].

    Args:
        horizontal: slopes to the right.
        vertical: slopes downwards.
        direction: of the scene's movement: only the gradient along it counts, for a stripe that moves along itself
            stays where it is without being a mark.
    """
    likely = _likely([_along(*pictures, direction) for pictures in zip(horizontal[::4], vertical[::4], strict=True)])
    places = np.flatnonzero(likely)
    way = direction.reshape(2, -1)[:, places]
    pictures = zip(horizontal, vertical, strict=True)
    return _kept((_along(right.take(places), down.take(places), way) for right, down in pictures), likely)


def _along(right: NDArray[np.int16], down: NDArray[np.int16], direction: NDArray[np.float32]) -> NDArray[np.int16]:
    """Slopes of one picture in a direction, cut to whole numbers."""
    return (right * direction[0] + down * direction[1]).astype(np.int16)


def _likely(looks: Pictures) -> NDArray[np.bool_]:
    """Pixels that are strong in a first look at every fourth picture, bool [h, w]: no others are worth sorting over
    time."""
    return np.asarray(np.abs(summed(looks)) >= 4 * _STRENGTH * len(looks))


def _steady(gradients: Slopes, likely: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels whose slope keeps sign and strength over time, bool [h, w], among those that are likely to."""
    places = np.flatnonzero(likely)
    return _kept((picture.take(places) for picture in gradients), likely)


def _kept(chosen: Iterable[NDArray[np.int16]], likely: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Of likely pixels, those whose slope keeps sign and strength over time, bool [h, w].

    Whether the middle of many numbers is over a bound is known without sorting them, by how many are over it.

    Args:
        chosen: their slopes in each picture, [K].
    """
    count, size = 0, int(np.count_nonzero(likely))
    strong_px, weak_px = round(8 * _STRENGTH), round(4 * _STRENGTH)
    right, left, steep, against, weak = counts = np.zeros((5, size), np.uint8)  # of 128 pictures at most
    for slopes in chosen:
        count += 1
        over = slopes > 0, slopes < 0, slopes >= strong_px, slopes <= -strong_px, np.abs(slopes) < weak_px
        for sums, each in zip(counts, over, strict=True):
            np.add(sums, each.view(np.uint8), out=sums)
    kept = np.zeros(likely.shape, bool)
    if count:
        middle = count // 2
        strong = ((steep >= count - middle) | (against > middle)) & (weak <= count // 5)
        kept[likely] = strong & (np.abs(right.astype(np.int16) - left) / count >= _AGREEMENT)
    return kept


def _strays(planes: list[Plane]) -> tuple[NDArray[np.float32], int]:
    """How far each pixel strays from its mean over time, variance [h, w], in parts of a unit; and how many parts."""
    chosen = planes[:: max(1, len(planes) // 12)]
    # Single precision holds these whole numbers, and adds bytes many times faster than wide whole numbers.
    sums, squares = np.zeros((2, *chosen[0].shape), np.float32)
    for plane in chosen:
        cv2.accumulate(plane, sums)
        cv2.accumulateSquare(plane, squares)
    squares *= np.float32(len(chosen))
    squares -= np.square(sums, out=sums)
    return squares, len(chosen) ** 2


class _Strength(NamedTuple):
    """Slopes over time, to say how sharp some pixels are."""

    horizontal: Slopes
    vertical: Slopes

    def of(self, place: tuple[slice, slice], kept: NDArray[np.bool_]) -> float:
        """Median over pixels of their usual gradient, in levels per pixel."""
        right, down = (np.median(slopes[:, *place][:, kept], axis=0) / 8 for slopes in self)
        return float(np.median(np.hypot(right, down)))


def _cluster_area(
    kept: NDArray[np.bool_], spread: NDArray[np.float64] | None = None, strength: _Strength | None = None
) -> tuple[float, list[list[float]]]:
    """Area of the boxes round clusters of kept pixels, and the boxes [x, y, w, h] as shares of the picture.

    Args:
        spread: how far each pixel strays; where given, what lacks a second kind of evidence is no mark.
        strength: gradients of the pixels, where ``spread`` is given.
    """
    h, w = kept.shape
    reach = max(3, w // 40) | 1
    joined = cv2.morphologyEx(kept.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((reach, reach), np.uint8))
    count, _, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    boxes: list[list[float]] = []
    area = 0.0
    for i in range(1, count):
        x, y, bw, bh = (int(v) for v in stats[i, :4])
        inside = int(kept[y : y + bh, x : x + bw].sum())
        if inside < max(12, 0.0004 * h * w):
            continue
        if spread is not None and strength is not None and not _is_burnt_in(kept, spread, strength, (x, y, bw, bh)):
            continue
        area += bw * bh / (w * h)
        boxes.append([round(x / w, 4), round(y / h, 4), round(bw / w, 4), round(bh / h, 4)])
    return min(1.0, area), sorted(boxes)[:16]


def _is_burnt_in(
    kept: NDArray[np.bool_], spread: NDArray[np.float64], strength: _Strength, box: tuple[int, int, int, int]
) -> bool:
    """Whether kept pixels change less than what lies around them, or hardly more and are as sharp as lettering."""
    x, y, w, h = box
    place = slice(y, y + h), slice(x, x + w)
    near = np.s_[max(0, y - _RING) : y + h + _RING, max(0, x - _RING) : x + w + _RING]
    inside = kept[near]
    around = cv2.dilate(inside.astype(np.uint8), np.ones((5, 5), np.uint8)) == 0
    own = float(spread[near][inside].mean())
    others = float(spread[near][around].mean()) if around.any() else own
    if own <= _STEADY * others:
        return True
    return own <= _STRAYS * others + 1.0 and strength.of(place, kept[place]) >= _SHARP


class Watermark(Measurement):
    """Overlays burnt into the picture."""

    name = "watermark"
    version = VERSION
    method = METHOD
    needs = ("camera", "borders")

    def measure(self, seen: ClipContext, measurements: Mapping[str, Figures]) -> dict[str, Any]:
        """Area of what stays put."""
        slopes = seen.slopes if seen.planes else None
        return measure(seen.planes, measurements["camera"], measurements["borders"], slopes)


def judge(measurements: FigureTable, params: QcDecideParams) -> Judgements:
    """Area of what stays on the picture while the camera moves."""
    figures = measurements["watermark"]
    area = figures.number("area_fraction")
    return judged(figures, *cases_of(area, params), value=np.maximum(area, 0.0), area=area)


def cases_of(area: Floats, params: QcDecideParams) -> tuple[Case, Case]:
    """The cases of an area that stays in place."""
    score = 1.0 - np.minimum(1.0, area / params.video.watermark_max_fraction)
    words, caps = "an overlay covers {area:.1%} of the picture", params.video.watermark_seen_caps
    return Case(area <= 0, 1.0, "no overlay found"), Case(True, score, words, caps)


RULES = (Rule("watermark", "watermark", {"watermark": ("area_fraction",)}, judge, weight=0.10),)
