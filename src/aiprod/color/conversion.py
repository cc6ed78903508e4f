"""From one signal to another by the light that both mean: curves, primaries, tone and gamut. One engine for the house:
ingest makes its training clips with it, and ``aiprod grade`` and ``aiprod cut`` whatever they deliver.

Curves are tables over light and sums are written out, so that the result is the same on every processor. The knee of
BT.2390 bends the largest of red, green and blue and scales the others with it, so that a colour keeps its hue and no
channel runs over; colours outside of the wanted primaries lose saturation, at their luminance, until they fit.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from aiprod.color.aces import through_aces
from aiprod.color.light import USUAL_PEAK_NITS, WEIGHTS, Signal, between, light_of, signal_of
from aiprod.color.tone import ToneMap, bt2446a, bt2446a_expanded, eetf

Light = NDArray[np.float32]
Codes = NDArray[np.uint16]
BAND = 32  # lines that are worked on at once, so that they stay in the processor's cache
VERSION = 1
"""Of what a conversion makes of a picture."""


class Conversion:
    """Makes pictures of one signal pictures of another.

    Args:
        source: of what is given.
        target: of what is wanted.
        tone_map: how light beyond the target's peak is bent; ``bt2446a`` also expands standard to high range.
        levels: codes of a channel on the way in: 1,024 or 65,536.
        steps: entries of the tables over light, and ``root``: 2 or 4, at which root of light they are read. Fine
            tables err by less than a thirtieth of a code of 10 bits.
        gains: factors of red, green and blue in light. What they lift above the peak is bent with the rest.
    """

    def __init__(  # noqa: PLR0917
        self,
        source: Signal,
        target: Signal,
        tone_map: ToneMap = "bt2390",
        levels: int = 1 << 16,
        steps: int = 1 << 16,
        root: int = 4,
        gains: tuple[float, float, float] = (1.0, 1.0, 1.0),
    ) -> None:
        self.source, self.target, self.tone_map = source, target, tone_map
        self._steps, self._root = steps, root
        lifted = max(1.0, *gains)
        if lifted > 1 and source.hdr:
            light_scale, self._peak = 1 / lifted, source.peak_nits * lifted
        else:
            light_scale, self._peak = 1.0, source.peak_nits
        self._gains = [np.float32(gain * light_scale) for gain in gains]
        self._plain = all(gain == 1 for gain in self._gains)
        self._light = light_of(np.arange(levels) / (levels - 1), source).astype(np.float32)
        self._matrix = between(source.primaries, target.primaries)
        places = (np.arange(steps) / (steps - 1)) ** root
        above = np.maximum(places, 0.25 / steps**root)
        self._system = self._inverse = None
        if source.transfer == "hlg":  # scene luminance → gain of the OOTF
            self._system = np.power(places, source.system_gamma - 1).astype(np.float32)
        if target.transfer == "hlg":  # display luminance → gain of its inverse
            self._inverse = np.power(above, 1 / target.system_gamma - 1).astype(np.float32)
        self._curve = self._gain_of(above)
        self.table = signal_of(places, target)
        """Signal of the target over light, at :meth:`place`."""
        self._signal = self.table.astype(np.float32)

    def _gain_of(self, light: NDArray[np.float64]) -> Light | None:
        """Factor that light is bent by, as a table over the largest of red, green and blue; None where BT.2446 or ACES
        do it."""
        if self._by_luma or self.tone_map == "aces2":
            return None
        nits = light * self._peak
        bent = nits
        if self.source.hdr or self.target.hdr or self.source.black_nits != self.target.black_nits:
            lowest = (self.source.black_nits, self.target.black_nits)
            bent = eetf(nits, self._peak, self.target.peak_nits, *lowest)
        return np.asarray(bent / nits * self._peak / self.target.peak_nits, np.float32)

    @property
    def _by_luma(self) -> bool:
        """Whether BT.2446 has something to do: the ranges are of two kinds."""
        return self.tone_map == "bt2446a" and self.source.hdr != self.target.hdr

    def light(self, codes: list[Codes]) -> list[Light]:
        """Light on the source's display that codes mean, its peak being 1, after the gains."""
        light = [self._light.take(plane) for plane in codes]
        if self._system is not None:
            gain = self._system.take(self.place(weighted(light, WEIGHTS[9])))  # BT.2100 knows no others
            light = [channel * gain for channel in light]
        if not self._plain:
            light = [channel * gain for channel, gain in zip(light, self._gains, strict=True)]
        return light

    def mapped(self, light: list[Light]) -> list[Light]:
        """Light on the target's display, its peak being 1 (with HLG that of the scene)."""
        if self.tone_map == "aces2" and self.source.hdr != self.target.hdr:
            light = through_aces(light, self.source, self._peak, self.target)
        elif self._by_luma:
            light = self._bt2446(light)
        else:
            light = within([weighted(light, row) for row in self._matrix], self.target.weights)
            if self._curve is not None:
                gain = self._curve.take(self.place(np.maximum(np.maximum(light[0], light[1]), light[2])))
                light = [channel * gain for channel in light]
        if self._inverse is not None:
            gain = self._inverse.take(self.place(weighted(light, WEIGHTS[9])))
            light = [channel * gain for channel in light]
            # HLG shows pure colours less bright than white: what is brighter is dimmed whole, so that its hue stays
            most = np.maximum(np.maximum(np.maximum(light[0], light[1]), light[2]), np.float32(1))
            light = [np.asarray(channel / most, np.float32) for channel in light]
        return light

    def _bt2446(self, light: list[Light]) -> list[Light]:
        wide = [weighted(light, row) for row in between(self.source.primaries, 9)]
        wide = within(wide, WEIGHTS[9])
        if self.target.hdr:
            scale = np.float32(USUAL_PEAK_NITS / self.target.peak_nits)
            wide = [np.asarray(channel * scale, np.float32) for channel in bt2446a_expanded(wide)]
        else:
            wide = bt2446a(wide, self._peak, self.target.peak_nits)
        return within([weighted(wide, row) for row in between(9, self.target.primaries)], self.target.weights)

    def place(self, light: Light) -> NDArray[np.intp]:
        """Where light (0 to 1) stands in a table over it."""
        root = np.sqrt(np.clip(light, 0, 1))
        if self._root == 4:
            root = np.sqrt(root)
        root *= self._steps - 1
        root += np.float32(0.5)
        return root.astype(np.intp)

    def signal(self, codes: list[Codes]) -> list[Light]:
        """Signal of the target, 0 to 1, for planes [H, W] of codes."""
        planes = [np.empty(plane.shape, np.float32) for plane in codes]
        for top in range(0, codes[0].shape[0], BAND):
            lines = slice(top, top + BAND)
            for plane, light in zip(planes, self.mapped(self.light([c[lines] for c in codes])), strict=True):
                plane[lines] = self._signal.take(self.place(light))
        return planes


@lru_cache(maxsize=16)
def conversion(
    source: Signal, target: Signal, tone_map: ToneMap = "bt2390", gains: tuple[float, float, float] = (1.0, 1.0, 1.0)
) -> Conversion:
    """A conversion with fine tables, made once."""
    return Conversion(source, target, tone_map, gains=gains)


def within(light: list[Light], weights: tuple[float, float, float]) -> list[Light]:
    """Colours outside of their primaries at their luminance, with as much saturation as fits."""
    least = np.minimum(np.minimum(light[0], light[1]), light[2])
    outside = least < 0
    if outside.any():
        picked = [channel[outside] for channel in light]
        luminance = np.maximum(weighted(picked, weights), 0)
        share = luminance / np.maximum(luminance - least[outside], np.float32(1e-12))
        for channel, values in zip(light, picked, strict=True):
            channel[outside] = luminance + share * (values - luminance)
    return light


def weighted(light: list[Light], weights: tuple[float, float, float] | Light) -> Light:
    """Σ weight · channel. Written out: a matrix product may round in another order on another processor."""
    r, g, b = (np.float32(weight) for weight in weights)
    total = light[0] * r
    total += light[1] * g
    total += light[2] * b
    return total
