"""Which of several copies is the better picture, by what is measured of the pictures: never by a verdict.

A verdict may prefer ruin, because a face or lettering that compression wiped out is not found. Figures of copies are
comparable, because they show the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from aiprod.qc.measurement import Figures

ENOUGH_BPP = 0.05
"""Bits per pixel (H.264) above which more of them show little: x264 at a constant rate factor of 23 to 28."""
_PER_BLUR = 10.0
"""Doublings of the number of pixels that a blur of 1 is worth: a picture enlarged threefold is blurred by 0.1 more."""
_STEP = 0.1
"""Differences up to this are noise."""


def picture_quality(measured: Mapping[str, Figures | Any]) -> float | None:
    """Doublings of pixels, less what a low rate, a coding grid and blur take away; None where nothing was measured.

    On copies of seven open films every copy is below the film that it was made of, and a ruined one (a constant rate
    factor of 40) below one of half the size (``tests/qc/test_picture_quality.py``).
    """
    shape, coded = measured.get("geometry", {}), measured.get("encoding", {})
    pixels = float(shape.get("display_width") or 0) * float(shape.get("display_height") or 0)
    if shape.get("status") != "ok" or coded.get("status") != "ok" or pixels <= 0:
        return None
    quality = math.log2(pixels)
    quality += math.log2(min(1.0, max(float(coded["bits_per_pixel"]), 1e-6) / ENOUGH_BPP))
    quality -= 2 * math.log2(max(1.0, float(coded.get("blockiness") or 1.0)))
    quality -= _PER_BLUR * float(coded.get("blur") or 0.0)
    return round(quality / _STEP) * _STEP
