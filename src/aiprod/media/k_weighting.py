"""The K filter of ITU-R BS.1770, by which loudness is measured; deciding reads this too, and loads no media library."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def k_weighting(rate_hz: int) -> NDArray[np.float64]:
    """Second-order sections [2, 6] of the K filter for any rate.

    The standard lists coefficients at 48 kHz only; these follow from its analogue prototypes (shelf +4 dB at
    1681.97 Hz, high-pass at 38.135 Hz) by the bilinear transform, and equal the listed ones at 48 kHz.
    """
    k = np.tan(np.pi * 1681.974450955533 / rate_hz)
    vh, q = 10 ** (3.999843853973347 / 20), 0.7071752369554196
    vb = vh**0.4996667741545416
    a0 = 1 + k / q + k * k
    shelf = [
        (vh + vb * k / q + k * k) / a0,
        2 * (k * k - vh) / a0,
        (vh - vb * k / q + k * k) / a0,
        1.0,
        2 * (k * k - 1) / a0,
        (1 - k / q + k * k) / a0,
    ]
    k = np.tan(np.pi * 38.13547087602444 / rate_hz)
    q = 0.5003270373238773
    a0 = 1 + k / q + k * k
    high = [1.0, -2.0, 1.0, 1.0, 2 * (k * k - 1) / a0, (1 - k / q + k * k) / a0]
    return np.array([shelf, high])
