"""Flashes that may harm people with photosensitive epilepsy, counted by ITU-R BT.1702.

A general flash is a pair of opposing changes of luminance of 20 cd/m² or more where the darker picture is below
160 cd/m²; a red flash is such a pair of changes to or from a saturated red. What counts is where changes of one
direction cover more than a quarter of the screen, and come more than three times in a second. Luminance is that of a
display of 200 cd/m² (BT.1886).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Signal = NDArray[np.float32]
WHITE_CD_M2 = 200.0
_CHANGE, _DARKER = 20.0, 160.0
_RED_CHANGE, _RED_SHARE = 20.0, 0.8
_AREA = 0.25
_TOGETHER_S = 0.09  # a change that spreads over the screen within this time is one


def small(rgb: Signal) -> Signal:
    """The signal [H, W, 3] as at most 32 x 18 cells: a quarter of the screen is not a matter of pixels."""
    import cv2

    height, width = rgb.shape[:2]
    return np.asarray(cv2.resize(rgb, (min(32, width), min(18, height)), interpolation=cv2.INTER_AREA), np.float32)


class _Turns:
    """Follows one quantity in every cell, and tells where it has changed enough since its last extreme."""

    def __init__(self, least: float) -> None:
        self.least = least
        self.low: Signal | None = None
        self.high: Signal | None = None

    def feed(self, value: Signal) -> tuple[NDArray[np.bool_], NDArray[np.bool_], Signal]:
        """Cells that rose, cells that fell, and the darker of the two levels between which they did."""
        if self.low is None or self.high is None:
            self.low, self.high = value.copy(), value.copy()
        self.low, self.high = np.minimum(self.low, value), np.maximum(self.high, value)
        rose, fell = value - self.low >= self.least, self.high - value >= self.least
        darker = np.where(rose, self.low, value)
        # what has turned is followed anew from here
        turned = rose | fell
        self.low, self.high = np.where(turned, value, self.low), np.where(turned, value, self.high)
        return rose, fell, darker.astype(np.float32)


class Flashes:
    """Counts general and red flashes over the pictures of a film."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self._turns = {"general": _Turns(_CHANGE), "red": _Turns(_RED_CHANGE)}
        self._recent: dict[tuple[str, bool], list[tuple[int, NDArray[np.bool_]]]] = {}
        self._changes: dict[str, list[tuple[int, bool]]] = {"general": [], "red": []}
        self._frame = 0

    def feed(self, rgb: Signal) -> None:
        """Take one picture of :func:`small` cells of display signal."""
        light = np.power(np.clip(rgb, 0, 1), 2.4)
        luminance = WHITE_CD_M2 * (light @ np.array([0.2126, 0.7152, 0.0722], np.float32))
        total = light.sum(axis=-1)
        saturated = light[..., 0] >= _RED_SHARE * np.maximum(total, 1e-6)
        redness = np.maximum(light[..., 0] - light[..., 1] - light[..., 2], 0) * 320 * saturated
        for kind, value in (("general", luminance), ("red", redness)):
            rose, fell, darker = self._turns[kind].feed(value.astype(np.float32))
            if kind == "general":
                rose, fell = rose & (darker < _DARKER), fell & (darker < _DARKER)
            for up, cells in ((True, rose), (False, fell)):
                self._note(kind, up, cells)
        self._frame += 1

    def _note(self, kind: str, up: bool, cells: NDArray[np.bool_]) -> None:
        recent = self._recent.setdefault((kind, up), [])
        recent.append((self._frame, cells))
        while recent and (self._frame - recent[0][0]) / self.rate > _TOGETHER_S:
            recent.pop(0)
        covered = np.logical_or.reduce([part for _, part in recent])
        if covered.mean() <= _AREA:
            return
        recent.clear()
        changes = self._changes[kind]
        if not changes or changes[-1][1] != up:  # opposing changes alternate
            changes.append((self._frame, up))

    def most_in_a_second(self) -> dict[str, tuple[int, float]]:
        """Kind → the most flashes within a second, and when that second begins."""
        most = {}
        for kind, changes in self._changes.items():
            frames = [frame for frame, _ in changes]
            best, at = 0, 0.0
            for n, first in enumerate(frames):
                inside = sum(1 for frame in frames[n:] if frame - first < self.rate)
                if inside // 2 > best:
                    best, at = inside // 2, first / self.rate
            most[kind] = best, at
        return most
