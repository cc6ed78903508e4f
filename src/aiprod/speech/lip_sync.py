"""Whether a mouth and a sound go together: lips that touch in P, B and M against a mouth that is open in open vowels.

Nothing is learnt, so nothing has to be licensed: it takes how far the lips are apart, and when which phone is heard.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aiprod.speech.visemes import CLOSED, OPEN, VISEME_OF, mouth_at
from aiprod.speech.voice import TimedUnit

Floats = NDArray[np.float64]
SHIFTS = tuple(range(-5, 6))
REACH_S = 0.6
_NEAR_S = 0.12  # offsets within which a mouth that is found at one follows nearly as well
_LEAST_SHARE = 0.5  # of the pictures that must meet sound at an offset for it to count
_LEAST_PICTURES = 12
_LEAST_MOVEMENT = 0.004  # deviation of the aperture of a mouth that moves: half a pixel where eyes are 120 apart
_FOLLOWS_MIN = 0.35  # correlation from which a mouth does what is said: strange sounds seldom reach it
_HZ = 100
_FAR_S = 0.5  # by which a sound is shifted at least for the level of one that does not belong to the picture


@dataclass(frozen=True)
class MouthTrack:
    """A mouth in a film: times of the middle of each picture, and how far the lips are apart (NaN: no face)."""

    times_s: Floats
    aperture: Floats
    step_s: float


@dataclass(frozen=True)
class SyncResult:
    """What was measured.

    Attributes:
        auc: share of pairs (open vowel, bilabial) in which the vowel's mouth is wider; None without such phones.
        auc_mismatched: the same with sounds that are far from their place, in the mean.
        curve: AUC by how many frames the sound is taken to be late.
        late_frames: how much later the sound is than the picture; negative: earlier; None where the mouth does not do
            what is said, at any offset.
        correlation: of the mouth with what the phones ask of one, at that offset.
        correlation_mismatched: the same with sounds that are far from their place, in the mean.
    """

    bilabials: int
    open_vowels: int
    auc: float | None
    auc_mismatched: float | None
    curve: Mapping[int, float]
    late_frames: int | None
    correlation: float | None
    correlation_mismatched: float | None


def measure(seen: MouthTrack, phones: Sequence[TimedUnit], language: str) -> SyncResult:
    """Compare a mouth with the phones that are heard."""
    closed, wide = (_of_kind(phones, language, kind) for kind in (CLOSED, OPEN))
    far = _far_shifts(seen)
    curve = {n: value for n in SHIFTS if (value := _auc(seen, closed, wide, n * seen.step_s)) is not None}
    strange = [v for by in far if (v := _auc(seen, closed, wide, by)) is not None]
    scores = {n: _correlation(seen, phones, language, n * seen.step_s) for n in SHIFTS}
    known = {n: value for n, value in scores.items() if value is not None}
    best = max(known, key=lambda n: (known[n], -abs(n))) if known else None
    others = [v for by in far if (v := _correlation(seen, phones, language, by)) is not None]
    return SyncResult(
        len(closed),
        len(wide),
        curve.get(0),
        float(np.mean(strange)) if strange else None,
        curve,
        best if best is not None and known[best] >= _FOLLOWS_MIN else None,
        None if best is None else known[best],
        float(np.mean(others)) if others else None,
    )


@dataclass(frozen=True)
class Offset:
    """At which offset a mouth follows a sound best.

    Attributes:
        late_frames: how much later the sound is than the picture; negative: earlier.
        correlation: of the mouth with what the phones ask of one, there.
        rival: greatest correlation at the offsets that are not near it, at least 0.
        auc: share of pairs (open vowel, bilabial) in which the vowel's mouth is wider, there; None without such phones.
    """

    late_frames: int
    correlation: float
    rival: float
    auc: float | None


def offset_of(seen: MouthTrack, phones: Sequence[TimedUnit], language: str) -> Offset | None:
    """Look for the offset up to :data:`REACH_S` either way; None where the mouth or the phones hardly move.

    What it says is evidence only where ``correlation`` is high and ``rival`` far below it: some offset is always best.
    """
    end = max((phone.end_s for phone in phones), default=0.0)
    grid = np.arange(int(np.ceil(end * _HZ)) + 1) / _HZ
    expected = mouth_at(phones, language, grid)[:, 0]
    known = np.isfinite(seen.aperture)
    least = max(_LEAST_PICTURES, _LEAST_SHARE * known.sum())
    reach = round(REACH_S / seen.step_s)
    scores: dict[int, float] = {}
    for n in range(-reach, reach + 1):
        times = seen.times_s + n * seen.step_s
        there = known & (times >= 0) & (times <= end)
        if there.sum() < least:
            continue
        x, y = seen.aperture[there], np.interp(times[there], grid, expected)
        if x.std() >= _LEAST_MOVEMENT and y.std() > 1e-3:
            scores[n] = float(np.corrcoef(x, y)[0, 1])
    if not scores:
        return None
    best = max(scores, key=lambda n: (scores[n], -abs(n)))
    rival = max([0.0, *(v for n, v in scores.items() if abs(n - best) * seen.step_s > _NEAR_S)])
    closed, wide = (_of_kind(phones, language, kind) for kind in (CLOSED, OPEN))
    return Offset(best, scores[best], rival, _auc(seen, closed, wide, best * seen.step_s))


def area_under_curve(low: Floats, high: Floats) -> float:
    """Share of pairs in which the second is the greater, ties by half (the statistic of Mann and Whitney)."""
    less = (low[:, None] < high[None]).mean()
    return float(less + 0.5 * (low[:, None] == high[None]).mean())


def correlation(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """Of two curves, as far as both go and are known; 0 where one is level."""
    length = min(len(a), len(b))
    x, y = np.asarray(a[:length], np.float64), np.asarray(b[:length], np.float64)
    there = np.isfinite(x) & np.isfinite(y)
    x, y = x[there], y[there]
    return float(np.corrcoef(x, y)[0, 1]) if len(x) > 2 and x.std() > 1e-6 and y.std() > 1e-6 else 0.0


def _of_kind(phones: Sequence[TimedUnit], language: str, kind: frozenset[str]) -> list[TimedUnit]:
    return [phone for phone in phones if VISEME_OF[language].get(phone.name) in kind]


def _far_shifts(seen: MouthTrack) -> list[float]:
    length = len(seen.times_s) * seen.step_s
    return [float(by) for by in np.arange(_FAR_S, length - _FAR_S, 3 * seen.step_s)]


def _auc(seen: MouthTrack, closed: Sequence[TimedUnit], wide: Sequence[TimedUnit], later_s: float) -> float | None:
    """With the sound ``later_s`` earlier than it is: at 0 as it is heard. Beyond the end it goes on at the start."""
    low, high = (_means(seen, phones, later_s) for phones in (closed, wide))
    return area_under_curve(low, high) if len(low) and len(high) else None


def _means(seen: MouthTrack, phones: Sequence[TimedUnit], later_s: float) -> Floats:
    """Mean aperture in each phone, at least in one picture; what has no face is left out."""
    means = []
    length = len(seen.times_s) * seen.step_s
    for phone in phones:
        middle = (phone.start_s + phone.end_s) / 2 - later_s
        half = max((phone.end_s - phone.start_s) / 2, seen.step_s / 2)
        apart = np.abs((seen.times_s - middle + length / 2) % max(length, 1e-9) - length / 2)
        values = seen.aperture[apart <= half]
        if len(values) and np.isfinite(values).any():
            means.append(float(np.nanmean(values)))
    return np.array(means)


def _correlation(seen: MouthTrack, phones: Sequence[TimedUnit], language: str, later_s: float) -> float | None:
    end = max((phone.end_s for phone in phones), default=0.0)
    times = seen.times_s + later_s
    if later_s > len(SHIFTS) * seen.step_s and end > 0:
        times = times % end  # far from its place
    there = np.isfinite(seen.aperture) & (times >= 0) & (times <= end)
    if there.sum() < 8:
        return None
    order = np.argsort(times)
    expected = np.empty(len(times))
    expected[order] = mouth_at(phones, language, times[order].clip(0, end))[:, 0]
    x, y = seen.aperture[there], expected[there]
    if x.std() < 1e-6 or y.std() < 1e-6:
        return None
    return float(np.corrcoef(x, y)[0, 1])
