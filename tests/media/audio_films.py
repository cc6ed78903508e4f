"""Small films whose sound is known sample by sample, with any habit of stamping, by PyAV alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from aiprod.media.audio import decode_sound

RATE = 48_000
FPS = 25
_PIXELS = {"mjpeg": "yuvj420p", "prores_ks": "yuv422p10le"}


def sweep(seconds: float, rate: int = RATE, channels: int = 2) -> np.ndarray:
    """float32 [channels, T] in 16-bit steps: rising tones, unlike each other, with a click each second. No two
    stretches of it are alike, and none is silent."""
    time = np.arange(round(seconds * rate)) / rate
    rows = []
    for n in range(channels):
        low, high = 200 + 70 * n, 2_400 + 200 * n
        row = 0.3 * np.sin(2 * np.pi * (low + (high - low) * time / (2 * seconds)) * time)
        for second in range(int(seconds)):
            row[second * rate : second * rate + 40] += 0.4 * np.hanning(80)[40:]
        rows.append(row)
    return (np.round(np.stack(rows) * 32_768) / 32_768).astype(np.float32)


def write_film(
    path: Path,
    tracks: Sequence[tuple[str, np.ndarray]],
    *,
    form: str | None = None,
    video: str = "mpeg4",
    rate: int = RATE,
    layout: str = "stereo",
    late_s: float = 0.0,
    options: Mapping[str, str] | None = None,
    stamp: Callable[[float, int], float | None] | None = None,
    seconds: float | None = None,
) -> Path:
    """A film that flashes each second, with sound tracks.

    Args:
        tracks: codec and samples [channels, T] of each.
        form: FFmpeg's name of the container, where the name does not say it.
        late_s: of the sound.
        stamp: gives the time of a sound packet, in seconds, from its right time and its number; None leaves it out.
    """
    seconds = seconds or tracks[0][1].shape[1] / rate
    with av.open(str(path), "w", format=form, options=dict(options or {})) as container:
        pictures: Any = container.add_stream(video, rate=FPS)
        pictures.width, pictures.height, pictures.pix_fmt = 64, 48, _PIXELS.get(video, "yuv420p")
        if video == "libx264":
            pictures.options = {"preset": "ultrafast", "bf": "2"}
        sounds: list[Any] = []
        for codec, _ in tracks:
            sounds.append(container.add_stream(codec, rate=rate, layout=layout))
            if codec not in ("flac", "alac") and not codec.startswith("pcm"):
                sounds[-1].bit_rate = 256_000
            if codec == "vorbis":
                sounds[-1].codec_context.options = {"strict": "-2"}
        container.start_encoding()
        packets: list[tuple[float, Any]] = []
        for number in range(round(seconds * FPS)):
            light = 230 if number % FPS == 0 else 20
            picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), light, np.uint8), "rgb24")
            picture = picture.reformat(format=pictures.pix_fmt, threads=1)
            picture.pts, picture.time_base = number, Fraction(1, FPS)
            packets += [(_dts(packet), packet) for packet in pictures.encode(picture)]
        packets += [(_dts(packet), packet) for packet in pictures.encode(None)]
        for stream, (_, samples) in zip(sounds, tracks, strict=True):
            for number, packet in enumerate(_encoded(stream, samples, rate, layout, late_s)):
                at = _dts(packet)
                if stamp is not None:
                    wanted = stamp(at, number)
                    if wanted is None:
                        continue
                    packet.pts = packet.dts = round(wanted / packet.time_base)
                packets.append((at, packet))
        for _, packet in sorted(packets, key=lambda pair: pair[0]):
            container.mux(packet)
    return path


def _dts(packet: Any) -> float:
    return float((packet.dts if packet.dts is not None else packet.pts) * packet.time_base)


def _encoded(stream: Any, samples: np.ndarray, rate: int, layout: str, late_s: float) -> list[Any]:
    context = stream.codec_context
    size, first, packets = context.frame_size or 1024, round(late_s * rate), []
    convert = av.AudioResampler(format=context.format.name, layout=layout, rate=rate)
    for at in range(0, samples.shape[1], size):
        part = np.ascontiguousarray(samples[:, at : at + size].T.reshape(1, -1), dtype=np.float32)
        frame = av.AudioFrame.from_ndarray(part, "flt", layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, first + at, Fraction(1, rate)
        for ready in convert.resample(frame):
            packets += stream.encode(ready)
    return [*packets, *stream.encode(None)]


def against(path: Path, sound: np.ndarray, late_s: float = 0.0, *, side: int = 0) -> tuple[float, np.ndarray]:
    """How many milliseconds late a film's sound is (by correlation), and how far each sample is from the right one
    once it is shifted by that.

    Args:
        sound: what was encoded.
        late_s: how late it should be.
    """
    found = decode_sound(path)
    assert found is not None
    heard, wanted = found.samples[side].astype(float), sound[side].astype(float)
    size = 1 << (heard.size + wanted.size).bit_length()
    spectra = np.fft.rfft(heard, size), np.fft.rfft(wanted, size)
    lag = int(np.argmax(np.fft.irfft(spectra[0] * np.conj(spectra[1]), size)))
    lag = lag - size if lag > size // 2 else lag
    shifted = np.zeros(wanted.size)
    first, behind = max(0, -lag), min(wanted.size, heard.size - lag)
    shifted[first:behind] = heard[first + lag : behind + lag]
    return (lag / found.sample_rate + found.start_s - late_s) * 1000, np.abs(shifted - wanted)


def holes(wrong: np.ndarray, sound: np.ndarray, step: int = 96, side: int = 0) -> int:
    """Stretches of ``step`` samples in which more is wrong than half of what should be heard."""
    whole = wrong.size // step * step
    power = (sound[side, :whole].astype(float).reshape(-1, step) ** 2).mean(axis=1)
    return int(((wrong[:whole].reshape(-1, step) ** 2).mean(axis=1) > 0.5 * power + 1e-5).sum())
