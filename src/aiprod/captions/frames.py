"""The frames of a clip that a model is shown: evenly spread in time, upright, small."""

from __future__ import annotations

from bisect import bisect_right
from pathlib import Path

import numpy as np

from aiprod.media.errors import MediaError
from aiprod.media.frames import VideoReader
from aiprod.media.packets import picture_times
from aiprod.media.probing import probe, require_video
from aiprod.media.scaling import Scaler, upright
from aiprod.storage.clip_store import decrypted_copy


def evenly_spread(path: Path, count: int, longest_side_px: int) -> list[np.ndarray]:
    """The pictures of :func:`timed_frames` alone."""
    return [picture for _, picture in timed_frames(path, count, longest_side_px)]


def timed_frames(path: Path, count: int, longest_side_px: int) -> list[tuple[float, np.ndarray]]:
    """``count`` pictures at evenly spread times, RGB uint8 [h, w, 3], upright, within ``longest_side_px`` either way.

    A film with fewer pictures gives all of them. Times are seconds.

    Raises:
        MediaError: it does not open, or no picture decodes.
    """
    with decrypted_copy(path) as clear:
        return _pictures(clear, count, longest_side_px)


def _pictures(path: Path, count: int, longest_side_px: int) -> list[tuple[float, np.ndarray]]:
    facts = probe(path)
    video = require_video(facts)
    times = picture_times(path, video)  # the container may say less than it holds, or count from another clock
    length = times[-1] * len(times) / (len(times) - 1) if len(times) > 1 else 0.0  # the last one is shown for a while
    looked_at = [(i + 0.5) * length / count for i in range(count)] if len(times) > count else times
    targets = sorted({times[bisect_right(times, at + 1e-6) - 1] for at in looked_at}) or [0.0]  # shown at that time
    pictures: list[tuple[float, np.ndarray]] = []
    with VideoReader(path) as reader:
        shrink = min(1.0, longest_side_px / max(video.width, video.height))
        scaler = Scaler(max(2, round(video.width * shrink)), max(2, round(video.height * shrink)), "rgb24", exact=True)
        for timed in reader.frames():
            if targets and timed.time_s >= targets[0] - 1e-6:
                pictures.append((timed.time_s, upright(scaler.array(timed.frame), video.orientation)))
                while targets and targets[0] <= timed.time_s + 1e-6:
                    targets.pop(0)
    if not pictures:
        raise MediaError("no-frames", "no picture decodes")
    return pictures
