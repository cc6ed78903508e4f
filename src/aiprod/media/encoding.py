"""Writes H.264 + AAC in MP4, the same bytes for the same input, picture and sound starting at the same instant."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.plane import VideoPlane

from aiprod.base.files import atomic_path
from aiprod.errors import AiprodError
from aiprod.media.scaling import Scaler

_AAC_FRAME = 1024  # samples an AAC-LC packet holds
_SOUND_PIECE = 96 * _AAC_FRAME  # what is handed over at once; the encoder divides it
_BT709 = 1


def encode(
    path: Path | str,
    pictures: Iterable[np.ndarray | av.VideoFrame],
    fps: Fraction | float,
    sound: np.ndarray | None = None,
    *,
    sample_rate: int = 48_000,
    crf: float = 18.0,
    preset: str = "veryfast",
    audio_bitrate_bps: int = 256_000,
    keyframe_s: float = 1.0,
    video_options: dict[str, str] | None = None,
    codec: str = "libx264",
    times_s: Iterable[float] | None = None,
    sound_start_s: float = 0.0,
    tags: Mapping[str, str] | None = None,
) -> int:
    """Write a film.

    Args:
        pictures: uint8 RGB [H, W, 3] or yuv420p frames (limited-range BT.709), all of one even size.
        sound: float32 [1 or 2, samples] in [-1, 1], or None for a film without a sound stream.
        crf: constant rate factor of x264; 18 is visually transparent for most film.
        keyframe_s: longest distance between key pictures, so that a stretch can be read without decoding all before it.
        times_s: presentation time of each picture where the rate is not constant; must grow.
        sound_start_s: how much later than the picture the sound starts.
        tags: metadata of the file that players and ffprobe show, such as ``title`` and ``comment``.

    Returns:
        The number of pictures written.

    Raises:
        AiprodError: no picture, odd or changing sizes, or sound of the wrong shape.
    """
    rate = fps if isinstance(fps, Fraction) else Fraction(fps).limit_denominator(1001)
    if sound is not None and (sound.ndim != 2 or sound.shape[0] not in (1, 2)):
        raise AiprodError(f"sound of shape {sound.shape} cannot be encoded", "give [1 or 2, samples]")
    times = iter(times_s) if times_s is not None else None
    with atomic_path(path) as temporary:
        options = {"movflags": "+faststart", "fflags": "+bitexact", "movie_timescale": "240000"}
        with av.open(os.fspath(temporary), "w", format="mp4", container_options=options) as container:
            container.metadata.update(tags or {})
            base = Fraction(1, 240_000) if times is not None else 1 / rate
            count = 0
            stream: Any = None
            scaler: Scaler | None = None
            packed: _PackedRGB | None = None
            waiting: list[av.Packet] = []
            track: Any = None
            for picture in pictures:
                height, width = _size(picture)
                if stream is None:
                    if width % 2 or height % 2:
                        raise AiprodError(f"pictures of {width}x{height} cannot be encoded", "both sides must be even")
                    stream = container.add_stream(codec, rate=rate)
                    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
                    stream.time_base = stream.codec_context.time_base = base
                    context = stream.codec_context
                    context.thread_count = 1
                    context.color_range, context.colorspace = 1, _BT709
                    context.color_primaries = context.color_trc = _BT709
                    context.gop_size = max(1, round(float(rate) * keyframe_s))
                    context.options = _x264(crf, preset, video_options) if codec == "libx264" else video_options or {}
                    scaler, packed = Scaler(width, height, "yuv420p"), _PackedRGB(width, height)
                    track = audio_track(container, sample_rate, sound, audio_bitrate_bps)
                assert scaler is not None and packed is not None
                if (height, width) != (stream.height, stream.width):
                    raise AiprodError(f"picture {count} is {width}x{height}, the first was not", "scale all alike")
                frame = _as_yuv(packed.of(picture) if isinstance(picture, np.ndarray) else picture, scaler)
                frame.pts = count if times is None else round(next(times) * 240_000)
                frame.time_base = base
                waiting.extend(stream.encode(frame))
                count += 1
                if len(waiting) > 64:
                    container.mux(waiting)
                    waiting.clear()
            if stream is None:
                raise AiprodError(f"no picture to write into {Path(path).name}", "give at least one")
            container.mux(waiting)
            container.mux(stream.encode(None))
            if track is not None and sound is not None:  # the muxer interleaves by time
                write_sound(container, track, sound, sample_rate, round(sound_start_s * sample_rate))
        return count


def write_wav(path: Path | str, sound: np.ndarray, rate: int, tags: Mapping[str, str] | None = None) -> None:
    """Write sound float32 [1 or 2, samples] in [-1, 1] as 16-bit PCM; ``tags`` as in :func:`encode`."""
    layout = "stereo" if sound.shape[0] == 2 else "mono"
    samples = np.clip(np.rint(sound * 32_768.0), -32_768, 32_767).astype(np.int16)
    with (
        atomic_path(path) as temporary,
        av.open(os.fspath(temporary), "w", format="wav", container_options={"fflags": "+bitexact"}) as container,
    ):
        container.metadata.update(tags or {})
        stream: Any = container.add_stream("pcm_s16le", rate=rate, layout=layout)
        for at in range(0, samples.shape[1], rate):
            piece = np.ascontiguousarray(samples[:, at : at + rate].T.reshape(1, -1))
            frame = av.AudioFrame.from_ndarray(piece, "s16", layout)
            frame.sample_rate, frame.pts, frame.time_base = rate, at, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _x264(crf: float, preset: str, more: dict[str, str] | None) -> dict[str, str]:
    """Encoder options that give the same bytes every time."""
    options = {"crf": f"{crf:g}", "preset": preset, **(more or {})}
    if _has_avx512():
        # Measured: with AVX-512 x264 made two different streams from one input in 40 tries (macroblock-tree lookahead);
        # with AVX2 or SSE4.2 one, and the same one.
        options["x264-params"] = ":".join(filter(None, (options.get("x264-params"), "asm=AVX2")))
    return options


@functools.cache
def _has_avx512() -> bool:
    """Whether this processor offers AVX-512 (only Linux says so without running code)."""
    try:
        return " avx512f " in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").replace("\n", " ")
    except OSError:
        return False


class _PackedRGB:
    """One frame for all pictures of a film, each of which is scaled before the next is put there."""

    def __init__(self, width: int, height: int) -> None:
        self._frame = av.VideoFrame(width, height, "rgb24")
        plane = VideoPlane(self._frame, 0)
        self._pixels = np.ndarray((height, width, 3), np.uint8, plane, 0, (plane.line_size, 3, 1))  # type: ignore[arg-type]

    def of(self, picture: np.ndarray) -> av.VideoFrame:
        """A picture, uint8 RGB [H, W, 3], until the next one."""
        np.copyto(self._pixels, picture, casting="equiv")
        return self._frame


def _as_yuv(picture: av.VideoFrame, scaler: Scaler) -> av.VideoFrame:
    if picture.format.name != "yuv420p":
        picture = scaler.frame(picture)
    picture.pict_type = 0  # the encoder chooses; a decoded picture carries its old type
    return picture


def _size(picture: np.ndarray | av.VideoFrame) -> tuple[int, int]:
    """(height, width)."""
    return picture.shape[:2] if isinstance(picture, np.ndarray) else (picture.height, picture.width)


def audio_track(container: Any, rate: int, sound: np.ndarray | None, bitrate: int) -> Any | None:
    """A new AAC stream for sound [1 or 2, samples]; None where there is none."""
    if sound is None:
        return None
    stream = container.add_stream("aac", rate=rate, layout="stereo" if sound.shape[0] == 2 else "mono")
    stream.codec_context.format = "fltp"
    stream.bit_rate = bitrate
    stream.codec_context.thread_count = 1
    return stream


def write_sound(container: Any, stream: Any, sound: np.ndarray, rate: int, first: int) -> None:
    """Encode sound into a stream of :func:`audio_track`; its first sample is number ``first`` of the film."""
    layout = "stereo" if sound.shape[0] == 2 else "mono"
    samples = np.ascontiguousarray(np.clip(sound, -1.0, 1.0), dtype=np.float32)
    for at in range(0, samples.shape[1], _SOUND_PIECE):
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[:, at : at + _SOUND_PIECE]), "fltp", layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, first + at, Fraction(1, rate)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
