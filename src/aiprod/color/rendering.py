"""From what a film means to what is delivered, a grade between them: input, light, working signal, output."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from aiprod.color.conversion import Codes, Conversion, Light, conversion
from aiprod.color.delivery import Delivery, signal_named
from aiprod.color.grade import Grade, graded
from aiprod.color.light import USUAL_PEAK_NITS, Signal

_TOP = 65_535


class Rendering:
    """Makes pictures of one signal those of a delivery.

    Args:
        tagged: what the film says of itself.
        grade: what is done to it; its ``input`` goes before the tags.
    """

    def __init__(self, tagged: Signal, grade: Grade | None, delivery: Delivery) -> None:
        grade = grade or Grade()
        peak_nits = tagged.peak_nits if tagged.transfer == "pq" else USUAL_PEAK_NITS
        source = tagged if grade.input == "tagged" else signal_named(grade.input, peak_nits)
        target = delivery.signal
        working = target
        if grade.working is not None:  # as high as the source, so that nothing is bent before the grade
            peak_nits = source.peak_nits if source.hdr else delivery.peak_nits
            working = signal_named(grade.working, peak_nits)
        red, green, blue = grade.gains.tolist()
        self._enter: Conversion | None = None
        if source != working or (red, green, blue) != (1.0, 1.0, 1.0):
            self._enter = conversion(source, working, delivery.tone_map, (red, green, blue))
        self._leave = conversion(working, target, delivery.tone_map) if working != target else None
        self._look = grade.model_copy(update={"exposure": 0.0, "white_balance": (1.0, 1.0, 1.0)})
        self._looks = bool(grade.cdl or grade.luts)

    @property
    def nothing(self) -> bool:
        """Whether pictures stay what they are."""
        return self._enter is None and self._leave is None and not self._looks

    def signal(self, codes: list[Codes]) -> list[Light]:
        """Red, green and blue [H, W] of 0 to 65,535 as signal of the delivery; a grade may leave it beyond 0..1."""
        if self._enter is not None:
            planes = self._enter.signal(codes)
        else:
            planes = [np.asarray(plane / np.float32(_TOP), np.float32) for plane in codes]
        if self._looks:
            pixels = np.zeros((*planes[0].shape, 4), np.float32)
            for n, plane in enumerate(planes):
                pixels[..., n] = plane
            shown = graded(self._look, pixels)
            planes = [np.ascontiguousarray(shown[..., n]) for n in range(3)]
        if self._leave is not None:
            planes = self._leave.signal([_coded(plane) for plane in planes])
        return planes


def _coded(signal: NDArray[np.float32]) -> Codes:
    scaled = np.clip(signal, 0, 1) * np.float32(_TOP)
    return np.asarray(np.rint(scaled, out=scaled), np.uint16)


@lru_cache(maxsize=32)
def rendering(tagged: Signal, grade: Grade | None, delivery: Delivery) -> Rendering:
    """A rendering, made once."""
    return Rendering(tagged, grade, delivery)
