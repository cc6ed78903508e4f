"""How more light than a display has is bent into what it has: ITU-R BT.2390 and method A of BT.2446."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from aiprod.color.light import WHITE_NITS, Values, pq_nits, pq_signal

ToneMap = Literal["bt2390", "bt2446a", "aces2"]
_GAMMA = 2.4  # that BT.2446 works in


def eetf(
    nits: Values,
    peak_nits: float,
    white_nits: float = WHITE_NITS,
    black_nits: float = 0.0,
    lowest_nits: float = 0.0,
) -> Values:
    """cd/m² on a display of ``lowest_nits`` to ``white_nits`` for light graded on one of ``black_nits`` to
    ``peak_nits`` (BT.2390, section 5.4.1).

    Light up to the knee stays as it is; from there a Hermite spline leads ``peak_nits`` to ``white_nits``. Where the
    display's black is above the other's, dark light is lifted, so that it does not drown.
    """
    least, high = _place(black_nits), float(pq_signal(np.array(peak_nits)))
    lift = (_place(lowest_nits) - least) / (high - least)
    if peak_nits <= white_nits and lift == 0:
        return np.minimum(nits, white_nits)
    whole = high - least
    signal = np.minimum((pq_signal(nits) - least) / whole, 1.0)
    if lift:
        signal = np.maximum(signal, 0.0)
    bent = signal
    if peak_nits > white_nits:
        most = (float(pq_signal(np.array(white_nits))) - least) / whole
        knee = 1.5 * most - 0.5
        t = (signal - knee) / (1 - knee)
        spline = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (-2 * t**3 + 3 * t**2) * most
        bent = np.where(signal < knee, signal, spline)
    if lift:
        bent = bent + lift * (1 - bent) ** 4
    return pq_nits(bent * whole + least)


def _place(nits: float) -> float:
    """PQ of a black; 0 of none, although PQ's own curve begins a millionth above it."""
    return float(pq_signal(np.array(nits))) if nits > 0 else 0.0


def bt2446a(light: list[NDArray[np.float32]], peak_nits: float, white_nits: float) -> list[NDArray[np.float32]]:
    """Light of BT.2020, ``peak_nits`` being 1, as light in which ``white_nits`` is 1 (Report BT.2446-1, section 4.2).

    The curve acts on luma, and colours are corrected with it.
    """
    high, low = (1 + 32 * (nits / 10_000) ** (1 / _GAMMA) for nits in (peak_nits, white_nits))
    red, green, blue = (np.power(np.clip(channel, 0, 1), np.float32(1 / _GAMMA)) for channel in light)
    luma = 0.2627 * red + 0.6780 * green + 0.0593 * blue
    even = np.log1p((high - 1) * luma) / np.log(high)
    knee = np.where(
        even <= 0.7399,
        1.0770 * even,
        np.where(even < 0.9909, (-1.1510 * even + 2.7811) * even - 0.6302, 0.5 * even + 0.5),
    )
    display = (np.power(low, knee) - 1) / (low - 1)
    share = display / np.maximum(1.1 * luma, 1e-6)
    cb, cr = share * (blue - luma), share * (red - luma)  # without the divisors, which would come back
    display = display - np.maximum(0.1 / 1.4746 * cr, 0.0)
    return _light(display, cr, cb)


def bt2446a_expanded(light: list[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
    """Light of standard range (BT.2020, white being 1) as light in which 1,000 cd/m² are 1 (BT.2446-1, table 4)."""
    red, green, blue = (np.power(np.clip(channel, 0, 1), np.float32(1 / _GAMMA)) for channel in light)
    luma = 0.2627 * red + 0.6780 * green + 0.0593 * blue
    codes = 255 * luma
    dark = (1.8712e-5 * codes - 2.7334e-3) * codes + 1.3141
    bright = (2.8305e-6 * codes - 7.4622e-4) * codes + 1.2528
    scene = np.power(np.maximum(codes, 1e-6), np.where(codes <= 70, dark, bright)) / 1000
    share = 1.075 * scene / np.maximum(luma, 1e-6)
    return _light(scene, share * (red - luma), share * (blue - luma))


def _light(luma: Values, cr: Values, cb: Values) -> list[NDArray[np.float32]]:
    """Light of luma and differences of red and blue from it."""
    green = luma - (0.2627 * cr + 0.0593 * cb) / 0.6780
    return [np.power(np.clip(c, 0, 1), _GAMMA).astype(np.float32) for c in (luma + cr, green, luma + cb)]
