"""Which of several copies is the better picture, by what is measured of the pictures: never by a verdict.

A verdict may prefer ruin, because a face or lettering that compression wiped out is not found. Figures of copies are
comparable, because they show the same.
"""

from __future__ import annotations

import numpy as np

from aiprod.qc.metric_table import FigureTable, Floats

ENOUGH_BPP = 0.05
"""Bits per pixel (H.264) above which more of them show little: x264 at a constant rate factor of 23 to 28."""
_PER_BLUR = 10.0
"""Doublings of the number of pixels that a blur of 1 is worth: a picture enlarged threefold is blurred by 0.1 more."""
_STEP = 0.1
"""Differences up to this are noise."""


def picture_quality(figures: FigureTable) -> Floats:
    """Doublings of pixels, less what a low rate, a coding grid and blur take away; NaN where nothing was measured.

    On copies of seven open films every copy is below the film that it was made of, and a ruined one (a constant rate
    factor of 40) below one of half the size (``tests/qc/test_picture_quality.py``).
    """
    shape, coded = figures["geometry"], figures["encoding"]
    pixels = shape.number("display_width") * shape.number("display_height")
    measured = shape.ok & coded.ok & (pixels > 0)
    quality = np.log2(np.where(measured, pixels, np.nan))
    quality += np.log2(np.minimum(1.0, np.maximum(coded.number("bits_per_pixel"), 1e-6) / ENOUGH_BPP))
    quality -= 2 * np.log2(np.maximum(1.0, np.nan_to_num(coded.number("blockiness"), nan=1.0)))
    quality -= _PER_BLUR * np.nan_to_num(coded.number("blur"))
    return np.asarray(np.round(quality / _STEP) * _STEP)
