"""Finds where scenes change, picture by picture."""

from __future__ import annotations

import math
from collections import deque

import cv2
import numpy as np

from aiprod.data.params import ShotParams

_BESIDE = 2  # pictures before and after one that its score is held against
_MOST = 255.0  # what a change counts for where all beside it stands still
_STILL = 1e-5
_SHORTEST = 3  # pictures from one cut to the next
_SPECKS = 0.002  # share of the pixels of a black picture that may be brighter
_SETTLING = 12  # pictures
_SUDDEN = 8.0  # mean change in brightness, 0-255, from which on a jolt or a flash is looked for
_SUDDENLY = 2.0  # times the changes before
_MOVED = 0.35  # of phase correlation: cuts reach 0.25, pictures of one scene some pixels apart 0.5 and more
_EXPLAINED = 0.6  # of the difference that is left once the movement is undone
_FLAT = 4.0  # standard deviation of a picture in which nothing can be seen to move
_FLASH = 4  # pictures after which the scene is back
_RETURNED = 0.3  # of the change, by which the picture may differ from what was before
_ALIKE = 0.6  # correlation of colours
_VALUE = 2  # channel of HSV, the largest of the three colours
_HSV = [0, 180, 0, 256, 0, 256]


def lightest(picture: np.ndarray) -> np.ndarray:
    """The largest channel of each pixel of a picture uint8 [H, W, 3]; NumPy's own reduction takes ten times as long."""
    first, second, third = cv2.split(picture)
    return cv2.max(cv2.max(first, second), third)


class AdaptiveCuts:
    """The scores and the rule of PySceneDetect's adaptive detector, in less than half of its time: the same cuts.

    A picture's score is how far hue, saturation and value have changed, in the mean of all pixels. A cut is where it is
    ``threshold`` times the mean of the scores beside it.

    Args:
        least: score below which there is no cut.
        apart: pictures from the first of a film, or from one cut, to the next.

    Attributes:
        light: the largest channel of each pixel of the latest picture, uint8 [H, W].
        change: by how much that has changed, in the mean, 0-255.
    """

    def __init__(self, threshold: float, least: float, apart: int) -> None:
        self._threshold, self._least, self._apart = threshold, least, apart
        self.light: np.ndarray | None = None
        self.change = 0.0
        self._before: np.ndarray | None = None
        self._scores: list[float] = []
        self._latest = 0

    def see(self, picture: np.ndarray) -> int | None:
        """The number of a picture that begins a scene, known ``_BESIDE`` pictures later; uint8 BGR [H, W, 3]."""
        colours = cv2.cvtColor(picture, cv2.COLOR_BGR2HSV)
        score = self.change = 0.0
        if self._before is not None:
            pixels = picture.shape[0] * picture.shape[1]
            changes = [change / pixels for change in cv2.sumElems(cv2.absdiff(colours, self._before))]
            score, self.change = sum(changes) / 3.0, changes[_VALUE]
        self._before, self.light = colours, cv2.extractChannel(colours, _VALUE)
        self._scores.append(score)
        number = len(self._scores) - 1 - _BESIDE
        if number < _BESIDE or number - self._latest < self._apart or self._scores[number] < self._least:
            return None
        beside = self._scores[number - _BESIDE : number] + self._scores[number + 1 :]
        mean = sum(beside) / (2.0 * _BESIDE)
        ratio = _MOST if mean < _STILL else min(self._scores[number] / mean, _MOST)
        if ratio < self._threshold:
            return None
        self._latest = number
        return number


class Detector:
    """Cuts, as PySceneDetect's adaptive detector finds them, and fades through black, fed picture by picture.

    A cut is a change of scene: neither a jolt, nor a flash, nor a picture that is torn, for something did not decode.
    """

    def __init__(self, params: ShotParams) -> None:
        self._adaptive = AdaptiveCuts(params.adaptive_threshold, params.min_content_change, _SHORTEST)
        self._fade_level = math.floor(params.fade_level)  # whole numbers are compared in a fifth of the time
        self._cuts: set[int] = set()
        self._dark: list[bool] = []
        self._changes: list[float] = []
        self._latest: deque[np.ndarray] = deque(maxlen=_FLASH)  # brightness of the latest pictures
        self._whole: np.ndarray | None = None  # the latest picture that is not torn
        self._torn_from: int | None = None
        self._no_cuts: set[int] = set()  # pictures that differ from the one before, and show the same scene
        self._changed: set[int] = set()  # pictures that show another scene than what was before a torn stretch
        self._least_change = params.min_brightness_change

    def see(self, picture: np.ndarray, torn: bool) -> np.ndarray:
        """Feed the next picture, uint8 BGR [H, W, 3]; returns the largest channel of each pixel."""
        number = len(self._dark)
        if (cut := self._adaptive.see(picture)) is not None:
            self._cuts.add(cut)
        light, change = self._adaptive.light, self._adaptive.change
        assert light is not None
        self._dark.append(bool(np.count_nonzero(light > self._fade_level) <= _SPECKS * light.size))
        sudden = change >= _SUDDEN and change > _SUDDENLY * float(np.mean(self._changes[-4:]))
        if sudden and displaced(self._latest[-1], light):
            self._no_cuts.add(number)
        self._changes.append(change)
        for back in range(2, len(self._latest) + 1):
            most = max(self._changes[-back:])
            if most >= _SUDDEN and _difference(light, self._latest[-back]) < _RETURNED * most:
                self._no_cuts |= {
                    n for n in range(number - back + 1, number + 1) if self._changes[n] >= _RETURNED * most
                }
        self._latest.append(light)
        self._see_damage(picture, torn, number)
        return light

    def _see_damage(self, picture: np.ndarray, torn: bool, number: int) -> None:
        """A torn stretch begins and ends with no cut, unless what lies behind it is another scene."""
        if torn and self._torn_from is None:
            self._torn_from = number
            self._no_cuts.add(number)
        elif torn:
            self._no_cuts.add(number)
        elif self._torn_from is not None:
            self._no_cuts.add(number)
            if self._whole is not None and not _same_scene(self._whole, picture):
                self._changed.add(number)
            self._torn_from = None
        if not torn:
            self._whole = picture

    def cuts(self) -> list[int]:
        """Numbers of the pictures that begin a shot, without the first.

        A fade is cut in the middle of its dark stretch, unless the stretch begins or ends with a cut, or is at
        either end of the film.
        """
        count = len(self._dark)
        # In near-black pictures hue and saturation are noise: a cut must change the brightness somewhere too.
        change = self._changes
        hard = {c for c in self._cuts if 0 < c < count and change[c] >= self._least_change}
        hard = (hard - self._no_cuts) | (self._changed & set(range(1, count)))
        # Heavily compressed film settles some pictures after a cut, in steps: no cuts of their own.
        hard = {c for c in hard if not any(0 < c - d <= _SETTLING and change[c] < 0.15 * change[d] for d in hard)}
        edges = np.flatnonzero(np.diff(np.array([False, *self._dark, False], np.int8)))
        soft = set()
        for begin, end in edges.reshape(-1, 2).tolist():
            beside = {n for edge in (begin, end) for n in range(edge - 2, edge + 3)}
            if begin > 0 and end < count and not beside & hard:
                soft.add((begin + end) // 2)
        return sorted(hard | soft)


def _difference(one: np.ndarray, other: np.ndarray) -> float:
    """Mean absolute difference of two pictures of brightness."""
    return cv2.norm(one, other, cv2.NORM_L1) / one.size


def displaced(before: np.ndarray, after: np.ndarray) -> bool:
    """Whether a picture is the one before, moved: a jolt of the camera, or pictures that are missing."""
    one, other = before.astype(np.float32), after.astype(np.float32)
    if float(one.std()) < _FLAT or float(other.std()) < _FLAT:
        return False
    window = cv2.createHanningWindow((one.shape[1], one.shape[0]), cv2.CV_32F)
    (right, down), response = cv2.phaseCorrelate(one - one.mean(), other - other.mean(), window)
    if response < _MOVED:
        return False
    x, y = round(right), round(down)  # lettering that stays through a cut moves nowhere, and explains nothing
    height, width = one.shape
    was = one[max(0, -y) : height - max(0, y), max(0, -x) : width - max(0, x)]
    is_ = other[max(0, y) : height - max(0, -y), max(0, x) : width - max(0, -x)]
    return _difference(was, is_) < _EXPLAINED * _difference(one, other)


def _same_scene(before: np.ndarray, after: np.ndarray) -> bool:
    """Whether two pictures some time apart may be of one scene: the same colours, or the same thing moved."""
    if displaced(lightest(before), lightest(after)):
        return True
    counts = []
    for picture in (before, after):
        seen = cv2.calcHist([cv2.cvtColor(picture, cv2.COLOR_BGR2HSV)], [0, 1, 2], None, [12, 6, 6], _HSV)
        counts.append(cv2.GaussianBlur(seen.reshape(12, 36), (3, 3), 0))
    return bool(cv2.compareHist(counts[0], counts[1], cv2.HISTCMP_CORREL) >= _ALIKE)
