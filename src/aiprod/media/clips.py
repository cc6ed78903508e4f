"""Reads a stretch of a film as arrays for training: pictures at a constant rate and the sound of the same stretch."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from aiprod.media.audio import read_sound
from aiprod.media.errors import MediaError
from aiprod.media.frames import VideoReader
from aiprod.media.scaling import Scaler, upright


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
    """Pictures and sound of ``frames / fps`` seconds of a film.

    Each picture is the one nearest in time to ``start_s + n / fps``; it is scaled to cover ``height`` x ``width`` and
    cropped about its centre. A film that ends early repeats its last picture and is silent from there.

    Args:
        start_s: seconds after the first picture.

    Returns:
        uint8 [frames, height, width, 3] (RGB) and float32 [2, round(frames / fps * sample_rate)]; a film without
        sound gives zeros.

    Raises:
        MediaError: the film does not open, or no picture is in the stretch.
    """
    with VideoReader(path) as reader:
        facts = reader.facts
        turned = facts.orientation
        scale = max(height / facts.display_height, width / facts.display_width)
        tall = max(height, math.ceil(facts.display_height * scale - 1e-6))
        wide = max(width, math.ceil(facts.display_width * scale - 1e-6))
        scaler = Scaler(tall, wide) if turned.transpose else Scaler(wide, tall)
        top, left = (tall - height) // 2, (wide - width) // 2
        picture = np.empty((frames, height, width, 3), np.uint8)
        done = 0
        latest = None  # latest picture whose time has come
        tolerance = 0.5 / facts.fps if facts.fps > 0 else 0.5 / fps

        def put(until: float) -> None:
            """Fill every slot whose time lies before ``until`` with the held picture."""
            nonlocal done
            array: np.ndarray | None = None
            while done < frames and start_s + done / fps + tolerance < until - 1e-6:
                if array is None:
                    assert latest is not None
                    array = upright(scaler.array(latest.frame), turned)[top : top + height, left : left + width]
                picture[done] = array
                done += 1

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
        origin = facts.start_s
    sound = read_sound(path, sample_rate, 2, start_s=start_s, duration_s=frames / fps, origin_s=origin)
    if sound is None:
        sound = np.zeros((2, round(frames / fps * sample_rate)), np.float32)
    return picture, sound
