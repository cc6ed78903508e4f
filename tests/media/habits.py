"""Films of numbered pictures, written with the habits that real tools have: B-frames, odd stamps, joined recordings."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from aiprod.media.frames import VideoReader
from aiprod.media.scaling import Scaler
from tests.media.conftest import number_of, numbered

B_FRAMES = {"bf": "3", "b_strategy": "0", "g": "24", "sc_threshold": "0"}
Stamps = Callable[[int, Any, int], tuple[int | None, int | None]]
"""(place in the file, pts, ticks of a picture) → (pts, dts) that are written, in ticks."""


def write(
    path: Path,
    *,
    count: int = 60,
    rate: int = 24,
    codec: str = "libx264",
    container: str = "mp4",
    options: dict[str, str] | None = None,
    first: int = 0,
    picture: Callable[[int], np.ndarray] = numbered,
    muxing: dict[str, str] | None = None,
    pixel_format: str = "yuv420p",
) -> Path:
    """Pictures ``first`` and following at a constant rate."""
    with av.open(str(path), "w", format=container, container_options=muxing or {}) as out:
        stream = out.add_stream(codec, rate=rate, options=B_FRAMES if options is None else options)
        stream.height, stream.width = picture(0).shape[:2]
        stream.pix_fmt, stream.bit_rate = pixel_format, 800_000
        for n in range(count):
            frame = av.VideoFrame.from_ndarray(picture(first + n), "rgb24").reformat(format=pixel_format, threads=1)
            frame.pts, frame.time_base = n, Fraction(1, rate)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def rewrapped(source: Path, path: Path, container: str, stamps: Stamps) -> Path:
    """The same packets with other stamps."""
    with av.open(str(source)) as old, av.open(str(path), "w", format=container) as new:
        stream = old.streams.video[0]
        target = new.add_stream_from_template(stream)
        ticks = round(1 / (stream.average_rate * stream.time_base))
        place = 0
        for packet in old.demux(stream):
            if not packet.size:
                continue
            packet.pts, packet.dts = stamps(place, packet.pts, ticks)
            packet.stream = target
            new.mux(packet)
            place += 1
    return path


def seen(path: Path, start_s: float = 0.0, end_s: float | None = None) -> tuple[list[int], list[float]]:
    """Numbers and times of the pictures that are read."""
    scaler: Any = Scaler(192, 96, "gray")
    with VideoReader(path) as reader:
        found = [(number_of(scaler.array(t.frame)), t.time_s) for t in reader.frames(start_s, end_s)]
    return [number for number, _ in found], [time_s for _, time_s in found]


def joined(path: Path, parts: Iterable[Path]) -> Path:
    """Files one behind the other, byte by byte."""
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path
