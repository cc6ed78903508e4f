"""Objects in a video of the demo world: their shape, how many there are, how they move, and which way.

Shape: the outline of the object, enlarged with soft edges, is compared by features that turning and size do not change
with outlines that are drawn on purpose at the same number of pixels; every picture votes.
"""

from __future__ import annotations

import functools

import cv2
import numpy as np

from aiprod.data.sources.demo.picture import outline
from aiprod.data.sources.demo.plan import COLOURS, SHAPES
from aiprod.evaluation.video_attributes import ObjectColours

UNSEEN = "unseen"

_ENLARGED = 6
_LEAST_PX = 12  # an object of fewer pixels has no shape
_MOST_SHARE = 0.25  # of the picture; what covers more is no object
_COUNTED_PX = 8  # an object of fewer pixels is not counted
_LEAST_SEEN_PX = 4  # pixels of its colour that a picture must show for it to have a place
_SEEN_SHARE = 0.6  # of the pictures that must show an object for it to be counted
_FALL = 0.35  # heights a second squared from which an object falls; the slowest fall of the corpus is 2.4
_HARMONICS = 7


def seen_shape(colours: ObjectColours) -> str:
    """Name of the shape of the object whose colour has the most pixels, or ``unseen``."""
    mask, soft = colours.mask(colours.most), colours.softness(colours.most)
    names, templates, spread = _templates()
    votes = np.zeros(len(SHAPES))
    for own_mask, own_soft in zip(mask, soft, strict=True):
        blob = _blob(own_mask)
        if blob is None or _cut_off(blob):
            continue
        features = _features(_crop(own_soft, blob))
        if features is None:
            continue
        distance = np.linalg.norm((templates - features) / spread, axis=1)
        for name in np.unique(names):
            votes[name] += np.exp(-distance[names == name].min())
    return list(SHAPES)[int(votes.argmax())] if votes.any() else UNSEEN


def seen_count(colours: ObjectColours) -> int:
    """How many objects there are: object colours that show a blob in most pictures (a scene has no colour twice)."""
    count = 0
    for colour in COLOURS:
        blobs = [_blob(mask, _COUNTED_PX) for mask in colours.mask(colour)]
        count += int(np.mean([blob is not None for blob in blobs]) >= _SEEN_SHARE)
    return count


def seen_motion(colours: ObjectColours, fps: float = 12.0) -> str:
    """``bounce`` where the object whose colour has the most pixels is pulled down, ``drift`` where it goes straight.

    The median second difference of its height is free of the pictures in which it turns round.
    """
    mask = colours.mask(colours.most)
    heights = [None if (blob := _blob(own)) is None else float(np.nonzero(blob)[0].mean()) for own in mask]
    bends = [
        c - 2 * b + a
        for a, b, c in zip(heights, heights[1:], heights[2:], strict=False)
        if a is not None and b is not None and c is not None
    ]
    if len(bends) < len(mask) // 3:
        return UNSEEN
    return "bounce" if float(np.median(bends)) * fps**2 / mask.shape[1] > _FALL else "drift"


def seen_direction(colours: ObjectColours) -> str:
    """``left`` or ``right``, where the pixels of the most frequent object colour go, or ``unseen``.

    The slope of their mean place along the width over the pictures, each picture weighed by how many it shows.
    """
    mask = colours.mask(colours.most)
    pixels = mask.sum(axis=(1, 2))
    shown = np.flatnonzero(pixels >= _LEAST_SEEN_PX)
    if len(shown) < max(2, len(mask) // 3):
        return UNSEEN
    middles = (mask[shown].sum(axis=1) @ np.arange(mask.shape[2])) / pixels[shown]
    slope = np.polyfit(shown, middles, 1, w=np.sqrt(pixels[shown]))[0]
    return "right" if slope > 0 else "left"


def _blob(mask: np.ndarray, least: int = _LEAST_PX) -> np.ndarray | None:
    """The largest connected part, with its holes filled; None where there is none of a possible size."""
    count, labels, facts, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if count < 2:
        return None
    largest = 1 + int(facts[1:, cv2.CC_STAT_AREA].argmax())
    if not least <= facts[largest, cv2.CC_STAT_AREA] <= _MOST_SHARE * mask.size:
        return None
    return np.asarray(labels == largest)


def _cut_off(blob: np.ndarray) -> bool:
    """Whether it touches the rim, where part of it may be hidden."""
    return bool(blob[0].any() or blob[-1].any() or blob[:, 0].any() or blob[:, -1].any())


def _crop(soft: np.ndarray, blob: np.ndarray) -> np.ndarray:
    """Softness about the blob, 0 elsewhere."""
    near = cv2.dilate(blob.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    rows, columns = np.nonzero(near)
    inside = np.where(near, soft, 0.0)[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    return np.pad(inside, 2)


def _features(soft: np.ndarray) -> np.ndarray | None:
    """Strength of the outline's harmonics 2 … 7, how much of its hull it fills, and how round it is."""
    large = cv2.resize(soft.astype(np.float32), None, fx=_ENLARGED, fy=_ENLARGED, interpolation=cv2.INTER_CUBIC)
    contours, _ = cv2.findContours((large > 0.5).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not contours:
        return None
    contour = max(contours, key=cv2.contourArea)
    area, length = cv2.contourArea(contour), cv2.arcLength(contour, closed=True)
    hull = cv2.contourArea(cv2.convexHull(contour))
    if area < _LEAST_PX * _ENLARGED**2 / 2 or hull <= 0:
        return None
    moments = cv2.moments(contour)
    centre = np.array([moments["m10"], moments["m01"]]) / moments["m00"]
    away = contour[:, 0].astype(np.float64) - centre
    angle, radius = np.arctan2(away[:, 1], away[:, 0]), np.hypot(away[:, 0], away[:, 1])
    order = np.argsort(angle)
    even = np.linspace(-np.pi, np.pi, 128, endpoint=False)
    profile = np.interp(even, angle[order], radius[order], period=2 * np.pi)
    harmonics = np.abs(np.fft.rfft(profile / profile.mean()))[2 : _HARMONICS + 1] / len(even) * 2
    return np.array([*harmonics, area / hull, 4 * np.pi * area / length**2])


@functools.cache
def _templates() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of outlines drawn in several sizes and turns: number of the shape, features, and each feature's deviation."""
    names, templates = [], []
    for number, shape in enumerate(SHAPES):
        for radius in (5.5, 7.0, 9.0, 11.5):
            for turn in range(0, 360, 24):
                features = _features(_drawn(shape, radius, float(turn)))
                if features is not None:
                    names.append(number)
                    templates.append(features)
    everything = np.array(templates)
    return np.array(names), everything, everything.std(axis=0)


def _drawn(shape: str, radius: float, turn: float) -> np.ndarray:
    """A shape with soft edges, 8 times larger and averaged down, as film is."""
    size, fine = int(4 * radius) // 2 * 2 + 4, 8
    corners = outline(shape, size / 2, size / 2, radius, turn * (8 if shape in ("square", "diamond") else 1)) * fine
    canvas = np.zeros((size * fine, size * fine), np.uint8)
    cv2.fillPoly(canvas, [np.round(corners).astype(np.int32)], 255)
    return cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
