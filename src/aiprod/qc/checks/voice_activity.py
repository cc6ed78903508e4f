"""Where somebody speaks: Silero VAD on 32 ms of 16 kHz at a time, its memory carried from one to the next."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aiprod.qc.bundled.catalogue import BUNDLED
from aiprod.qc.bundled.onnx import load

RATE_HZ = 16_000
FRAME = 512
_CONTEXT = 64  # samples of the frame before, which the network sees again
_BLOCK = 512  # frames at once: a bound on memory


def probabilities(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """How probably each frame of ``FRAME`` samples is speech; mono at ``RATE_HZ``, [T]. The last one is filled up."""
    network = load(BUNDLED["speech"].file("sequence.onnx"))
    count = -(-samples.size // FRAME)
    padded = np.zeros(_CONTEXT + count * FRAME, np.float32)
    padded[_CONTEXT : _CONTEXT + samples.size] = samples
    windows = np.lib.stride_tricks.sliding_window_view(padded, _CONTEXT + FRAME)[::FRAME]
    h = c = np.zeros((1, 1, 128), np.float32)
    parts = [np.zeros(0, np.float32)]
    for first in range(0, count, _BLOCK):
        block = np.ascontiguousarray(windows[first : first + _BLOCK])
        shares, h, c = network({"input": block, "h": h, "c": c})
        parts.append(shares)
    return np.concatenate(parts)
