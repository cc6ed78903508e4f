"""Reads a stretch of a film as arrays for training: pictures at a constant rate and the sound of the same stretch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from aiprod.media.audio import read_sound
from aiprod.media.errors import MediaError
from aiprod.media.frames import VideoReader
from aiprod.media.scaling import Scaler, upright

if TYPE_CHECKING:
    from av import VideoFrame

    from aiprod.media.media_info import VideoFacts


def read_clip(  # noqa: PLR0917
    path: Path | str,
    height: int,
    width: int,
    fps: float,
    frames: int,
    start_s: float = 0.0,
    *,
    sample_rate: int = 48_000,
) -> tuple[np.ndarray, np.ndarray]:
    """Pictures and sound of ``frames / fps`` seconds of a film, as :func:`read_pictures`; silent from its end.

    Returns:
        uint8 [frames, height, width, 3] (RGB) and float32 [2, round(frames / fps * sample_rate)]; a film without
        sound gives zeros.

    Raises:
        MediaError: the film does not open, or no picture is in the stretch.
    """
    pictures, sound = read_in_sizes(path, [(height, width)], fps, frames, start_s, sample_rate=sample_rate)
    return pictures[0], sound


def read_in_sizes(
    path: Path | str,
    sizes: Sequence[tuple[int, int]],
    fps: float,
    frames: int,
    start_s: float = 0.0,
    *,
    sample_rate: int = 48_000,
) -> tuple[list[np.ndarray], np.ndarray]:
    """The pictures in each of several sizes (height, width), decoded once, and the sound, as :func:`read_clip`."""
    pictures, origin_s = _pictures(path, sizes, fps, frames, start_s)
    sound = read_sound(path, sample_rate, 2, start_s=start_s, duration_s=frames / fps, origin_s=origin_s)
    if sound is None:
        sound = np.zeros((2, round(frames / fps * sample_rate)), np.float32)
    return pictures, sound


def read_pictures(  # noqa: PLR0917
    path: Path | str, height: int, width: int, fps: float, frames: int, start_s: float = 0.0
) -> np.ndarray:
    """Pictures of ``frames / fps`` seconds of a film, uint8 [frames, height, width, 3] (RGB).

    Each picture is the one nearest in time to ``start_s + n / fps``; it is scaled to cover ``height`` x ``width`` and
    cropped about its centre. A film that ends early repeats its last picture.

    Args:
        start_s: seconds after the first picture.

    Raises:
        MediaError: the film does not open, or no picture is in the stretch.
    """
    return _pictures(path, [(height, width)], fps, frames, start_s)[0][0]


def _pictures(
    path: Path | str, sizes: Sequence[tuple[int, int]], fps: float, frames: int, start_s: float
) -> tuple[list[np.ndarray], float]:
    """Pictures in each size, and the stamp of the film's first in seconds."""
    with VideoReader(path) as reader:
        facts = reader.facts
        covers = [_Cover(facts, height, width) for height, width in sizes]
        pictures = [np.empty((frames, height, width, 3), np.uint8) for height, width in sizes]
        done = 0
        latest = None  # latest picture whose time has come
        tolerance = 0.5 / facts.fps if facts.fps > 0 else 0.5 / fps

        def put(until: float) -> None:
            """Fill every slot whose time lies before ``until`` with the held picture."""
            nonlocal done
            first = done
            while done < frames and start_s + done / fps + tolerance < until - 1e-6:
                done += 1
            if done > first:
                assert latest is not None
                for picture, cover in zip(pictures, covers, strict=True):
                    picture[first:done] = cover.of(latest.frame)

        end_s = start_s + frames / fps + tolerance
        for timed in reader.frames(max(0.0, start_s - tolerance), end_s):
            if latest is not None:
                put(timed.time_s)
            latest = timed
            if done == frames:
                break
        if latest is None:
            raise MediaError("no-frames", f"no picture between {start_s:.3f} s and {end_s:.3f} s")
        put(math.inf)
        return pictures, facts.start_s


class _Cover:
    """Scales pictures to cover a size, upright, and crops them about their centre."""

    def __init__(self, facts: VideoFacts, height: int, width: int) -> None:
        self._turned, self._height, self._width = facts.orientation, height, width
        scale = max(height / facts.display_height, width / facts.display_width)
        tall = max(height, math.ceil(facts.display_height * scale - 1e-6))
        wide = max(width, math.ceil(facts.display_width * scale - 1e-6))
        self._scaler = Scaler(tall, wide) if self._turned.transpose else Scaler(wide, tall)
        self._top, self._left = (tall - height) // 2, (wide - width) // 2

    def of(self, frame: VideoFrame) -> np.ndarray:
        """uint8 [height, width, 3]."""
        whole = upright(self._scaler.array(frame), self._turned)
        return whole[self._top : self._top + self._height, self._left : self._left + self._width]
