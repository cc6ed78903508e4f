"""From high dynamic range to BT.709: the light that PQ or HLG mean on a display, brought into the range by BT.2390.

The way of the standards, in light and not in code values: ITU-R BT.2100 says which light a signal means (HLG with the
system gamma of a 1,000 cd/m² display), BT.2408 that diffuse white is 203 cd/m², which becomes the white of the result,
BT.2390 how highlights above it are bent into what is left (its EETF, a knee in PQ), and BT.1886 how a BT.709 display
turns the signal into light. The knee bends the largest of red, green and blue and scales the others with it, so a
colour keeps its hue and no channel runs over; colours outside of BT.709 lose saturation until they fit.
"""

from __future__ import annotations

import av
import numpy as np
from numpy.typing import NDArray

from aiprod.media.media_info import VideoFacts
from aiprod.media.scaling import Scaler

WHITE_NITS = 203.0  # diffuse white, BT.2408 table 1: 58 % PQ, 75 % HLG
USUAL_PEAK_NITS = 1000.0  # of a PQ film that does not say on what it was graded, and of the display that HLG is for
_PQ_NITS = 10_000.0
_M1, _M2, _C1, _C2, _C3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128  # BT.2100 table 4
_A = 0.17883277
_B, _C = 1 - 4 * _A, 0.5 - _A * np.log(4 * _A)  # BT.2100 table 5
_HLG_GAMMA = 1.2
_BT1886_GAMMA = 2.4
_LUMINANCE_2020 = (0.2627, 0.6780, 0.0593)
_LUMINANCE_709 = (0.2126, 0.7152, 0.0722)
_D65 = (0.3127, 0.3290)
_PRIMARIES = {  # H.273 number → x, y of red, green, blue
    1: ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060)),
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
}
_CODES = 1024  # 10 bits per channel on the way in
_STEPS = 8192  # of the tables over light, which are read at its square root: fine in the dark
_BAND = 32  # lines that are worked on at once, so that they stay in the processor's cache

Light = NDArray[np.float32]


def pq_nits(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    """cd/m² that a PQ signal (0 to 1) means."""
    root = np.power(np.clip(signal, 0.0, 1.0), 1 / _M2)
    return _PQ_NITS * np.power(np.maximum(root - _C1, 0.0) / (_C2 - _C3 * root), 1 / _M1)


def pq_signal(nits: NDArray[np.float64]) -> NDArray[np.float64]:
    """The PQ signal that means so many cd/m²."""
    power = np.power(np.clip(nits, 0.0, _PQ_NITS) / _PQ_NITS, _M1)
    return np.power((_C1 + _C2 * power) / (1 + _C3 * power), _M2)


def hlg_scene(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scene light (0 to 1) that an HLG signal (0 to 1) means."""
    signal = np.clip(signal, 0.0, 1.0)
    return np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - _C) / _A) + _B) / 12)


def eetf(nits: NDArray[np.float64], peak_nits: float, white_nits: float = WHITE_NITS) -> NDArray[np.float64]:
    """cd/m² on a display of ``white_nits`` for light graded on one of ``peak_nits`` (BT.2390, section 5.4.1).

    Light up to the knee stays as it is; from there a Hermite spline leads ``peak_nits`` to ``white_nits``.
    """
    if peak_nits <= white_nits:
        return np.minimum(nits, white_nits)
    whole = float(pq_signal(np.array(peak_nits)))
    signal = np.minimum(pq_signal(nits) / whole, 1.0)
    most = float(pq_signal(np.array(white_nits))) / whole
    knee = 1.5 * most - 0.5
    t = (signal - knee) / (1 - knee)
    spline = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (-2 * t**3 + 3 * t**2) * most
    return pq_nits(np.where(signal < knee, signal, spline) * whole)


def to_709(primaries: int) -> NDArray[np.float32]:
    """Matrix [3, 3] from linear light of some primaries (BT.2020 where they are not known) to BT.709's."""
    own = _to_xyz(_PRIMARIES.get(primaries, _PRIMARIES[9]))
    return (np.linalg.inv(_to_xyz(_PRIMARIES[1])) @ own).astype(np.float32)


def _to_xyz(primaries: tuple[tuple[float, float], ...]) -> NDArray[np.float64]:
    columns = np.array([[x / y, 1.0, (1 - x - y) / y] for x, y in primaries]).T
    white = np.array([_D65[0] / _D65[1], 1.0, (1 - _D65[0] - _D65[1]) / _D65[1]])
    return columns * np.linalg.solve(columns, white)


class ToneMapper:
    """Scales a PQ or HLG picture and makes it one of BT.709, 8 bit 4:2:0; the same bytes on every processor.

    Args:
        width: of the result as stored, pixels.
        height: likewise.
        video: facts of the film: transfer, primaries, and the peak of the display that it was graded on.
    """

    def __init__(self, width: int, height: int, video: VideoFacts) -> None:
        self._enter, self._leave = Scaler(width, height, "gbrp10le", True), Scaler(width, height, "yuv420p", True)
        self._hlg = video.transfer == 18
        self.peak_nits = USUAL_PEAK_NITS if self._hlg or video.peak_nits is None else video.peak_nits
        self._matrix = to_709(video.primaries)
        codes = np.arange(_CODES) / (_CODES - 1)
        light = hlg_scene(codes) if self._hlg else pq_nits(codes) / self.peak_nits
        self._light = light.astype(np.float32)  # code → light, the peak being 1
        steps = (np.arange(_STEPS) / (_STEPS - 1)) ** 2
        self._system = np.power(steps, _HLG_GAMMA - 1).astype(np.float32)  # scene luminance → gain of HLG's OOTF
        nits = np.maximum(steps, 0.25 / _STEPS**2) * self.peak_nits
        self._gain = (eetf(nits, self.peak_nits) / nits * self.peak_nits / WHITE_NITS).astype(np.float32)
        self._signal = np.rint(np.power(steps, 1 / _BT1886_GAMMA) * 255).astype(np.uint8)

    @property
    def step(self) -> str:
        """What this does, in words."""
        name = "HLG" if self._hlg else "PQ"
        return f"{name} to BT.709 (BT.2390, {self.peak_nits:g} to {WHITE_NITS:g} cd/m²)"

    def frame(self, frame: av.VideoFrame) -> av.VideoFrame:
        """The picture as limited-range BT.709, yuv420p."""
        source = self._enter.frame(frame)
        target = av.VideoFrame(source.width, source.height, "gbrp")  # from 10 bits swscale would dither
        given, made = _planes(source, np.uint16), _planes(target, np.uint8)
        for top in range(0, source.height, _BAND):
            light = [self._light.take(plane[top : top + _BAND]) for plane in given]
            for plane, signal in zip(made, self._mapped(light), strict=True):
                plane[top : top + _BAND] = signal
        return self._leave.frame(target)

    def _mapped(self, light: list[Light]) -> list[NDArray[np.uint8]]:
        """Signal of red, green and blue, given light in which the peak is 1 (of the scene where it is HLG)."""
        if self._hlg:
            gain = self._system.take(_place(_weighted(light, _LUMINANCE_2020)))
            light = [channel * gain for channel in light]
        light = _within([_weighted(light, row) for row in self._matrix])
        gain = self._gain.take(_place(np.maximum(np.maximum(light[0], light[1]), light[2])))
        return [self._signal.take(_place(channel * gain)) for channel in light]


def _within(light: list[Light]) -> list[Light]:
    """Colours outside of BT.709 at their luminance, with as much saturation as fits."""
    least = np.minimum(np.minimum(light[0], light[1]), light[2])
    outside = least < 0
    if outside.any():
        picked = [channel[outside] for channel in light]
        luminance = np.maximum(_weighted(picked, _LUMINANCE_709), 0)
        share = luminance / np.maximum(luminance - least[outside], np.float32(1e-12))
        for channel, values in zip(light, picked, strict=True):
            channel[outside] = luminance + share * (values - luminance)
    return light


def _weighted(light: list[Light], weights: tuple[float, ...] | Light) -> Light:
    """Σ weight · channel. Written out: a matrix product may round in another order on another processor."""
    r, g, b = (np.float32(weight) for weight in weights)
    total = light[0] * r
    total += light[1] * g
    total += light[2] * b
    return total


def _place(light: Light) -> NDArray[np.intp]:
    """Where light (0 to 1) stands in a table over it."""
    root = np.sqrt(np.clip(light, 0, 1))
    root *= _STEPS - 1
    root += np.float32(0.5)
    return root.astype(np.intp)


def _planes(frame: av.VideoFrame, kind: type[np.unsignedinteger]) -> list[np.ndarray]:
    """Red, green and blue [H, W] of a picture stored as green, blue, red; views of its own memory."""
    found = []
    for plane in (frame.planes[2], frame.planes[0], frame.planes[1]):
        values = np.frombuffer(plane, kind)  # type: ignore[call-overload]
        found.append(values.reshape(frame.height, -1)[:, : frame.width])
    return found
