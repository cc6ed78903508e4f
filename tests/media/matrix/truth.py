"""Compares what readers give with what a film holds, picture by picture and sample by sample."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence

import numpy as np

from tests.media.matrix.films import Part, Truth
from tests.media.matrix.marks import LOUD, RATE

_LATEST_S = 0.001  # sound may lie this far from its place
_WINDOW, _STEP = RATE // 5, RATE // 10
_SEARCH = RATE // 25  # 40 ms
_ALIKE = 0.6  # correlation of coded sound with what was coded
_SHORT = RATE // 400  # 2.5 ms
_LAST = RATE // 20  # an end that is missing by less is the coder's


def judge_pictures(seen: Sequence[tuple[float, int | None]], part: Part, rate: float) -> list[str]:
    """What is wrong with pictures that are all to be given once, at their times."""
    wrong = judge_numbers([n for _, n in seen], [n for _, n in part.pictures])
    if seen and part.pictures:
        times = {n: at for at, n in part.pictures}
        # on the clock of the first picture that both have
        known = [(at, times[n]) for at, n in seen if n in times]
        if known:
            shift = known[0][0] - known[0][1]
            late = max(abs(at - true - shift) for at, true in known)
            if late > 0.5 / rate:
                wrong.append(f"times off by up to {late * 1000:.0f} ms")
    return wrong


def judge_numbers(seen: Sequence[int | None], expected: Sequence[int]) -> list[str]:
    """What is lost, doubled, foreign or in another order."""
    wrong = []
    counted = Counter(n for n in seen if n is not None)
    lost = [n for n in expected if n not in counted]
    doubled = [n for n in expected if counted[n] > 1]
    if lost:
        wrong.append(f"{len(lost)} of {len(expected)} pictures lost ({_some(lost)})")
    if doubled:
        wrong.append(f"{len(doubled)} pictures doubled ({_some(doubled)})")
    if foreign := set(counted) - set(expected):
        wrong.append(f"{len(foreign)} foreign pictures ({_some(sorted(foreign))})")
    if torn := sum(n is None for n in seen):
        wrong.append(f"{torn} pictures torn or mixed")
    if any(a > b for a, b in _pairs([n for n in seen if n is not None])):
        wrong.append("pictures in another order")
    return wrong


def judge_grid(seen: Sequence[tuple[float, int | None]], part: Part, rate: float) -> list[str]:
    """What is wrong with pictures at a constant rate: each is the one nearest to its time.

    Args:
        seen: times on the part's clock.
    """
    times = np.array([at for at, _ in part.pictures])
    when = {n: at for at, n in part.pictures}
    wrong = []
    far = 0
    for at, number in seen:
        if number not in when:
            continue
        nearest = float(np.abs(times - at).min())
        far += abs(when[number] - at) > max(nearest + 0.25 / rate, 0.5 / rate)
    if far:
        wrong.append(f"{far} pictures far from their times")
    if torn := sum(n is None for _, n in seen):
        wrong.append(f"{torn} pictures torn or mixed")
    if foreign := {n for _, n in seen if n is not None} - set(when):
        wrong.append(f"{len(foreign)} foreign pictures ({_some(sorted(foreign))})")
    if any(a > b for a, b in _pairs([n for _, n in seen if n is not None])):
        wrong.append("pictures in another order")
    return wrong


def judge_sound(heard: np.ndarray | None, part: Part, lossless: bool, start: int = 0, whole: bool = True) -> list[str]:
    """What is wrong with sound.

    Args:
        heard: from sample ``start`` of the part on.
        whole: whether it has to reach the end of the part.
    """
    if heard is None:
        return ["no sound"] if part.sound.any() else []
    true, sure = part.sound[:, start:], part.sure[start:]
    wrong = []
    sounding = np.flatnonzero(true.any(axis=0))
    if whole and len(sounding) and heard.shape[1] < sounding[-1] - _LAST:
        wrong.append(f"sound ends {(sounding[-1] - heard.shape[1]) / RATE * 1000:.0f} ms early")
    length = min(true.shape[1], heard.shape[1])
    true, sure, heard = true[:, :length], sure[:length], heard[:, :length]
    return wrong + (_unequal(heard, true, sure) if lossless else _unlike(heard, true, sure))


def _unequal(heard: np.ndarray, true: np.ndarray, sure: np.ndarray) -> list[str]:
    """Lossless: the same samples, all of them moved by one amount at most."""
    if np.array_equal(heard[:, sure], true[:, sure]):
        return []
    for first, behind in _stretches(true.any(axis=0)):
        if not _same(heard, true, sure, first, behind):
            different = (np.abs(heard - true) > 1e-6).any(axis=0) & sure
            return [f"lossless sound: {different.sum()} of {sure.sum()} samples differ", *_unlike(heard, true, sure)]
    return [words for words in _unlike(heard, true, sure) if "none" in words]


def _same(heard: np.ndarray, true: np.ndarray, sure: np.ndarray, first: int, behind: int) -> bool:
    """Whether a stretch of ``true`` is in ``heard``, moved by what rounded stamps may move it; ends apart."""
    most = round(_LATEST_S * RATE)
    here = np.arange(first + most, min(behind, heard.shape[1]) - most)
    here = here[sure[here]]
    return any(np.array_equal(heard[:, here + lag], true[:, here]) for lag in range(-most, most + 1))


def _stretches(sounding: np.ndarray) -> list[tuple[int, int]]:
    """Where sound is, pauses of 20 ms and more between."""
    places = np.flatnonzero(sounding)
    if not len(places):
        return []
    breaks = np.flatnonzero(np.diff(places) > RATE // 50)
    return list(zip(places[[0, *(breaks + 1)]].tolist(), (places[[*breaks, -1]] + 1).tolist(), strict=True))


def _unlike(heard: np.ndarray, true: np.ndarray, sure: np.ndarray) -> list[str]:
    """Coded: aligned everywhere, loud where it is to be, silent elsewhere."""
    wrong = []
    lags, unlike, windows = [], 0, 0
    for at in range(0, true.shape[1] - _WINDOW, _STEP):
        here = slice(at, at + _WINDOW)
        if not sure[here].all() or not (np.abs(true[:, here]).max(axis=0) > 0).mean() > 0.9:
            continue
        windows += 1
        for a, b in zip(heard, true, strict=True):
            lag, alike = _lag(a, b, at)
            if alike < _ALIKE:
                unlike += 1
            else:
                lags.append(lag)
    if unlike:
        wrong.append(f"sound is another in {unlike} of {2 * windows} windows")
    if lags and (worst := max(lags, key=abs)) and abs(worst) > _LATEST_S * RATE:
        wrong.append(f"sound off by up to {worst / RATE * 1000:+.1f} ms (median {np.median(lags) / RATE * 1000:+.1f})")
    energy = _energy(heard)
    meant = _energy(true)
    holes = (energy < (0.2 * LOUD) ** 2 / 2) & (meant > (0.8 * LOUD) ** 2 / 2) & _all(sure)
    if holes.any():
        runs = int((np.diff(holes.astype(int), prepend=0) == 1).sum())
        wrong.append(f"{runs} holes in the sound ({holes.sum() / RATE * 1000:.0f} ms)")
    if ((energy > (0.5 * LOUD) ** 2 / 2) & (meant == 0) & _all(sure)).any():
        wrong.append("sound where there is none")
    return wrong


def _lag(heard: np.ndarray, true: np.ndarray, at: int) -> tuple[int, float]:
    """How many samples late a window of ``true`` is heard, and how alike the two are."""
    window = true[at : at + _WINDOW].astype(np.float64)
    low, high = max(0, at - _SEARCH), min(heard.size, at + _WINDOW + _SEARCH)
    around = heard[low:high].astype(np.float64)
    if around.size < _WINDOW:
        return 0, 0.0
    size = 1 << int(np.ceil(np.log2(around.size + _WINDOW)))
    cross = np.fft.irfft(np.fft.rfft(around, size) * np.conj(np.fft.rfft(window, size)), size)
    cross = cross[: around.size - _WINDOW + 1]
    best = int(np.argmax(cross))
    found = around[best : best + _WINDOW]
    norm = float(np.linalg.norm(window) * np.linalg.norm(found))
    return low + best - at, float(cross[best]) / norm if norm else 0.0


def _energy(sound: np.ndarray) -> np.ndarray:
    """Mean square over the 2.5 ms around each sample, the louder channel."""
    total = np.cumsum(np.pad(sound.astype(np.float64) ** 2, ((0, 0), (_SHORT // 2 + 1, _SHORT - _SHORT // 2))), axis=1)
    return (total[:, _SHORT:] - total[:, :-_SHORT])[:, : sound.shape[1]].max(axis=0) / _SHORT


def _all(sure: np.ndarray) -> np.ndarray:
    if sure.all():
        return sure
    unsure = np.cumsum(np.pad(~sure, (_SHORT + 1, _SHORT - 1)), dtype=np.int64)
    return unsure[2 * _SHORT :] == unsure[: -2 * _SHORT]


def within_pictures(part: Part, rate: float) -> Part:
    """The part without the sound that outlasts its pictures."""
    ends = round((part.pictures[-1][0] + 1 / rate) * RATE)
    return Part(part.pictures, part.size, part.sound[:, :ends], part.sure[:ends])


def part_of(numbers: Sequence[int | None], truth: Truth) -> Part | None:
    """The part that most of a clip's pictures are from."""
    known = [n for n in numbers if n is not None]
    scored = [(sum(n in {m for _, m in part.pictures} for n in known), part) for part in truth.parts]
    best = max(scored, key=lambda pair: pair[0])
    return best[1] if best[0] else None


def _pairs(values: Sequence[int]) -> list[tuple[int, int]]:
    return list(itertools.pairwise(values))


def _some(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers[:4])) + (", …" if len(numbers) > 4 else "")
