"""Objects in a video of the demo world: their shape, how many there are, how they move, and which way.

Shape: how far the object reaches in each direction, in a form that turning and size do not change, is judged by a
linear discriminant. It is fitted to outlines that are drawn on purpose, sharp and as an autoencoder leaves them; every
picture votes.
"""

from __future__ import annotations

import functools

import cv2
import numpy as np

from aiprod.data.sources.demo.picture import outline
from aiprod.data.sources.demo.plan import COLOURS, SHAPES
from aiprod.evaluation.video_attributes import ObjectColours

UNSEEN = "unseen"

_LEAST_PX = 12  # an object of fewer pixels has no shape
_MOST_SHARE = 0.25  # of the picture; what covers more is no object
_COUNTED_PX = 8  # an object of fewer pixels is not counted
_LEAST_SEEN_PX = 4  # pixels of its colour that a picture must show for it to have a place
_SEEN_SHARE = 0.6  # of the pictures that must show an object for it to be counted
_FALL = 0.35  # heights a second squared from which an object falls; the slowest fall of the corpus is 2.0
_LAG_S = 0.2  # between the heights that are compared; an autoencoder moves objects in jumps of a latent frame
_REACH = 1.9  # radii of a disc of the object's area, as far as its surroundings are looked at
_RINGS, _ANGLES, _HARMONICS = 10, 32, 9
_SHRINKAGE = 0.3  # of the discriminant's covariance towards a multiple of the identity
_DOUBT = 0.1  # probability that a picture tells nothing, so that no single one can decide
_BLOCK = 8  # pixels a side of the blocks that detail is taken from, as of the demo's autoencoder


def seen_shape(colours: ObjectColours) -> str:
    """Name of the shape of the object whose colour has the most pixels, or ``unseen``."""
    mask, soft = colours.mask(colours.most), colours.softness(colours.most)
    signatures = [
        _signature(own_soft, blob)
        for own_mask, own_soft in zip(mask, soft, strict=True)
        if (blob := _blob(own_mask)) is not None and not _cut_off(blob)
    ]
    if not signatures:
        return UNSEEN
    directions, offsets = _discriminant()
    scores = np.array(signatures) @ directions + offsets
    likely = np.exp(scores - scores.max(axis=1, keepdims=True))
    likely = (1 - _DOUBT) * likely / likely.sum(axis=1, keepdims=True) + _DOUBT / len(SHAPES)
    return list(SHAPES)[int(np.log(likely).sum(axis=0).argmax())]


def seen_count(colours: ObjectColours) -> int:
    """How many objects there are: object colours that show a blob in most pictures (a scene has no colour twice)."""
    count = 0
    for colour in COLOURS:
        blobs = [_blob(mask, _COUNTED_PX) for mask in colours.mask(colour)]
        count += int(np.mean([blob is not None for blob in blobs]) >= _SEEN_SHARE)
    return count


def seen_motion(colours: ObjectColours, fps: float = 12.0) -> str:
    """``bounce`` where the object whose colour has the most pixels is pulled down, ``drift`` where it goes straight.

    The median second difference of its height, over a fifth of a second each way, is free of the pictures in which it
    turns round.
    """
    mask = colours.mask(colours.most)
    heights = [None if (blob := _blob(own)) is None else float(np.nonzero(blob)[0].mean()) for own in mask]
    lag = max(1, round(_LAG_S * fps))
    bends = [
        c - 2 * b + a
        for a, b, c in zip(heights, heights[lag:], heights[2 * lag :], strict=False)
        if a is not None and b is not None and c is not None
    ]
    if len(bends) < max(1, len(mask) // 4):
        return UNSEEN
    return "bounce" if float(np.median(bends)) * (fps / lag) ** 2 / mask.shape[1] > _FALL else "drift"


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


def _signature(soft: np.ndarray, blob: np.ndarray) -> np.ndarray:
    """How the object's surroundings look along rings about its centre: strength of each ring's harmonics.

    Rings are measured in radii of a disc of the same area. A turn shifts a ring along itself, which leaves the strength
    of its harmonics as it is. Soft edges lower the strengths and leave their pattern, where a contour at one level
    jumps.
    """
    near = cv2.dilate(blob.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    inside = np.where(near, soft, 0.0).astype(np.float32)
    mass = float(inside.sum())
    y, x = np.mgrid[0 : inside.shape[0], 0 : inside.shape[1]]
    rings = (np.arange(_RINGS) + 0.5) / _RINGS
    away = rings[:, None] * _REACH * np.sqrt(mass / np.pi)
    angles = np.arange(_ANGLES) * 2 * np.pi / _ANGLES
    sampled = cv2.remap(
        inside,
        (float((inside * x).sum()) / mass + away * np.cos(angles)).astype(np.float32),
        (float((inside * y).sum()) / mass + away * np.sin(angles)).astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
    )
    strength = np.abs(np.fft.rfft(sampled, axis=1))[:, :_HARMONICS] / _ANGLES
    return np.asarray((strength * np.sqrt(rings)[:, None]).ravel())


@functools.cache
def _discriminant() -> tuple[np.ndarray, np.ndarray]:
    """Directions [features, shapes] and offsets [shapes] of a linear discriminant of the shapes.

    Fitted to outlines drawn in several sizes and turns, each sharp and with less and less detail: no film and nothing
    that a model made takes part.
    """
    random = np.random.default_rng(0)
    numbers, signatures = [], []
    for number, shape in enumerate(SHAPES):
        for radius in (7.0, 9.0, 11.5, 14.0, 17.0):
            for turn in range(0, 120, 10):
                drawn = np.pad(_drawn(shape, radius, float(turn)), _BLOCK // 2)
                place = random.integers(0, _BLOCK, (4, 2))
                coarse = [_without_detail(drawn, keep, at) for keep, at in enumerate(place, start=1)]
                for picture in (drawn, *coarse):
                    numbers.append(number)
                    signatures.append(_signature(picture, picture > 0.5))
    drawn_as, features = np.array(numbers), np.array(signatures)
    means = np.array([features[drawn_as == n].mean(axis=0) for n in range(len(SHAPES))])
    within = np.cov((features - means[drawn_as]).T)
    size = len(within)
    within = (1 - _SHRINKAGE) * within + _SHRINKAGE * np.eye(size) * np.trace(within) / size
    directions = np.linalg.solve(within, means.T)
    return directions, -0.5 * (means.T * directions).sum(axis=0)


def _without_detail(picture: np.ndarray, keep: int, place: np.ndarray) -> np.ndarray:
    """A picture of which each block of pixels keeps only the lowest waves, as an autoencoder of few channels does.

    Args:
        keep: sum of a wave's numbers along height and width up to which it is kept.
        place: rows and columns by which the grid of blocks is shifted.
    """
    height, width = picture.shape
    tall = -(-(height + int(place[0])) // _BLOCK) * _BLOCK
    wide = -(-(width + int(place[1])) // _BLOCK) * _BLOCK
    whole = np.zeros((tall, wide), np.float32)
    part = whole[place[0] : place[0] + height, place[1] : place[1] + width]
    part[:] = picture
    kept = np.add.outer(np.arange(_BLOCK), np.arange(_BLOCK)) <= keep
    for top in range(0, tall, _BLOCK):
        for left in range(0, wide, _BLOCK):
            block = whole[top : top + _BLOCK, left : left + _BLOCK]
            block[:] = cv2.idct(cv2.dct(block.copy()) * kept)
    return np.clip(part, 0.0, 1.0)


def _drawn(shape: str, radius: float, turn: float) -> np.ndarray:
    """A shape with soft edges, 8 times larger and averaged down, as film is."""
    size, fine = int(4 * radius) // 2 * 2 + 4, 8
    corners = outline(shape, size / 2, size / 2, radius, turn * (8 if shape in ("square", "diamond") else 1)) * fine
    canvas = np.zeros((size * fine, size * fine), np.uint8)
    cv2.fillPoly(canvas, [np.round(corners).astype(np.int32)], 255)
    return cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
