"""What a signal means in light: the curves of ITU-R BT.2100 (PQ and HLG), BT.1886 and sRGB, and primaries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Transfer = Literal["bt1886", "gamma22", "gamma28", "srgb", "pq", "hlg"]
WHITE_NITS = 203.0  # diffuse white, BT.2408 table 1: 58 % PQ, 75 % HLG
USUAL_PEAK_NITS = 1000.0  # of a PQ film that does not say on what it was graded, and of the display that HLG is for
_PQ_NITS = 10_000.0
_M1, _M2, _C1, _C2, _C3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128  # BT.2100 table 4
_A = 0.17883277
_B, _C = 1 - 4 * _A, 0.5 - _A * np.log(4 * _A)  # BT.2100 table 5
_GAMMAS: dict[str, float] = {"bt1886": 2.4, "gamma22": 2.2, "gamma28": 2.8}
_D65 = (0.3127, 0.3290)
PRIMARIES = {  # H.273 number → x, y of red, green, blue
    1: ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060)),
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
}
WEIGHTS = {1: (0.2126, 0.7152, 0.0722), 9: (0.2627, 0.6780, 0.0593)}  # of luminance, as the standards round them


@dataclass(frozen=True)
class Signal:
    """What R'G'B' of 0 to 1 mean.

    Attributes:
        transfer: the curve from signal to light.
        primaries: H.273 number.
        peak_nits: cd/m² of the display that it is or was made for; white of a film of standard dynamic range is 203,
            where BT.2408 puts it beside high dynamic range.
        black_nits: cd/m² of that display's black.
    """

    transfer: Transfer
    primaries: int
    peak_nits: float
    black_nits: float = 0.0

    @property
    def hdr(self) -> bool:
        """Whether it is of high dynamic range."""
        return self.transfer in ("pq", "hlg")

    @property
    def weights(self) -> tuple[float, float, float]:
        """Share of red, green and blue in luminance."""
        if self.primaries in WEIGHTS:
            return WEIGHTS[self.primaries]
        red, green, blue = to_xyz(self.primaries)[1].tolist()
        return red, green, blue

    @property
    def system_gamma(self) -> float:
        """Of HLG on its display (BT.2100 table 5)."""
        return 1.2 + 0.42 * float(np.log10(self.peak_nits / USUAL_PEAK_NITS))


REC709 = Signal("bt1886", 1, WHITE_NITS)


def pq_nits(signal: Values) -> Values:
    """cd/m² that a PQ signal (0 to 1) means."""
    root = np.power(np.clip(signal, 0.0, 1.0), 1 / _M2)
    return _PQ_NITS * np.power(np.maximum(root - _C1, 0.0) / (_C2 - _C3 * root), 1 / _M1)


def pq_signal(nits: Values) -> Values:
    """The PQ signal that means so many cd/m²."""
    power = np.power(np.clip(nits, 0.0, _PQ_NITS) / _PQ_NITS, _M1)
    return np.power((_C1 + _C2 * power) / (1 + _C3 * power), _M2)


def hlg_scene(signal: Values) -> Values:
    """Scene light (0 to 1) that an HLG signal (0 to 1) means."""
    signal = np.clip(signal, 0.0, 1.0)
    return np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - _C) / _A) + _B) / 12)


def hlg_signal(scene: Values) -> Values:
    """The HLG signal that means scene light of 0 to 1."""
    scene = np.clip(scene, 0.0, 1.0)
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), _A * np.log(np.maximum(12 * scene - _B, 1e-9)) + _C)


def light_of(signal: Values, meant: Signal) -> Values:
    """Light per channel, the display's peak being 1 (with HLG that of the scene, before its system gamma)."""
    if meant.transfer == "pq":
        return pq_nits(signal) / meant.peak_nits
    if meant.transfer == "hlg":
        return hlg_scene(signal)
    if meant.transfer == "srgb":
        signal = np.clip(signal, 0.0, 1.0)
        return np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)
    gamma = _GAMMAS[meant.transfer]
    low = (meant.black_nits / meant.peak_nits) ** (1 / gamma)
    return np.power(np.clip(signal, 0.0, 1.0) * (1 - low) + low, gamma)


def signal_of(light: Values, meant: Signal) -> Values:
    """The signal per channel for light of 0 to 1, as :func:`light_of` the other way."""
    if meant.transfer == "pq":
        return pq_signal(light * meant.peak_nits)
    if meant.transfer == "hlg":
        return hlg_signal(light)
    light = np.clip(light, 0.0, 1.0)
    if meant.transfer == "srgb":
        return np.where(light <= 0.0031308, light * 12.92, 1.055 * np.power(light, 1 / 2.4) - 0.055)
    gamma = _GAMMAS[meant.transfer]
    if not meant.black_nits:
        return np.power(light, 1 / gamma)
    low = (meant.black_nits / meant.peak_nits) ** (1 / gamma)
    return np.maximum(np.power(light, 1 / gamma) - low, 0.0) / (1 - low)


def to_xyz(primaries: int) -> Values:
    """Matrix [3, 3] from linear light of some primaries (BT.2020 where they are not known) to CIE XYZ."""
    columns = np.array([[x / y, 1.0, (1 - x - y) / y] for x, y in PRIMARIES.get(primaries, PRIMARIES[9])]).T
    white = np.array([_D65[0] / _D65[1], 1.0, (1 - _D65[0] - _D65[1]) / _D65[1]])
    return columns * np.linalg.solve(columns, white)


def between(primaries: int, wanted: int) -> NDArray[np.float32]:
    """Matrix [3, 3] from linear light of some primaries to that of others."""
    return np.asarray(np.linalg.inv(to_xyz(wanted)) @ to_xyz(primaries), np.float32)
