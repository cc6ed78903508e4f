"""Persons, seen from any side, and things, by a small network that lies here and looks again where it thinks of one.

Its scores for a person are low and near those for much else, but what is a person stays one at another size and
mirrored, and hardly anything else does: so every candidate is looked at again in that way, and the mean counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

import cv2
import numpy as np

from aiprod.qc.bundled.fitting import box_of, overlap
from aiprod.qc.bundled.open_images import LABELS, PERSON, SIDE_PX, answers, detections
from aiprod.qc.clip_context import Plane

LEAST = 0.3
"""Of a candidate's first score, and of the mean from which a still speaks for a person together with others."""
_HINT = 0.22  # of a score that an arm or a leg has too
_CANDIDATES = 2  # of a picture that are looked at again: bounds what a crowd costs
_LOOKS = ((1.4, False), (2.2, True), (3.2, False))  # times a candidate's size, and whether mirrored
_SAME_LEAST = 0.35  # of the intersection over union, from which another look is at the same thing
_ONE = 0.4  # of the smaller of two boxes, from which they are of one person
_WIDE = 1.2  # times its height, from which a picture is looked at in more than one square
_THING_MIN = 0.4
_One = TypeVar("_One", bound=tuple[Any, ...])
# What was right wherever it was said on film and photographs; the others are shapes that much else has.
_THINGS = frozenset(("bicycle", "laptop", "cow", "cat", "mug", "bottle", "dog", "car"))


def find(rgb: Plane, *, sure: float, squares: bool = False) -> tuple[list[dict[str, Any]], list[dict[str, Any]], bool]:
    """Candidates for persons and for things in an upright picture [h, w, 3] RGB, the surest first.

    Args:
        sure: a confidence from which no other candidate is looked at again.
        squares: look at squares of the shorter side, where persons are small, instead of at the whole; no things then.

    Returns:
        ``box`` as shares of the picture and ``confidence`` of each person; of each thing its ``label`` too; whether
        anything at all looks like a part of a person.
    """
    candidates: list[tuple[float, np.ndarray]] = []
    things: list[dict[str, Any]] = []
    if squares:
        for part, (offset, size) in _squares(rgb):
            for score, box in detections(*answers(part), PERSON, _HINT):
                candidates.append((score, np.concatenate([offset + box[:2] * size, box[2:] * size])))
    else:
        boxes, scores = answers(rgb)
        candidates, things = detections(boxes, scores, PERSON, _HINT), _things(boxes, scores)
    persons: list[dict[str, Any]] = []
    for score, box in _merged([one for one in candidates if one[0] >= LEAST])[:_CANDIDATES]:
        looks = [score]
        for times, mirrored in _LOOKS:
            if np.mean(looks) >= LEAST:
                looks.append(_again(rgb, box, times, mirrored))
        mean = float(np.mean(looks))
        if mean >= LEAST:
            persons.append({"box": box_of(box), "confidence": round(mean, 2)})
        if mean >= sure:
            break
    return _surest_first(persons), things, bool(candidates)


def things(rgb: Plane) -> list[dict[str, Any]]:
    """Things in an upright picture [h, w, 3] RGB: ``box`` as shares of it, ``label``, ``confidence``; surest first."""
    return _things(*answers(rgb))


def _things(boxes: np.ndarray, scores: np.ndarray) -> list[dict[str, Any]]:
    named: list[tuple[float, np.ndarray, str]] = []
    for label in range(1, len(LABELS)):
        if LABELS[label] in _THINGS:
            named += [(*hit, LABELS[label]) for hit in detections(boxes, scores, label, _THING_MIN)]
    return _surest_first(
        [{"box": box_of(box), "label": label, "confidence": round(score, 2)} for score, box, label in _merged(named)]
    )


def _surest_first(persons: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(persons, key=lambda one: (-one["confidence"], one["box"]))


def _squares(rgb: Plane) -> Iterator[tuple[Plane, tuple[np.ndarray, np.ndarray]]]:
    """Squares of the shorter side, each with its corner and size as shares of the picture; one of it, if almost one."""
    h, w = rgb.shape[:2]
    side, long = min(h, w), max(h, w)
    count = 1 if long < _WIDE * side else min(4, max(2, round(long / side)))
    for start in np.linspace(0, long - side, count).round().astype(int).tolist():
        x, y = (start, 0) if w > h else (0, start)
        shape = np.array([w, h], np.float64)
        yield rgb[y : y + side, x : x + side], (np.array([x, y]) / shape, side / shape)


def _merged(candidates: list[_One]) -> list[_One]:
    """The surest of those that lie on each other: score, box, and what else there is."""
    kept: list[_One] = []
    for one in sorted(candidates, key=lambda one: -one[0]):
        if all(overlap(one[1], other[1]) < _ONE for other in kept):
            kept.append(one)
    return kept


def _again(rgb: Plane, box: np.ndarray, times: float, mirrored: bool) -> float:
    """The best score for what lies on a candidate, in a square cut-out around it."""
    h, w = rgb.shape[:2]
    wide, tall = box[2] * w, box[3] * h
    reach = times * max(wide, tall)
    scale, middle = SIDE_PX / reach, ((box[0] + box[2] / 2) * w, (box[1] + box[3] / 2) * h)
    place = np.array([[scale, 0, SIDE_PX / 2 - scale * middle[0]], [0, scale, SIDE_PX / 2 - scale * middle[1]]])
    soft = max(1, round(1 / scale))  # what would alias in the smaller picture
    seen = cv2.warpAffine(cv2.blur(rgb, (soft, soft)) if soft > 1 else rgb, place, (SIDE_PX, SIDE_PX))
    boxes, scores = answers(np.ascontiguousarray(seen[:, ::-1]) if mirrored else seen)
    size = np.array([wide, tall]) / reach
    low, high = np.maximum(boxes[:, :2], 0.5 - size / 2), np.minimum(boxes[:, :2] + boxes[:, 2:], 0.5 + size / 2)
    shared = np.clip(high - low, 0, None).prod(axis=1)
    same = shared / (boxes[:, 2:].prod(axis=1) + size.prod() - shared) >= _SAME_LEAST
    return float(scores[same, PERSON].max(initial=0.0))
