"""Decoded frames of sound laid one behind the other in memory, so that a run of them is a view and not a copy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiprod.media.audio_mixing import floats, two_at_most

_STRETCH_S = 600.0
_STRETCH_BYTES = 31 << 20  # whatever length a header states; larger ones the C library would not use again
_PLANAR_CHANNELS = 7  # PyAV counts the planes of more wrong


class SampleStore:
    """float32 samples [1 or 2, T] of the frames of a stream, by their numbers."""

    def __init__(self, seconds: float) -> None:
        """Args:
        seconds: as long as the sound is expected to be; what is not needed of it costs no memory.
        """
        self._seconds = min(max(1.0, seconds), _STRETCH_S)
        self._stretches: list[NDArray[np.float32]] = [np.empty((0, 0), np.float32)]
        self._rows: list[memoryview] = []
        self._filled = 0
        self._places: list[tuple[int, int, int]] = []
        self._wide = np.empty((0, 0))

    def __len__(self) -> int:
        """Number of frames."""
        return len(self._places)

    def add(self, frame: Any, matrix: NDArray[np.float64] | None) -> int:
        """Take a frame that a decoder gives; how many channels are kept of it.

        Args:
            matrix: by which its channels are mixed to two; None where there are no more.
        """
        count = frame.samples
        if frame.format.name != "fltp" or frame.layout.nb_channels > _PLANAR_CHANNELS:
            samples = two_at_most(floats(frame), matrix)
            channels = samples.shape[0]
            self._room(channels, samples.shape[1], frame.sample_rate)[:] = samples
            return channels
        planes = frame.planes
        if matrix is None:
            channels = len(planes)
            self._room(channels, count, frame.sample_rate)
            behind = 4 * self._filled
            for row, plane in zip(self._rows, planes, strict=True):
                row[behind - 4 * count : behind] = memoryview(plane)[: 4 * count]
            return channels
        if self._wide.shape != (len(planes), count):
            self._wide = np.empty((len(planes), count))
        for samples, plane in zip(self._wide, planes, strict=True):
            samples[:] = np.frombuffer(plane, np.float32, count)
        self._room(2, count, frame.sample_rate)[:] = matrix @ self._wide
        return 2

    def _room(self, channels: int, count: int, rate: int) -> NDArray[np.float32]:
        last = self._stretches[-1]
        if last.shape[0] != channels or self._filled + count > last.shape[1]:
            most = _STRETCH_BYTES // (4 * channels)
            last = np.empty((channels, max(count, min(most, round(self._seconds * rate)))), np.float32)
            self._stretches.append(last)
            self._rows = [memoryview(row).cast("B") for row in last]
            self._filled = 0
        begin, self._filled = self._filled, self._filled + count
        self._places.append((len(self._stretches) - 1, begin, self._filled))
        return last[:, begin : self._filled]

    def run(self, first: int, behind: int) -> NDArray[np.float32]:
        """The samples of consecutive frames of one form, [channels, T]; a view where they lie in one stretch."""
        parts: list[NDArray[np.float32]] = []
        while first < behind:
            stretch, begin, _ = self._places[first]
            last = self._last_in(stretch, behind)
            parts.append(self._stretches[stretch][:, begin : self._places[last][2]])
            first = last + 1
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)

    def _last_in(self, stretch: int, behind: int) -> int:
        """The last frame before ``behind`` that lies in a stretch."""
        last = behind - 1
        places: Sequence[tuple[int, int, int]] = self._places
        while places[last][0] != stretch:
            last -= 1
        return last
