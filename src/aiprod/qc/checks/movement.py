"""Where in the picture and when something changes, for captions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import cv2
import numpy as np

from aiprod.qc.clip_context import Plane, SmallFrame
from aiprod.qc.measurement import OfDifferences

if TYPE_CHECKING:
    from aiprod.media.media_info import Orientation, VideoFacts
    from aiprod.qc.measure_params import QcMeasureParams

VERSION = "3"
METHOD = (
    "every frame (at most 60 a second), small plane: pixels that differ from the frame before by more than 5 % of the "
    "signalled range, counted in 6 by 9 cells of the upright picture; spans in which at least a fifth as many change "
    "as in its liveliest"
)
ROWS, COLUMNS = 6, 9
_CHANGED = 0.05
_LIVELY = 0.2
_LEAST = 0.001  # of the picture: what compression alone changes lies below
_GAP_S = 0.5
_SPANS_MAX = 16


class _Counts:
    """How often each pixel changed. Bytes, while they hold, are added up many times faster than wide numbers."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self._bytes, self._added = np.zeros(shape, np.uint8), 0
        self._total = np.zeros(shape, np.int64)

    def add(self, mask: np.ndarray) -> None:
        """Count what is 1."""
        cv2.add(self._bytes, mask, self._bytes)
        self._added += 1
        if self._added == 255:
            self.total()

    def total(self) -> np.ndarray:
        """The counts so far."""
        self._total += self._bytes
        self._bytes[:], self._added = 0, 0
        return self._total


class Movement(OfDifferences):
    """Counts pixels that change, cell by cell and frame by frame."""

    name = "movement"
    version = VERSION
    method = METHOD

    def __init__(self, orientation: Orientation) -> None:
        self._orientation = orientation
        self._cells: dict[tuple[int, int], _Counts] = {}
        self._times: list[float] = []
        self._changed: list[float] = []
        self._last: Plane | None = None
        self._mask: Plane | None = None

    @classmethod
    def begin(cls, params: QcMeasureParams, video: VideoFacts) -> Self:
        """For a film that is stored as ``video`` says."""
        return cls(video.orientation)

    def feed(self, frame: SmallFrame) -> None:
        """Compare one frame with the one before."""
        plane, last = frame.plane, self._last
        self._last = plane
        self._times.append(frame.time_s)
        if last is None or last.shape != plane.shape or frame.torn:
            self._changed.append(0.0)
            return
        least = _CHANGED * (frame.white_level - frame.black_level)
        _, mask = cv2.threshold(frame.difference(last), least, 1, cv2.THRESH_BINARY, self._mask)
        self._mask, changed = mask, cv2.countNonZero(mask)
        self._changed.append(changed / mask.size)
        if changed:
            if mask.shape not in self._cells:
                self._cells[mask.shape] = _Counts(mask.shape)
            self._cells[mask.shape].add(mask)

    def figures(self) -> dict[str, Any]:
        """Shares of all change by cell, [row][column] from the upper left of the upright picture, and when it is."""
        if len(self._times) < 2:
            return {"status": "unmeasurable", "reason": "fewer than two frames"}
        return {
            "status": "ok",
            "changed_mean": float(np.mean(self._changed[1:])),
            "cells": self._shares().round(3).tolist(),
            "spans_s": self._spans(),
            "length_s": self._times[-1] - self._times[0],
            "liveliest_s": self._liveliest(),
        }

    def _shares(self) -> np.ndarray:
        grid = np.zeros((ROWS, COLUMNS))
        for cells in self._cells.values():
            counts = cells.total()
            upright = np.ascontiguousarray(self._orientation.turned(counts)).astype(np.float32)
            grid += cv2.resize(upright, (COLUMNS, ROWS), interpolation=cv2.INTER_AREA) * counts.size
        return np.asarray(grid / grid.sum()) if grid.sum() else grid

    def _liveliest(self) -> float | None:
        """The middle of the half second in which most changes; None where nothing does."""
        times, sums = np.array(self._times), np.concatenate(([0.0], np.cumsum(self._changed)))
        within = sums[np.searchsorted(times, times + _GAP_S, side="right")] - sums[:-1]
        best = int(within.argmax())
        return round(float(min(times[best] + _GAP_S / 2, times[-1])), 3) if within[best] > 0 else None

    def _spans(self) -> list[list[float]]:
        """Beginnings and ends of lively stretches; pauses of less than half a second are none."""
        changed = np.array(self._changed)
        lively = changed >= max(_LEAST, _LIVELY * float(np.quantile(changed, 0.95)))
        spans: list[list[float]] = []
        for index in np.flatnonzero(lively).tolist():
            begin, end = self._times[index - 1] if index else self._times[0], self._times[index]
            if spans and begin - spans[-1][1] < _GAP_S:
                spans[-1][1] = end
            else:
                spans.append([begin, end])
        return [[round(begin, 3), round(end, 3)] for begin, end in spans[:_SPANS_MAX]]
