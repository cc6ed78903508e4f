"""Pictures of a film as upright RGB, made smaller where their longer side is bounded."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from aiprod.media.frames import VideoReader
from aiprod.media.scaling import Scaler, upright


def rgb_frames(
    reader: VideoReader,
    side: int = 0,
    start_s: float = 0.0,
    end_s: float = float("inf"),
    every: int = 1,
    *,
    quick: bool = False,
) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    """Time and RGB uint8 ``[H, W, 3]`` of each picture in [start_s, end_s), in square pixels.

    Args:
        side: bounds the longer side, in pixels; 0 leaves it.
        every: give each picture (1), every second one (2), …, the first among them.
        quick: colours to a few codes and coarser at edges, in a tenth of the time.
    """
    facts = reader.facts
    longest = max(facts.display_width, facts.display_height)
    scale = min(1.0, side / longest) if side else 1.0
    width, height = (max(2, round(v * scale)) for v in (facts.display_width, facts.display_height))
    turned = facts.orientation
    stored = (height, width) if turned.transpose else (width, height)
    scaler = Scaler(*stored, "bgr24" if quick else "rgb24")
    for timed in itertools.islice(reader.frames(start_s, end_s), 0, None, every):
        picture = scaler.array(timed.frame)
        picture = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB) if quick else picture
        yield timed.time_s, np.ascontiguousarray(upright(picture, turned))
