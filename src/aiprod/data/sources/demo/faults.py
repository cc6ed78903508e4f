"""What is done to pictures, times and sound to plant one fault in a film."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator

import cv2
import numpy as np

from aiprod.data.sources.demo.tones import RATE


def spoil_pictures(name: str | None, pictures: Iterator[np.ndarray], fps: int) -> Iterator[np.ndarray]:
    """Apply a fault of the picture."""
    frozen: np.ndarray | None = None
    for n, picture in enumerate(pictures):
        if name == "black" and 1.2 <= n / fps < 3.7:
            yield np.zeros_like(picture)
        elif name == "freeze" and 1.2 <= n / fps < 3.7:
            frozen = picture if frozen is None else frozen
            yield frozen
        elif name == "letterbox":
            bar = (picture.shape[0] - round(picture.shape[1] / 2.7)) // 2
            picture[:bar] = 0
            picture[picture.shape[0] - bar :] = 0
            yield picture
        elif name == "flicker":
            gain = 1.0 + 0.06 * math.sin(2.0 * math.pi * 8.0 * n / fps + 0.5)
            yield np.clip(np.rint(picture * gain), 0, 255).astype(np.uint8)
        elif name == "watermark":
            yield _lettering(picture)
        else:
            yield picture


def _lettering(picture: np.ndarray) -> np.ndarray:
    """White lettering at half strength in rows over the whole picture, as agencies mark previews."""
    layer = np.zeros(picture.shape[:2], np.uint8)
    height = picture.shape[0]
    for row in range(4):
        at = (10 + (row % 2) * 50, round(height * (0.2 + 0.22 * row)))
        cv2.putText(layer, "PREVIEW COPY " * 3, at, cv2.FONT_HERSHEY_DUPLEX, height / 240, 255, 5, cv2.LINE_AA)
    share = (layer.astype(np.float32) / 255 * 0.55)[..., None]
    return (picture * (1 - share) + 255 * share).astype(np.uint8)


def picture_times(name: str | None, count: int, fps: int, seed: int) -> list[float] | None:
    """Presentation times for a film of variable rate; None = constant. The length stays about the same."""
    if name != "variable-rate":
        return None
    rng = random.Random(seed)
    steps = [rng.choice((1 / 30, 1 / 30, 1 / 24, 1 / 15, 1 / 8)) for _ in range(count)]
    scale = 1.0
    times, at = [], 0.0
    for step in steps:
        times.append(round(at, 5))
        at += step * scale
        if at > count / fps - 0.02:
            break
    return times


def spoil_sound(name: str | None, sound: np.ndarray, seed: int) -> tuple[np.ndarray | None, int]:
    """Apply a fault of the sound; returns it with its sampling rate, (None, 0) where there is none."""
    rng = np.random.default_rng(seed)
    if name == "no-sound":
        return None, 0
    if name == "silent":
        return np.zeros_like(sound), RATE
    if name == "clipped":
        return np.clip(sound / max(1e-9, float(np.abs(sound).max())) * 8.0, -1.0, 1.0), RATE
    if name == "noisy":
        noise = rng.standard_normal(sound.shape).astype(np.float32) * np.float32(10 ** (-34 / 20))
        return np.clip(sound + noise, -1, 1), RATE
    if name == "upsampled":
        return _band_limit(sound, 3_800.0), RATE
    if name == "sound-rate":
        low = _band_limit(sound, 10_000.0).mean(axis=0, keepdims=True)
        positions = np.arange(int(low.shape[1] * 22_050 / RATE)) * (RATE / 22_050)
        return np.interp(positions, np.arange(low.shape[1]), low[0])[None].astype(np.float32), 22_050
    return sound, RATE


def _band_limit(sound: np.ndarray, cutoff_hz: float) -> np.ndarray:
    """Remove everything above a frequency, as sound that was recorded at a low rate lacks it."""
    spectrum = np.fft.rfft(sound, axis=1)
    spectrum[:, np.fft.rfftfreq(sound.shape[1], 1 / RATE) > cutoff_hz] = 0
    return np.fft.irfft(spectrum, sound.shape[1], axis=1).astype(np.float32)
