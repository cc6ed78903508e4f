"""Fingerprints of picture and sound that survive another size, bit rate or brightness, for finding near duplicates.

Four times per second a picture gives two 64-bit words: the signs of 64 low DCT coefficients (how it looks; after
Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010) and the signs of their change within
half a second (what happens). Half of the coefficients are symmetric from left to right and fill the upper 32 bits, half
are antisymmetric: a mirrored picture has the lower 32 bits inverted and nothing else.

Eight times per second the sound gives one 64-bit word: whether the difference between neighbouring bands has grown
(upper 32 bits) or shrunk (lower 32 bits) within half a second (after Haitsma and Kalker, "A Highly Robust Audio
Fingerprinting System", 2002, with a third state for what is too close to call).

Black bars are cut off first, whose share of the picture would move every coefficient; so the samples wait, small, until
the whole clip has been seen and its bars are known.

A word of 0 says that there was nothing to see, no change, or nothing to hear.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from aiprod.qc.checks.audio_events import hann, mono_of
from aiprod.qc.checks.borders import active_area
from aiprod.qc.clip_context import ClipContext, Plane, SmallFrame
from aiprod.qc.measurement import Figures, OfSomeFrames
from aiprod.qc.planes import shrink

VERSION = "4"
COMPARABLE = ("2", "3", VERSION)
"""Versions whose words differ by less than those of a copy in another size: by up to one bit of 64, or where 4 hears
nothing in a click that is all above 12 kHz."""
METHOD = (
    "pictures at 4 Hz: signs of 64 DCT coefficients of the 32x32 luma between black bars and of their change within "
    "0.5 s; "
    "sound at 8 Hz, at half of rates of 40 kHz and more: signs of the change within 0.5 s between 33 bands, 150 to "
    "6000 Hz; the first 150 s"
)
PICTURE_HZ = 4.0
SOUND_HZ = 8.0
MAX_S = 150.0
FLAT = 1.5
"""Root mean square of the coefficients, in levels of 255, under which a picture shows nothing."""
STILL = 0.4
"""The same of the change within half a second, under which nothing happens."""
_SIDE, _PICTURE_LAG = 32, 2
_HALVED_PX = 128
"""Of pictures whose shorter side is at least as long, half as many lines and columns wait for the bars: at most
fourteen kilobytes of a wide one."""
_HALVED_HZ = 40_000
"""Sound of at least this rate is halved once, twice …: bands end at 6 kHz, and a transform then takes half as long."""
_HALF_BAND = {1: 0.3064608, 3: -0.0747389, 5: 0.0226548, 7: -0.0046313}
"""Weights of samples so far before and behind each second one, whose own is 0.5: at 44.1 kHz flat to 0.01 dB up to 6
kHz, and what it folds there is 65 dB down (by ``scipy.signal.remez``)."""
_CHUNK = 1 << 14  # samples halved at once, which stay in the cache
_WINDOW_S, _LAG, _BANDS, _DEPTH_DB, _CERTAIN_DB, _QUIET_DBFS = 0.375, 4, 33, 45.0, 1.0, -65.0
_TOGETHER = 8
"""Windows of sound transformed at once, which takes half as long for each; more no longer fit a processor's cache."""

Words = NDArray[np.uint64]


def _coefficients() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns of the 32 lowest coefficients of even column, then of the 32 lowest of odd column."""
    places = sorted(((v + h, v, h) for v in range(12) for h in range(12) if v + h), key=lambda p: (p[0], p[1]))
    picked = [p for p in places if p[2] % 2 == 0][:32] + [p for p in places if p[2] % 2 == 1][:32]
    # Neighbours in frequency fall together in compressed pictures: spread them over the word, the same way always.
    spread = [*(i * 13 % 32 for i in range(32)), *(32 + i * 13 % 32 for i in range(32))]
    return np.array([picked[i][1] for i in spread]), np.array([picked[i][2] for i in spread])


_ROWS, _COLUMNS = _coefficients()


def words_of(signs: NDArray[np.bool_], valid: NDArray[np.bool_]) -> Words:
    """One word for each row of signs [N, 64]; 0 where not valid (and never 0 where valid)."""
    packed = np.packbits(signs, axis=1).view(">u8").astype(np.uint64).ravel()
    return np.where(valid, np.maximum(packed, np.uint64(1)), np.uint64(0))


def as_text(words: Words) -> str:
    """Base64 of the little-endian words."""
    return base64.b64encode(words.astype("<u8").tobytes()).decode()


class Fingerprint(OfSomeFrames):
    """Words of the pictures, from the small planes."""

    name = "fingerprint"
    version = VERSION
    method = METHOD
    needs = ("borders",)

    def __init__(self, longest_s: float = MAX_S) -> None:
        self._samples: list[Plane] = []
        self._longest_s = longest_s
        self._range = 219.0

    def feed(self, frame: SmallFrame) -> None:
        """Take the first frame of each quarter of a second; a slot without a frame repeats the one before."""
        slot = int(frame.time_s * PICTURE_HZ + 1e-6)
        if slot < len(self._samples) or frame.time_s > self._longest_s:
            return
        small = shrink(frame.plane, 2 if min(frame.plane.shape) >= _HALVED_PX else 1)
        self._range = frame.white_level - frame.black_level
        while len(self._samples) < slot:
            self._samples.append(self._samples[-1] if self._samples else small)
        self._samples.append(small)

    def measure(self, seen: ClipContext, measurements: Mapping[str, Figures]) -> dict[str, Any]:
        """The words of pictures and sound."""
        pictures = self.figures(active_area(measurements["borders"]))
        return measure(pictures, seen.sound.mono[None] if seen.sound else None, seen.sound.rate_hz if seen.sound else 0)

    def figures(self, area: tuple[float, float, float, float] = (0.0, 1.0, 0.0, 1.0)) -> dict[str, Any]:
        """The words of looks and changes as base64.

        Args:
            area: top, bottom, left and right of the picture between black bars, as shares of the whole.
        """
        if not self._samples:
            return {"status": "unmeasurable", "reason": "no frames"}
        coefficients: dict[int, NDArray[np.float32]] = {}  # a slot without a frame has the sample of the one before
        for sample in self._samples:
            if id(sample) not in coefficients:
                coefficients[id(sample)] = _coefficients_of(_between(sample, area))
        samples = np.stack([coefficients[id(sample)] for sample in self._samples])
        samples *= np.float32(255.0 / (_SIDE * self._range))
        change = np.zeros_like(samples)
        change[_PICTURE_LAG:] = samples[_PICTURE_LAG:] - samples[:-_PICTURE_LAG]
        seen, moved = np.sqrt((samples**2).sum(axis=1)), np.sqrt((change**2).sum(axis=1))
        return {
            "status": "ok",
            "look": as_text(words_of(samples > 0, seen >= FLAT)),
            "change": as_text(words_of(change > 0, (moved >= STILL) & (seen >= FLAT))),
        }


def _between(picture: Plane, area: tuple[float, float, float, float]) -> Plane:
    """The picture between black bars; inwards, for the line in which bar and picture mix belongs to neither."""
    height, width = picture.shape
    top, bottom, left, right = area
    return picture[int(np.ceil(top * height)) : int(bottom * height), int(np.ceil(left * width)) : int(right * width)]


def _coefficients_of(picture: Plane) -> NDArray[np.float32]:
    height, width = picture.shape
    if min(height, width) < _SIDE:
        small = cv2.resize(picture.astype(np.float32), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.dct(small)[_ROWS, _COLUMNS], np.float32)
    # Both are sums along lines and along columns: one product each, of the few coefficients that are asked for.
    lines = picture.astype(np.float32) @ _lowest(width).T
    return np.asarray((_lowest(height) @ lines)[_ROWS, _COLUMNS], np.float32)


@lru_cache(maxsize=64)
def _lowest(size: int) -> NDArray[np.float32]:
    """The lowest DCT coefficients of so many pixels averaged to 32, as weights [n, size]."""
    means = cv2.resize(np.eye(size), (size, _SIDE), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(
        (cv2.dct(np.eye(_SIDE), flags=cv2.DCT_ROWS).T @ means)[: 1 + max(_ROWS.max(), _COLUMNS.max())], np.float32
    )


def halved(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sound [T] at half of its rate, without what that cannot hold."""
    reach = max(_HALF_BAND)
    count = -(-samples.size // 2)
    out = np.empty(count, np.float32)
    padded = np.zeros(2 * (count + reach), np.float32)
    padded[reach + 1 : reach + 1 + samples.size] = (
        samples  # an odd number before it: its even samples lie at even places
    )
    for first in range(0, count, _CHUNK):
        part = padded[2 * first :][: 2 * (_CHUNK + reach)]
        even, odd = part[::2].copy(), part[1::2].copy()
        into = out[first : first + _CHUNK]
        middle, n = (reach + 1) // 2, into.size
        np.multiply(even[middle:][:n], np.float32(0.5), out=into)
        for apart, weight in _HALF_BAND.items():
            before, behind = middle - (apart + 1) // 2, middle + (apart - 1) // 2
            pair = odd[before:][:n] + odd[behind:][:n]
            pair *= np.float32(weight)
            into += pair
    return out


def sound_words(samples: NDArray[np.float32], rate_hz: int, longest_s: float = MAX_S) -> Words:
    """Words of sound [channels, T] at its own rate, eight a second; 0 where it is quiet or unchanging."""
    from scipy.fft import rfft  # here: deciding reads this file too, and must not wait for SciPy

    mono, rate = mono_of(samples[:, : round(longest_s * rate_hz)]), float(rate_hz)
    while rate >= _HALVED_HZ:
        mono, rate = halved(mono), rate / 2
    window, hop = round(_WINDOW_S * rate), rate / SOUND_HZ
    count = int((mono.size - window) / hop) + 1 if mono.size >= window else 0
    if count <= _LAG:
        return np.zeros(0, np.uint64)
    edges = np.geomspace(150.0, min(6000.0, 0.45 * rate), _BANDS + 1)
    size = 1 << (window - 1).bit_length()
    bins = np.maximum.accumulate(np.round(edges * size / rate).astype(np.int64) + np.arange(_BANDS + 1))
    taper = hann(window).astype(np.float32)
    levels = np.zeros((count, _BANDS), np.float32)
    loud = np.zeros(count, np.bool_)
    for n in range(0, count, _TOGETHER):
        parts = np.stack([mono[round(i * hop) :][:window] for i in range(n, min(n + _TOGETHER, count))])
        heard = np.einsum("ij,ij->i", parts, parts) > window * 10 ** (_QUIET_DBFS / 10)
        if not heard.any():  # a whole film may be
            continue
        loud[n : n + _TOGETHER] = heard
        parts *= taper
        lines = rfft(parts, size, axis=1)[:, : bins[-1] + 1]
        power = np.square(lines.real) + np.square(lines.imag)
        levels[n : n + _TOGETHER] = np.add.reduceat(power, bins[:-1], axis=1)[:, :_BANDS]
    levels = 10 * np.log10(levels + 1e-12)
    levels = np.maximum(levels, levels.max(axis=1, keepdims=True) - _DEPTH_DB)
    slope = np.diff(levels, axis=1)
    change = slope[_LAG:] - slope[:-_LAG]
    signs = np.concatenate((change > _CERTAIN_DB, change < -_CERTAIN_DB), axis=1)
    words = words_of(signs, loud[_LAG:] & loud[:-_LAG])
    return np.concatenate((np.zeros(_LAG, np.uint64), words))


def measure(
    pictures: dict[str, Any], samples: NDArray[np.float32] | None, rate_hz: int, longest_s: float = MAX_S
) -> dict[str, Any]:
    """Add the sound's words to the pictures' figures."""
    words = sound_words(samples, rate_hz, longest_s) if samples is not None and samples.size else np.zeros(0, np.uint64)
    return {**pictures, "sound": as_text(words)}
