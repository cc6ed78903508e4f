"""Pictures and sound as coded packets with plain stamps: picture n at n / rate, sample n at n / sample rate."""

from __future__ import annotations

import os
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np

from tests.media.matrix.marks import numbered

os.environ.setdefault("SVT_LOG", "1")  # errors only
_X264 = "keyint=12:min-keyint=12:scenecut=0:b-adapt=0:open-gop=0"
_BITS = {"crf": "20", "preset": "superfast"}

# name -> encoder, pixel format, options
VIDEO: dict[str, tuple[str, str, dict[str, str]]] = {
    "h264": ("libx264", "yuv420p", _BITS),
    "hevc": ("libx265", "yuv420p", _BITS),
    "vp8": ("libvpx", "yuv420p", {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}),
    "vp9": ("libvpx-vp9", "yuv420p", {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}),
    "av1": ("libsvtav1", "yuv420p", {"preset": "12", "svtav1-params": "lp=1"}),
    "mpeg2": ("mpeg2video", "yuv420p", {}),
    "mpeg4": ("mpeg4", "yuv420p", {}),
    "prores": ("prores_ks", "yuv422p10le", {"profile": "0"}),
    "mjpeg": ("mjpeg", "yuvj420p", {}),
    "wmv2": ("wmv2", "yuv420p", {}),
}
# name -> encoder, sample format, options
AUDIO: dict[str, tuple[str, str, dict[str, str]]] = {
    "aac": ("aac", "fltp", {}),
    "opus": ("libopus", "s16", {}),
    "vorbis": ("vorbis", "fltp", {"strict": "experimental", "flags": "+qscale", "global_quality": "1180"}),
    "mp3": ("libmp3lame", "fltp", {}),
    "ac3": ("ac3", "fltp", {}),
    "wma": ("wmav2", "fltp", {}),
    "pcm": ("pcm_s16le", "s16", {}),
    "pcm_be": ("pcm_s16be", "s16", {}),
    "pcm24": ("pcm_s24le", "s32", {}),
    "pcm_bluray": ("pcm_bluray", "s16", {}),
    "flac": ("flac", "s16", {"strict": "experimental"}),
    "alac": ("alac", "s16p", {}),
}


@dataclass(frozen=True)
class Coded:
    """A packet and its stamps in units of its stream: pictures (decoding order may begin below zero) or samples."""

    packet: av.Packet
    shown: int
    decoded: int
    length: int


def set_up_pictures(context: Any, codec: str, size: tuple[int, int], rate: Fraction, reorder: str) -> None:
    """Prepare an encoder of pictures.

    Args:
        reorder: ``bframes`` for pictures that are coded in another order, ``altref`` for ones that are never shown.
    """
    encoder, pixels, options = VIDEO[codec]
    context.width, context.height = size
    context.pix_fmt = pixels
    context.thread_count = 1
    context.time_base = 1 / rate
    context.framerate = rate
    context.gop_size = 12
    options = dict(options)
    backward = 2 if reorder == "bframes" else 0
    if encoder == "libx264":
        options["x264-params"] = f"{_X264}:bframes={backward}"
    elif encoder == "libx265":
        options["x265-params"] = f"{_X264}:bframes={backward}:log-level=none:pools=none:frame-threads=1"
    elif encoder in ("mpeg2video", "mpeg4"):
        options["bf"], options["flags"] = str(backward), "+qscale"
        options["global_quality"] = "354"  # quantiser 3
    elif reorder == "altref":
        options |= {"deadline": "good", "auto-alt-ref": "1", "lag-in-frames": "12"}
    if encoder in ("libvpx", "libvpx-vp9", "wmv2", "mjpeg"):
        context.bit_rate = 1_500_000
    context.options = options


def pictures(stream: Any, context: Any, codec: str, numbers: range) -> list[Coded]:
    """Encode numbered pictures; their stamps begin at ``numbers.start``."""
    packets: list[Coded] = []
    for number in [*numbers, None]:
        frame = None
        if number is not None:
            frame = numbered(number, context.width, context.height)
            if VIDEO[codec][1] != "yuv420p":
                frame = frame.reformat(format=VIDEO[codec][1], threads=1)
            frame.pts, frame.time_base = number, context.time_base
        for packet in context.encode(frame):
            packet.stream = stream
            packets.append(Coded(packet, packet.pts, packet.pts if packet.dts is None else packet.dts, 1))
    return packets


def set_up_sound(context: Any, codec: str, rate: int, channels: int) -> None:
    """Prepare an encoder of sound."""
    context.sample_rate, context.layout = rate, "stereo" if channels == 2 else "mono"
    context.format = AUDIO[codec][1]
    context.time_base = Fraction(1, rate)
    context.thread_count = 1
    context.bit_rate = 192_000
    context.options = AUDIO[codec][2]


def sound(stream: Any, context: Any, codec: str, samples: np.ndarray) -> list[Coded]:
    """Encode samples [channels, T]."""
    form, rate = AUDIO[codec][1], context.sample_rate
    layout = "stereo" if samples.shape[0] == 2 else "mono"
    whole = np.round(samples * 32_768).astype(np.int32)
    packets: list[Coded] = []
    for at in [*range(0, samples.shape[1], 1024), None]:
        frame = None
        if at is not None:
            piece = whole[:, at : at + 1024]
            array = {
                "fltp": lambda p: p.astype(np.float32) / 32_768,
                "s16": lambda p: p.T.reshape(1, -1).astype(np.int16),
                "s16p": lambda p: p.astype(np.int16),
                "s32": lambda p: p.T.reshape(1, -1) * 65_536,
            }[form](piece)
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(array), form, layout)
            frame.sample_rate, frame.pts, frame.time_base = rate, at, Fraction(1, rate)
        for packet in context.encode(frame):
            packet.stream = stream
            packets.append(Coded(packet, packet.pts, packet.pts, packet.duration or 0))
    return packets
