"""Colours and light of the stills, by plain colour names."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from aiprod.qc.clip_context import Still
from aiprod.qc.measurement import OfStills

VERSION = "2"
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
_NAME_OF_HUE = np.full(256, NAMES.index("red"), np.int8)  # hues beyond the last bound are red again
for _bound, _name in reversed(_HUES):
    _NAME_OF_HUE[:_bound] = NAMES.index(_name)


def name_shares(rgb: np.ndarray) -> dict[str, float]:
    """Share of each colour name in an image [h, w, 3] RGB."""
    return _name_shares(*_hsv(rgb))


def _hsv(rgb: np.ndarray) -> list[np.ndarray]:
    return [plane.ravel() for plane in cv2.split(cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV))]


def _name_shares(hue: np.ndarray, saturation: np.ndarray, value: np.ndarray) -> dict[str, float]:
    names = _NAME_OF_HUE[hue]
    # Dark or dull orange is what people call brown.
    warm = (hue < 21) & (hue >= 3) | (hue >= 176)
    names[warm & (saturation >= 40) & ((value < 140) | ((saturation < 130) & (value < 190)))] = NAMES.index("brown")
    dull_yellow = (hue >= 21) & (hue < 34) & (value < 160)  # what grows is green there, what lies is brown
    names[dull_yellow] = np.where(hue[dull_yellow] < 26, NAMES.index("brown"), NAMES.index("green"))
    pale_red = ((hue < 8) | (hue >= 165)) & (saturation < 130) & (value >= 170)
    names[pale_red] = NAMES.index("pink")
    names[saturation < 40] = NAMES.index("grey")
    names[(saturation < 30) & (value > 205)] = NAMES.index("white")
    names[(value < 40) | ((value < 60) & (saturation < 60))] = NAMES.index("black")
    counts = np.bincount(names, minlength=len(NAMES)) / names.size
    return {name: float(share) for name, share in zip(NAMES, counts, strict=True)}


class Palette(OfStills):
    """Named colours, brightness, contrast and colourfulness."""

    name = "palette"
    version = VERSION
    method = METHOD

    def __init__(self) -> None:
        self._shares: list[dict[str, float]] = []
        self._light: list[tuple[float, float]] = []
        self._saturation: list[float] = []
        self._detail: list[float] = []

    def feed(self, still: Still) -> None:
        """Take one still."""
        hue, saturation, value = _hsv(still.rgb)
        self._shares.append(_name_shares(hue, saturation, value))
        self._saturation.append(float(saturation.mean()) / 255.0)
        span = still.white_level - still.black_level
        plane = (still.plane.astype(np.float32) - still.black_level) / span
        self._light.append((float(plane.mean()), float(plane.std())))
        self._detail.append(float(np.abs(cv2.Laplacian(still.plane, cv2.CV_32F)).mean()) / span)

    def figures(self) -> dict[str, Any]:
        """Means over the stills; colours sorted by share."""
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
