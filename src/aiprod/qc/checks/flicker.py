"""Flicker and exposure pumping: the whole picture gets brighter and darker again and again, which no motion explains.

Lamps on alternating current, time lapse and old film flicker, several times a second; an automatic exposure that hunts
pumps, every few seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from aiprod.base.params import Params
from aiprod.qc.checks.judging import Case, Judgements, Rule, judged
from aiprod.qc.clip_context import Plane, SmallFrame
from aiprod.qc.measurement import OfFrames
from aiprod.qc.metric_table import FigureTable

if TYPE_CHECKING:
    from aiprod.qc.params import QcDecideParams

VERSION = "4"
METHOD = (
    "every frame (at most 60 a second), 8x12 blocks of the small plane at half its size: median over blocks of the log "
    "ratio to the frame before, where blocks agree, summed to the picture's gain; the greatest amplitude that swings "
    "in a row all have"
)
_ROWS, _COLUMNS = 8, 12
_DARK, _BRIGHT = 0.06, 0.92  # of the signalled range: blocks beyond are noise, or clipped
_BLOCKS = 24  # the least that a median is taken of
_AGREE = 0.005  # log ratio: what coding and small movement change a block by
_CUT = 0.1  # typical change of a block where blocks do not agree: another shot
_FADE = 0.7  # log ratio: a swing that is larger is a fade or a lamp that is switched
_LEVELS = 0.004 * 1.25 ** np.arange(19)
_LEAST_FRAMES = 12
_LEAST_SIDE = 8  # of a block, pixels, from which on it is summed at half of the size
_AT_ONCE = 512  # frames compared together: a bound on memory


class _Band(NamedTuple):
    """Swings that count: how many in a row, and how long each takes in seconds."""

    swings: int
    least_s: float
    most_s: float


class _Turns(NamedTuple):
    """Where the brightness turns by at least twice a level, and from there to the next: seconds, and whether that is no
    fade."""

    level: float
    times_s: NDArray[np.float64]
    lengths_s: NDArray[np.float64]
    small: NDArray[np.bool_]


_FLICKER, _PUMPING = _Band(6, 0.0, 0.75), _Band(3, 0.4, 5.0)


class Flicker(OfFrames):
    """How far the whole picture's brightness swings, quickly and slowly."""

    name = "flicker"
    version = VERSION
    method = METHOD

    def __init__(self) -> None:
        self._times: list[float] = []
        self._runs: list[_Run] = []

    def feed(self, frame: SmallFrame) -> None:
        """Keep the sums over each block; they are made into means all at once."""
        form = frame.plane.shape, frame.black_level, frame.white_level
        if not self._runs or self._runs[-1].form != form:
            self._runs.append(_Run(form, Grid(*frame.plane.shape), []))
        run = self._runs[-1]
        run.corners.append(run.grid.corners(frame.plane))
        self._times.append(frame.time_s)

    def _blocks(self) -> NDArray[np.float32]:
        """Mean of each block [N, blocks], shares of the signalled range."""
        parts = []
        for (_, black, white), grid, corners in self._runs:
            for first in range(0, len(corners), _AT_ONCE):
                means = grid.means(np.concatenate(corners[first : first + _AT_ONCE]))
                parts.append((means - np.float32(black)) / np.float32(white - black))
        return np.concatenate(parts)

    def figures(self) -> dict[str, Any]:
        """Amplitudes as shares of the brightness, 0 where nothing swings, and swings a second."""
        if len(self._times) < _LEAST_FRAMES:
            return {"status": "unmeasurable", "reason": f"fewer than {_LEAST_FRAMES} frames"}
        gains, known = _gains(self._blocks())
        if known < 0.5:
            return {"status": "unmeasurable", "reason": "most of the picture is too dark or too bright to tell"}
        parts = [_turns(*part) for part in _parts(np.array(self._times), gains)]
        flicker, flicker_hz = _greatest(parts, _FLICKER)
        pumping, pumping_hz = _greatest(parts, _PUMPING)
        return {
            "status": "ok",
            "flicker": flicker,
            "flicker_hz": flicker_hz,
            "pumping": pumping,
            "pumping_hz": pumping_hz,
            "frames_fraction": known,
        }


class Grid:
    """The blocks of planes of one size. They are summed in pictures of half the width and height, where those are large
    enough that rounding does not show in the mean of a block."""

    def __init__(self, height: int, width: int) -> None:
        self.shape = height, width
        self._half: Plane | None = None
        if min(height // _ROWS, width // _COLUMNS) >= _LEAST_SIDE:
            height, width = height // 2, width // 2
            self._half = np.empty((height, width), np.uint8)
        rows, columns = (np.linspace(0, s, n + 1).astype(int) for s, n in ((height, _ROWS), (width, _COLUMNS)))
        self._sums = np.empty((height + 1, width + 1), np.int32)
        self._places = rows[:, None] * (width + 1) + columns
        self._sizes = np.maximum(np.outer(np.diff(rows), np.diff(columns)), 1).astype(np.float32)

    def corners(self, plane: Plane) -> NDArray[np.int32]:
        """Sums of a plane up to the corners of its blocks [9, 13]."""
        if self._half is not None:
            height, width = self._half.shape
            even = plane[: 2 * height, : 2 * width]
            plane = cv2.resize(even, (width, height), self._half, interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.integral(plane, sum=self._sums).take(self._places))

    def means(self, corners: NDArray[np.int32]) -> NDArray[np.float32]:
        """Means of blocks [n, 96] from those sums [n*9, 13]."""
        at = corners.reshape(-1, _ROWS + 1, _COLUMNS + 1)
        below = at[:, 1:] - at[:, :-1]
        means = (below[:, :, 1:] - below[:, :, :-1]).astype(np.float32) / self._sizes
        return np.asarray(means.reshape(len(at), -1))


class _Run(NamedTuple):
    """Frames of one size and range: the sums up to the corners of each one's blocks."""

    form: tuple[tuple[int, ...], float, float]
    grid: Grid
    corners: list[NDArray[np.int32]]


def _gains(blocks: NDArray[np.float32]) -> tuple[NDArray[np.float64], float]:
    """Log ratio of each frame [N] to the one before, 0 where blocks do not agree, NaN at a cut; share of frames known.

    Args:
        blocks: [N, blocks], shares of the signalled range.
    """
    gains, known = np.zeros(len(blocks)), 0
    for first in range(0, len(blocks) - 1, _AT_ONCE):
        part = blocks[first : first + _AT_ONCE + 1]
        usable, logs = (part > _DARK) & (part < _BRIGHT), np.log(np.maximum(part, np.float32(1e-3)))
        both = usable[1:] & usable[:-1]
        change, count = np.where(both, np.diff(logs, axis=0), np.float32(np.inf)), both.sum(axis=1)
        middle, size = _medians(change, count), _medians(np.abs(change), count)
        near = (
            np.abs(change - middle[:, None])
            <= np.maximum(np.float32(0.5) * np.abs(middle), np.float32(_AGREE))[:, None]
        )
        enough, agree = count >= _BLOCKS, near.sum(axis=1) >= 0.5 * count
        cut = np.where(size > _CUT, np.nan, 0.0)
        gains[first + 1 : first + len(part)] = np.where(enough, np.where(agree, middle, cut), 0.0)
        known += int(enough.sum())
    return gains, known / max(1, len(blocks) - 1)


def _medians(rows: NDArray[np.float32], count: NDArray[np.int64]) -> NDArray[np.float32]:
    """The median of the first ``count`` values of each row once sorted; 0 where there are none."""
    ordered, n = np.sort(rows, axis=1), np.maximum(count, 1)[:, None]
    pair = np.take_along_axis(ordered, np.concatenate(((n - 1) // 2, n // 2), axis=1), axis=1)
    return np.where(count > 0, pair.sum(axis=1) / np.float32(2), np.float32(0))


def _parts(
    times_s: NDArray[np.float64], gains: NDArray[np.float64]
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Times and summed gain of each stretch between cuts."""
    starts = [0, *np.flatnonzero(np.isnan(gains)).tolist(), len(gains)]
    for first, end in pairwise(starts):
        if end - first > 1:
            yield times_s[first:end], np.cumsum(np.nan_to_num(gains[first:end]))


def _turns(times_s: NDArray[np.float64], gain: NDArray[np.float64]) -> list[_Turns]:
    """Where a stretch turns by each level, as long as it turns often enough for a band."""
    found: list[_Turns] = []
    for level in _LEVELS.tolist():  # what turns by a greater level turns by each smaller one too
        times_s, gain = turning_points(times_s, gain, 2 * level)
        if len(times_s) <= min(_FLICKER.swings, _PUMPING.swings):
            break
        found.append(_Turns(level, times_s, np.diff(times_s), np.abs(np.diff(gain)) <= _FADE))
    return found


def _greatest(parts: list[list[_Turns]], band: _Band) -> tuple[float, float]:
    """The greatest amplitude (half a swing) that enough swings in a row have, and their cycles a second."""
    amplitude = rate_hz = 0.0
    for part in parts:
        rates: list[tuple[float, float]] = []
        for level, times_s, lengths, small in part:
            if len(times_s) <= band.swings:
                break
            good = (lengths >= band.least_s) & (lengths <= band.most_s) & small
            runs = np.lib.stride_tricks.sliding_window_view(good, band.swings).all(axis=1)
            if runs.any():
                at = int(runs.argmax())
                rates.append((level, band.swings / (2.0 * float(times_s[at + band.swings] - times_s[at]))))
        if rates and rates[-1][0] > amplitude:
            amplitude = rates[-1][0]
            # At the greatest amplitude some swings are missed, as no two frames may show both of their ends.
            rate_hz = next(rate for level, rate in rates if level >= 0.5 * amplitude)
    return amplitude, rate_hz


def turning_points(
    times_s: NDArray[np.float64], values: NDArray[np.float64], least: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The points between which the values swing by ``least`` or more, both ends of the series among them."""
    high = low = 0
    rising: bool | None = None
    points = []
    series = values.tolist()
    for n, value in enumerate(series):
        if rising is not False and value > series[high]:
            high = n
        if rising is not True and value < series[low]:
            low = n
        if rising is not False and series[high] - value >= least:
            points.append(high)
            rising, low = False, n
        elif rising is not True and value - series[low] >= least:
            points.append(low)
            rising, high = True, n
    if rising is not None:
        points.append(high if rising else low)
    return times_s[points], values[points]


class FlickerLimits(Params):
    """How far the brightness of the whole picture may swing, as a share of it either way."""

    flicker_max: float = Field(default=0.02, gt=0, le=1, description="amplitude of what swings faster than 0.7 Hz")
    pumping_max: float = Field(default=0.05, gt=0, le=1, description="amplitude of slower swings, down to 0.1 Hz")


def judge(measurements: FigureTable, params: QcDecideParams) -> Judgements:
    """Both amplitudes against their limits; unweighted, a failure asks for a review."""
    figures, limits = measurements["flicker"], params.limits(FlickerLimits)
    flicker, pumping = figures.number("flicker"), figures.number("pumping")
    flickers = flicker >= limits.flicker_max
    pumps = ~flickers & (pumping >= limits.pumping_max)
    return judged(
        figures,
        Case(flickers, 0.0, "the picture flickers by {flicker:.1%} at {flicker_hz:.1f} Hz"),
        Case(pumps, 0.0, "the exposure pumps by {pumping:.1%} at {pumping_hz:.1f} Hz"),
        Case(True, 1.0, "the brightness is steady"),
        value=np.where(flickers, flicker, np.where(pumps, pumping, np.maximum(flicker, pumping))),
        flicker=flicker,
        flicker_hz=figures.number("flicker_hz"),
        pumping=pumping,
        pumping_hz=figures.number("pumping_hz"),
    )


_FIGURES = ("flicker", "flicker_hz", "pumping", "pumping_hz")

RULES = (Rule("flicker", "flicker", {"flicker": _FIGURES}, judge, limits=FlickerLimits),)
