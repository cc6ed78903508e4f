"""Runs the K filter of ITU-R BS.1770 over sound that comes piece by piece."""

from __future__ import annotations

import av
import numpy as np
from numpy.typing import NDArray

from aiprod.media.k_weighting import k_weighting


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
