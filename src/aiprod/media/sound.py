"""Sound of a film as float32 samples [channels, samples] on the clock of its pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.audio.resampler import AudioResampler

from aiprod.media.errors import MediaError
from aiprod.media.opening import DEFAULT, Limits, audio_stream, opened

_PREROLL_S = 0.3  # AAC and Opus need some packets before the wanted sample to decode it right
_SNAP_S = 0.003  # container clocks round (Matroska to 1 ms): smaller steps between packets are no gap


def read_sound(
    path: Path | str,
    rate: int = 48_000,
    channels: int = 2,
    *,
    start_s: float = 0.0,
    duration_s: float | None = None,
    origin_s: float = 0.0,
    limits: Limits = DEFAULT,
) -> np.ndarray | None:
    """Decode sound, resampled and mixed to ``channels`` (5.1 and others by FFmpeg's ITU-R BS.775 matrix).

    Samples lie where their timestamps say: sound that starts late begins with zeros, gaps are zeros.

    Args:
        rate: samples a second of the result.
        channels: 1 (the mean of two) or 2.
        start_s: of the window, seconds after ``origin_s``.
        duration_s: of the window; None = to the end.
        origin_s: time zero on the container's clock; give ``facts.video.start_s`` to share the pictures' clock.

    Returns:
        float32 [channels, round(duration_s * rate)] (or as many as there are), None when there is no sound stream.

    Raises:
        MediaError: the file does not open, or there is a sound stream of which nothing decodes.
    """
    if channels == 1:  # FFmpeg's own matrix would make two equal channels 3 dB louder
        both = read_sound(
            path, rate, 2, start_s=start_s, duration_s=duration_s, origin_s=origin_s, limits=limits
        )  # fmt: skip
        return None if both is None else both.mean(axis=0, keepdims=True)
    with opened(path, limits) as (container, _):
        stream = audio_stream(container)
        if stream is None or stream.codec_context is None or not stream.codec_context.sample_rate:
            return None
        stream.thread_count = 1
        begin = origin_s + start_s
        window = min(duration_s if duration_s is not None else limits.sound_s, limits.sound_s)
        if begin - _PREROLL_S > 1.0:
            _seek(container, stream, begin - _PREROLL_S)
        declared_s = float(stream.duration * stream.time_base) if stream.duration else None
        first_s = float((stream.start_time or 0) * stream.time_base)
        pieces, failed = _pieces(container, stream, rate=rate, channels=channels, begin=begin, end=begin + window)
    if not pieces and failed:
        raise MediaError("damaged", f"the sound does not decode ({failed} packets failed)")
    have = max((at + piece.shape[1] for at, piece in pieces), default=0)
    if duration_s is not None:
        total = round(duration_s * rate)
    else:  # the last packet is padded to its full length; the container knows where the sound really ends
        ends = round((first_s + declared_s - begin) * rate) if declared_s is not None else have
        total = max(0, ends if 0 <= have - ends < 4096 * rate / 8000 else have)
    sound = np.zeros((channels, total), np.float32)
    for at, piece in pieces:
        skip = max(0, -at)
        room = sound[:, at + skip : at + piece.shape[1]]
        room[:] = piece[:, skip : skip + room.shape[1]]
    return sound


def _seek(container: Any, stream: Any, target_s: float) -> None:
    try:
        container.seek(int(target_s / stream.time_base), stream=stream, backward=True)
    except av.error.FFmpegError:
        container.seek(0)


def _pieces(
    container: Any, stream: Any, *, rate: int, channels: int, begin: float, end: float
) -> tuple[list[tuple[int, np.ndarray]], int]:
    """Runs of contiguous samples, each with its place in the window (samples; may be negative)."""
    resampler: AudioResampler | None = None
    shape: tuple[Any, ...] = ()
    pieces: list[tuple[int, np.ndarray]] = []
    cursor = 0  # where the next resampled sample lies, in samples of the window
    expected: float | None = None  # time at which the next decoded frame should start
    failed = 0

    def keep(frames: list[Any]) -> None:
        nonlocal cursor
        for piece in frames:
            # One view a plane: PyAV's own way stacks them, which takes five times as long.
            array = np.array([np.frombuffer(plane, np.float32, piece.samples) for plane in piece.planes])
            if array.shape[0] < channels:  # one channel sounds on both sides at its own level
                array = np.repeat(array, channels, axis=0)
            if cursor + array.shape[1] > 0:
                pieces.append((cursor, array))
            cursor += array.shape[1]

    def decoded() -> Iterator[list[Any]]:
        nonlocal failed
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
            except (av.error.FFmpegError, ValueError):  # a size that is no size; nothing after it can be found
                failed += 1
                return
            if packet is None:
                return
            try:
                yield packet.decode()
            except (av.error.FFmpegError, ValueError):
                failed += 1

    for frames in decoded():
        for frame in frames:
            if not frame.samples or not frame.sample_rate:
                continue
            heard_s = frame.time  # a fraction made for each frame would cost as much as decoding it
            at = heard_s if heard_s is not None else (expected or 0.0)
            form = (frame.format.name, frame.layout.name, frame.sample_rate)
            if expected is None or abs(at - expected) > _SNAP_S or form != shape:
                if resampler is not None:
                    keep(resampler.resample(None))
                layout = "mono" if len(frame.layout.channels) == 1 else "stereo"
                fits = form == ("fltp", layout, rate)
                resampler = None if fits else AudioResampler(format="fltp", layout=layout, rate=rate)
                shape = form
                cursor = round((at - begin) * rate)
                expected = at
            if at >= end:
                break
            frame.pts = None  # the resampler would fill gaps by its own rules
            keep([frame] if resampler is None else resampler.resample(frame))
            expected += frame.samples / frame.sample_rate
        else:
            continue
        break
    if resampler is not None:
        keep(resampler.resample(None))
    return pieces, failed
