"""Small films with known content, and FFmpeg's filters as the independent reference."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from aiprod.media.encoding import encode


def texture(width: int, height: int, seed: int = 0, grain: int = 5) -> np.ndarray:
    """A rich random picture, uint8 [height, width]."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(height, width)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), grain) * grain * 60 + 120
    return np.clip(smooth, 20, 235).astype(np.uint8)


def write(path: Path, pictures: Iterable[np.ndarray], sound: np.ndarray | None = None, fps: int = 24) -> Path:
    """Encode gray or RGB pictures."""
    rgb = (p if p.ndim == 3 else np.repeat(p[..., None], 3, axis=2) for p in pictures)
    encode(path, rgb, Fraction(fps), sound, crf=12.0, preset="superfast")
    return path


def write_sound(
    path: Path, sound: np.ndarray, codec: str, *, rate: int = 48_000, start_s: float = 0.0, gap: slice | None = None
) -> Path:
    """A still film of the sound [2, T]'s length at 24 fps, by PyAV alone, in the container that the name says.

    Args:
        codec: ``pcm_s16le``, ``aac`` and what else FFmpeg writes.
        start_s: by how much the sound is late; it is cut off where the pictures end.
        gap: samples for which no packet is written.
    """
    length_s = sound.shape[1] / rate
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=24, options={"preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio = container.add_stream(codec, rate=rate, layout="stereo")
        audio.bit_rate = 256_000  # the policy's; sound that is not compressed has no use for it
        picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 90, np.uint8), "rgb24")
        for number in range(round(length_s * 24)):
            picture.pts, picture.time_base = number, Fraction(1, 24)
            container.mux(video.encode(picture))
        container.mux(video.encode(None))
        resampler = av.AudioResampler(format=audio.codec_context.format.name, layout="stereo", rate=rate)
        first = round(start_s * rate)
        for at in range(0, sound.shape[1] - first, 1024):
            if gap is not None and gap.start <= at < gap.stop:
                continue
            part = np.clip(sound[:, at : min(at + 1024, sound.shape[1] - first)], -1, 1)
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(part, dtype=np.float32), "fltp", "stereo")
            frame.sample_rate, frame.pts, frame.time_base = rate, first + at, Fraction(1, rate)
            for out in resampler.resample(frame):
                container.mux(audio.encode(out))
        container.mux(audio.encode(None))
    return path


def resampled(sound: np.ndarray, old_hz: int, new_hz: int) -> np.ndarray:
    """Sound [2, T] at another rate, by FFmpeg's resampler."""
    resampler = av.AudioResampler(format="fltp", layout="stereo", rate=new_hz)
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound, dtype=np.float32), "fltp", "stereo")
    frame.sample_rate = old_hz
    return np.concatenate([out.to_ndarray() for out in (*resampler.resample(frame), *resampler.resample(None))], axis=1)


def rewrap(source: Path, target: Path, options: dict[str, str] | None = None, sound_s: float = 1e9) -> Path:
    """The same packets in another container; of the sound only those that start before ``sound_s``."""
    with av.open(str(source)) as old, av.open(str(target), "w", options=options or {}) as new:
        streams = {s.index: new.add_stream_from_template(s) for s in old.streams}
        for packet in old.demux():
            late = packet.stream.type == "audio" and packet.pts is not None and packet.pts * packet.time_base >= sound_s
            if packet.dts is not None and not late:
                packet.stream = streams[packet.stream.index]
                new.mux(packet)
    return target


def turned(film: Path, target: Path, degrees: float) -> Path:
    """A copy of an MP4 whose track headers (ISO/IEC 14496-12, 8.3.2) turn it clockwise."""
    data, at = bytearray(film.read_bytes()), 0
    c, s = (round(f(math.radians(degrees)) * (1 << 16)) for f in (math.cos, math.sin))
    while (at := data.find(b"tkhd", at) + 4) > 3:
        struct.pack_into(">9i", data, at + (52 if data[at] else 40), c, s, 0, -s, c, 0, 0, 0, 1 << 30)
    target.write_bytes(data)
    return target


def ffmpeg_video(path: Path, filters: str) -> dict[str, list[float]]:
    """Metadata that a chain of FFmpeg's filters attaches to frames: key → values in order."""
    found: dict[str, list[float]] = {}
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        graph = av.filter.Graph()
        last = graph.add_buffer(template=stream)
        for part in filters.split(","):
            name, _, options = part.partition("=")
            node = graph.add(name, options or None)
            last.link_to(node)
            last = node
        sink = graph.add("buffersink")
        last.link_to(sink)
        graph.configure()

        def drain() -> None:
            while True:
                try:
                    frame = graph.pull()
                except (av.error.BlockingIOError, av.error.EOFError):
                    return
                for key, value in dict(frame.metadata).items():
                    found.setdefault(key, []).append(float(value))

        for frame in container.decode(stream):
            graph.push(frame)
            drain()
        graph.push(None)
        drain()
    return found


def ffmpeg_sound(samples: np.ndarray, rate: int, filters: str) -> dict[str, float]:
    """The last metadata that a filter attaches to sound [channels, T]."""
    graph = av.filter.Graph()
    layout = "stereo" if samples.shape[0] == 2 else "mono"
    source = graph.add_abuffer(format="fltp", sample_rate=rate, layout=layout, time_base=Fraction(1, rate))
    name, _, options = filters.partition("=")
    node, sink = graph.add(name, options or None), graph.add("abuffersink")
    source.link_to(node)
    node.link_to(sink)
    graph.configure()
    found: dict[str, float] = {}
    step = rate // 10
    for start in range(0, samples.shape[1], step):
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[:, start : start + step]), "fltp", layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
        graph.push(frame)
        while True:
            try:
                out = graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                break
            found.update({k: float(v) for k, v in dict(out.metadata).items()})
    return found
