"""Pictures of a film as upright RGB, made smaller where their longer side is bounded."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from aiprod.media.frames import VideoReader
from aiprod.media.scaling import Scaler, upright


def rgb_frames(
    reader: VideoReader, side: int = 0, start_s: float = 0.0, end_s: float = float("inf"), every: int = 1
) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    """Time and RGB uint8 ``[H, W, 3]`` of each picture in [start_s, end_s), in square pixels.

    Args:
        side: bounds the longer side, in pixels; 0 leaves it.
        every: give each picture (1), every second one (2), …, the first among them.
    """
    facts = reader.facts
    longest = max(facts.display_width, facts.display_height)
    scale = min(1.0, side / longest) if side else 1.0
    width, height = (max(2, round(v * scale)) for v in (facts.display_width, facts.display_height))
    turned = facts.orientation
    scaler = Scaler(height, width) if turned.transpose else Scaler(width, height)
    for timed in itertools.islice(reader.frames(start_s, end_s), 0, None, every):
        yield timed.time_s, np.ascontiguousarray(upright(scaler.array(timed.frame), turned))
