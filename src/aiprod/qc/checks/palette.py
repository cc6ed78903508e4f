"""Colours and light of the stills, by plain colour names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from aiprod.qc.clip_context import Plane, Still
from aiprod.qc.measurement import OfStills

VERSION = "3"
METHOD = (
    "HSV of the small colour stills (PQ and HLG tone-mapped); shares of named colours, brightness and contrast of luma"
)
# Upper bounds of hue in OpenCV's 0..180 scale.
_HUES = (
    (8, "red"),
    (21, "orange"),
    (34, "yellow"),
    (78, "green"),
    (97, "teal"),
    (131, "blue"),
    (147, "violet"),
    (172, "pink"),
)
NAMES = ("black", "grey", "white", "red", "orange", "brown", "yellow", "green", "teal", "blue", "violet", "pink")
_SATURATIONS = (30, 40, 60, 130)
_VALUES = (40, 60, 140, 160, 170, 190, 206)
_TURNS = sorted({3, 8, 21, 26, 34, 165, 176, *(bound for bound, _ in _HUES)})
"""Where the name of a colour may change, in OpenCV's codes of hue, saturation and value: below each of these, and from
it on."""


def _steps(bounds: Sequence[int]) -> NDArray[np.uint8]:
    """Code → the number of bounds that it reaches."""
    return np.searchsorted(np.array(bounds), np.arange(256), side="right").astype(np.uint8)


_STEPS = np.stack([_steps(_TURNS), _steps(_SATURATIONS), _steps(_VALUES)], axis=-1)[:, None]  # [256, 1, 3], for LUT
_SIZES = [len(_TURNS) + 1, len(_SATURATIONS) + 1, len(_VALUES) + 1]


def _name(hue: int, saturation: int, value: int) -> str:
    """The colour's plain name."""
    if value < 40 or (value < 60 and saturation < 60):
        return "black"
    if saturation < 30 and value > 205:
        return "white"
    if saturation < 40:
        return "grey"
    if (hue < 8 or hue >= 165) and saturation < 130 and value >= 170:
        return "pink"
    if 21 <= hue < 34 and value < 160:  # what grows is green there, what lies is brown
        return "brown" if hue < 26 else "green"
    if (3 <= hue < 21 or hue >= 176) and (value < 140 or (saturation < 130 and value < 190)):
        return "brown"  # as people call dark or dull orange
    return next((name for bound, name in _HUES if hue < bound), "red")  # beyond the last bound it is red again


_NAME_OF_STEPS = np.array(
    [
        NAMES.index(_name(hue, saturation, value))
        for hue in (0, *_TURNS)
        for saturation in (0, *_SATURATIONS)
        for value in (0, *_VALUES)
    ]
)


def name_shares(rgb: np.ndarray) -> dict[str, float]:
    """Share of each colour name in an image [h, w, 3] RGB."""
    return _name_shares(cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV))


def _name_shares(hsv: np.ndarray) -> dict[str, float]:
    ranges = [edge for size in _SIZES for edge in (0, size)]
    counts = cv2.calcHist([cv2.LUT(hsv, _STEPS)], [0, 1, 2], None, _SIZES, ranges)
    pixels = np.bincount(_NAME_OF_STEPS, counts.ravel(), minlength=len(NAMES)) / (hsv.shape[0] * hsv.shape[1])
    return {name: float(share) for name, share in zip(NAMES, pixels, strict=True)}


class Palette(OfStills):
    """Named colours, brightness, contrast and colourfulness."""

    name = "palette"
    version = VERSION
    method = METHOD

    def __init__(self) -> None:
        self._waiting: list[tuple[Plane, Plane, float, float]] = []
        self._shares: list[dict[str, float]] = []
        self._light: list[tuple[float, float]] = []
        self._saturation: list[float] = []
        self._detail: list[float] = []

    def feed(self, still: Still) -> None:
        """Take one still. They are looked at together: between two decoded frames the processor's caches lose the code,
        and the same takes twice as long."""
        self._waiting.append((still.rgb, still.plane, still.black_level, still.white_level))

    def _look(self, rgb: Plane, plane: Plane, black_level: float, white_level: float) -> None:
        hsv = cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV)
        self._shares.append(_name_shares(hsv))
        self._saturation.append(cv2.mean(hsv)[1] / 255.0)
        span = white_level - black_level
        mean, deviation = cv2.meanStdDev(plane)
        self._light.append(((mean.item() - black_level) / span, deviation.item() / span))
        slopes = cv2.Laplacian(plane, cv2.CV_16S)  # whole numbers
        self._detail.append(cv2.norm(slopes, cv2.NORM_L1) / slopes.size / span)

    def figures(self) -> dict[str, Any]:
        """Means over the stills; colours sorted by share."""
        for still in self._waiting:
            self._look(*still)
        self._waiting.clear()
        if not self._shares:
            return {"status": "unmeasurable", "reason": "no stills"}
        mean = {name: float(np.mean([s[name] for s in self._shares])) for name in NAMES}
        ordered = sorted(mean.items(), key=lambda item: (-item[1], item[0]))
        light = np.array(self._light)
        return {
            "status": "ok",
            "colours": [[name, round(share, 4)] for name, share in ordered if share >= 0.02],
            "brightness": float(light[:, 0].mean()),
            "contrast": float(light[:, 1].mean()),
            "saturation": float(np.mean(self._saturation)),
            "detail": float(np.mean(self._detail)),
            "monochrome": bool(max(self._saturation) < 0.06),
        }
