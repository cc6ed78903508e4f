"""Where decoded sound is in time: joined by the number of its samples, with the time stamps as a guide.

Stamps of real files jitter: Matroska and Flash Video round them to a millisecond, WebM with Vorbis sound and films of
phones miss by ten and more. A decoder's output is contiguous all the same. So sound follows sound without a seam, and
only what stamps say with one voice moves it: a step that lasts is a gap (or an overlap, where two parts were joined),
a slow drift is a clock that runs fast or slow, and a step far back is the beginning of another recording.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import numpy as np

STEP_S = 0.015  # a lost packet is longer (AAC 21 ms, MP3 24, Opus 20), jitter that lasts is smaller
RESET_S = 0.5  # no overlap of joined parts is longer
_LOOK_S = 1.0  # how long a step has to last
_LEAST = 3  # stamps that bear witness to a step, unless it is a large one
_LARGE_S = 0.06
_ROUNDING_S = 0.0006  # half of Matroska's millisecond, and a little
_ALONE_S = 0.0004  # where all others agree, a first stamp so far off was rounded twice (Opus without its priming)
_FIRST_S = 1.0
_SETTLE_S = 2.0
_BLOCK_S = 5.0
_DRIFT_S = 0.0015


@dataclass(frozen=True)
class FrameRun:
    """Frames ``first`` to ``behind - 1``, contiguous from ``start_s`` on.

    Attributes:
        knots: (seconds of decoded sound, seconds that they are heard later than a count of samples says) where stamps
            drift away from the count; empty where they do not.
    """

    first: int
    behind: int
    start_s: float
    knots: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class PlacedRuns:
    """Attributes:
    runs: in the order of decoding.
    reset: number of the first frame of another recording; it and what follows is in no run. None = there is none.
    jitter_s: the largest deviation of a stamp from where its sound was placed.
    """

    runs: tuple[FrameRun, ...] = ()
    reset: int | None = None
    jitter_s: float = field(default=0.0)


def place(stamps_s: np.ndarray, lengths_s: np.ndarray, *, from_start: bool = True, start_s: float = 0.0) -> PlacedRuns:
    """Lay decoded frames on the clock of their stamps.

    Args:
        stamps_s: time stamp of each frame in the order of decoding; NaN where it has none.
        lengths_s: seconds that each frame sounds.
        from_start: the first frame is the stream's first, so its stamp is exact where it can be; one from the middle
            is rounded, and the middle of many tells more.
        start_s: when the first frame sounds if no frame has a stamp.
    """
    count = len(stamps_s)
    if not count:
        return PlacedRuns()
    before = np.concatenate(([0.0], np.cumsum(lengths_s)))
    offsets = stamps_s - before[:-1]  # equal while sound is contiguous and stamps are right
    known = np.flatnonzero(np.isfinite(offsets))
    if not known.size:
        return PlacedRuns((FrameRun(0, count, start_s),))
    offset, at = offsets[known], before[:-1][known]  # of frames with a stamp
    edges, reset = _steps(offset, at)
    second = (edges[2] if len(edges) > 2 else known.size) - 1
    if from_start and edges[1:2] == [1] and second >= _LEAST and 0 < offset[1] - offset[0] < _FIRST_S:
        # Writers of fragmented MP4 and Ogg stamp the first packet zero and the second right: the first is no island.
        offset[0] = offset[1]
        del edges[1]
    stops = [*edges[1:], known.size if reset is None else reset]
    runs, jitter = [], 0.0
    for n, (a, b) in enumerate(zip(edges, stops, strict=True)):
        first = 0 if n == 0 else int(known[a])
        last = b == known.size
        behind = count if last else int(known[b])
        exact = from_start and n == 0
        anchor = _anchor(offset[a:b], at[a:b], exact)
        knots = _drift(offset[a:b] - anchor, at[a:b] - before[first])
        runs.append(FrameRun(first, behind, anchor + before[first], knots))
        line = np.array(knots or [(0.0, 0.0)])
        late = np.interp(at[a:b] - before[first], line[:, 0], line[:, 1])
        jitter = max(jitter, float(np.abs(offset[a:b] - anchor - late).max()))
    return PlacedRuns(tuple(runs), None if reset is None else int(known[reset]), jitter)


def _steps(offset: np.ndarray, at: np.ndarray) -> tuple[list[int], int | None]:
    """Where runs begin, and where another recording does."""
    edges, base, i = [0], _level(offset, at, 0), 0
    size = len(offset)
    while i < size:
        end = max(i + 1, int(np.searchsorted(at, at[i] + _LOOK_S)))
        odd = np.flatnonzero(np.abs(offset[i:end] - base) > STEP_S)
        if not odd.size:
            base = float(np.median(offset[i:end]))  # follows a slow drift
            i = end
            continue
        i += int(odd[0])
        end = min(size, max(i + 5, int(np.searchsorted(at, at[i] + _LOOK_S))))
        ahead = offset[i:end]
        returning = int((np.abs(ahead - base) <= STEP_S).sum())
        level = _level(offset, at, i)
        lasting = 2 * returning < ahead.size and 2 * int((np.abs(ahead - level) <= STEP_S).sum()) >= min(2, ahead.size)
        if lasting and abs(level - base) > STEP_S and (ahead.size >= _LEAST or abs(level - base) > _LARGE_S):
            if level - base < -RESET_S:
                return edges, i
            if i > edges[-1]:
                edges.append(i)
            base = level
        i += 1
    return edges, None


def _level(offset: np.ndarray, at: np.ndarray, i: int) -> float:
    """The middle of the stamps that agree with frame ``i`` and follow it soon."""
    end = max(i + 5, int(np.searchsorted(at, at[i] + _LOOK_S)))
    near, level = offset[i:end], float(offset[i])
    for _ in range(4):  # the frame itself may be at the edge of the jitter
        agree = near[np.abs(near - level) <= STEP_S]
        if not agree.size:
            break
        level = float(np.median(agree))
    return level


def _anchor(offset: np.ndarray, at: np.ndarray, exact: bool) -> float:
    near = offset[: max(3, int(np.searchsorted(at, at[0] + _SETTLE_S)))]
    middle = float(np.median(near))
    alone = abs(middle - offset[0]) > _ALONE_S and float(np.median(np.abs(near - middle))) < _ALONE_S / 4
    return float(offset[0]) if exact and not alone and abs(middle - offset[0]) <= _ROUNDING_S else middle


def _drift(late: np.ndarray, at: np.ndarray) -> tuple[tuple[float, float], ...]:
    """Knots of the line that stamps follow away from the count of samples; empty where they only jitter."""
    if not late.size or float(np.abs(late).max()) <= _DRIFT_S:
        return ()
    block = np.floor(at / _BLOCK_S).astype(int)
    cuts = np.flatnonzero(np.diff(block, prepend=block[0] - 1))
    cuts = np.append(cuts, late.size)
    blocks = [slice(a, b) for a, b in itertools.pairwise(cuts.tolist())]
    if len(blocks) > 1 and blocks[-1].stop - blocks[-1].start < blocks[0].stop - blocks[0].start:
        blocks[-2:] = [slice(blocks[-2].start, blocks[-1].stop)]  # too few witnesses of its own
    middles = np.array([np.median(late[b]) for b in blocks])
    times = np.array([np.median(at[b]) for b in blocks])
    spread = np.array([np.median(np.abs(late[b] - m)) for b, m in zip(blocks, middles, strict=True)])
    sure = 6 * 1.25 * 1.48 * spread / np.sqrt([b.stop - b.start for b in blocks])
    if not (np.abs(middles) > np.maximum(_DRIFT_S, sure)).any():
        return ()
    if len(blocks) > 1:  # to both ends of the run
        slope = np.diff(middles) / np.diff(times)
        middles = np.concatenate(
            ([middles[0] - slope[0] * times[0]], middles, [middles[-1] + slope[-1] * (at[-1] - times[-1])])
        )
        times = np.concatenate(([0.0], times, [max(at[-1], times[-1] + 1e-3)]))
    return tuple(zip(times.tolist(), middles.tolist(), strict=True))
