"""Weights and inputs that follow from a name alone, so that two programs can be compared without sharing a file."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence

import torch
from torch import Tensor


def values(name: str, shape: Sequence[int], scale: float | None = None) -> Tensor:
    """A tensor in fp32: sines whose phase is the checksum of the name; weights as large as their fan-in allows."""
    count = math.prod(shape)
    phase = zlib.crc32(name.encode()) % 1000
    wave = torch.sin(torch.arange(count, dtype=torch.float64) * 12.9898 + phase).reshape(tuple(shape))
    if scale is None:
        # such that the sound of a vocoder is neither silent nor at its limits all the time
        wide = name.startswith(("vocoder.vocoder.", "vocoder.bwe_generator.", "vocoder.mel_stft."))
        gain = 0.8 if wide else 1.05 if name.startswith("vocoder.") else 1.5
        scale = gain / math.sqrt(max(1, math.prod(shape[1:]))) if len(shape) > 1 else 0.1
    wave = wave * scale
    if "std-of-means" in name:
        wave = 1 + 3 * wave
    return wave.float()


def some(tensor: Tensor, count: int = 48) -> list[float]:
    """Values that lie evenly over a tensor."""
    flat = tensor.detach().double().flatten()
    index = torch.linspace(0, len(flat) - 1, count).round().long()
    return [float(v) for v in flat[index]]
