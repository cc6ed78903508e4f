"""The K filter of ITU-R BS.1770, by which loudness is measured."""

from __future__ import annotations

import av
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


class KWeighting:
    """The K filter over stereo sound that comes piece by piece, by FFmpeg's second-order sections in double precision.

    SciPy's equal them to the twelfth digit, and take most of a second to be imported.
    """

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._graph = av.filter.Graph()
        last = self._graph.add_abuffer(format="dblp", sample_rate=rate_hz, layout="stereo")
        for section in k_weighting(rate_hz):
            values = zip(("b0", "b1", "b2", "a0", "a1", "a2"), section.tolist(), strict=True)
            filtering = self._graph.add("biquad", ":".join(f"{name}={value!r}" for name, value in values) + ":r=f64")
            last.link_to(filtering)
            last = filtering
        last.link_to(self._graph.add("abuffersink"))
        self._graph.configure()

    def put(self, samples: NDArray[np.float32]) -> NDArray[np.float64]:
        """Weighted sound float64 [2, T] of as much as is given."""
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples, np.float64), "dblp", "stereo")
        frame.sample_rate, frame.pts = self._rate_hz, None
        self._graph.push(frame)
        return np.asarray(self._graph.pull().to_ndarray(), np.float64)
