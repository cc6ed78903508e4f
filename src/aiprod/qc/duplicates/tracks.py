"""Words of fingerprints, one clip's after the other's, on disk where they are many, and how far two clips agree.

All functions are arithmetic on arrays of 64-bit words (see ``checks.fingerprint``).
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiprod.base.spool import ArraySpool

Words = NDArray[np.uint64]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

LOWER = np.uint64(0xFFFFFFFF)
HALF = np.uint64(32)
_PAIRS, _SLOTS = 1 << 17, 1 << 18  # whose words are in memory at a time, and of these, what is compared at a time
_GAP = 1 << 12  # words between two clips over which reading on is cheaper than reading again


@dataclass(frozen=True)
class FingerprintTrack:
    """Words of all clips one after the other: those of clip ``i`` are ``words[starts[i]:starts[i + 1]]``."""

    words: ArraySpool
    starts: Ints

    @property
    def lengths(self) -> Ints:
        """Words of each clip."""
        return np.diff(self.starts)

    def parts(self, words: int) -> Iterator[tuple[int, int]]:
        """Clips from the first to before the second, of about so many words."""
        clip, count = 0, self.starts.size - 1
        while clip < count:
            end = int(np.searchsorted(self.starts, self.starts[clip] + words, side="left"))
            end = min(count, max(end, clip + 1))
            yield clip, end
            clip = end

    def of(self, clips: Ints) -> tuple[Words, Ints]:
        """The words of some clips, ascending, and where those of each begin among them."""
        starts, ends = self.starts[clips], self.starts[clips + 1]
        begins = np.flatnonzero(np.append(True, starts[1:] - ends[:-1] > _GAP)) if clips.size else clips
        runs, at, length = [], np.empty(clips.size, np.int64), 0
        for begin, end in zip(begins.tolist(), [*begins[1:].tolist(), clips.size], strict=True):
            first, last = int(starts[begin]), int(ends[end - 1])
            runs.append(self.words.slice(first, last))
            at[begin:end] = starts[begin:end] - first + length
            length += last - first
        return np.concatenate(runs) if runs else np.empty(0, np.uint64), at


def track_of(figures: Sequence[Mapping[str, Any]], name: str) -> FingerprintTrack:
    """The words that the measurements hold under ``name``; clips without any have none."""
    words, counts = ArraySpool("<u8"), np.zeros(len(figures) + 1, np.int64)
    for number, found in enumerate(figures, start=1):
        content = words_in(found, name)
        counts[number] = len(content) // 8
        words.append(np.frombuffer(content, "<u8"))
    return FingerprintTrack(words, np.cumsum(counts))


def words_in(figures: Mapping[str, Any], name: str) -> bytes:
    """The words that a fingerprint has under ``name``, eight bytes each."""
    return base64.b64decode(figures[name]) if figures.get(name) else b""


@dataclass(frozen=True)
class Pairs:
    """Proposed pairs: slot ``i`` of clip ``first`` is shown with slot ``i - shift`` of clip ``second``."""

    first: Ints
    second: Ints
    shift: Ints
    mirrored: NDArray[np.bool_]

    def of(self, which: Any) -> Pairs:
        """Some of them."""
        return Pairs(self.first[which], self.second[which], self.shift[which], self.mirrored[which])


@dataclass(frozen=True)
class Agreement:
    """Of each proposed pair, over the slots that both clips have.

    Attributes:
        overlap: shared slots over the slots of the shorter clip.
        count: slots in which both words say something; ``either``: in which one of them does.
        differing: bits that differ, mean over ``count``; of sound, the share of decided bits that contradict.
    """

    overlap: Floats
    count: Ints
    either: Ints
    differing: Floats


def compare(track: FingerprintTrack, pairs: Pairs, *, sound: bool = False) -> Agreement:
    """Count over the overlap of each pair, in bounded memory. Pairs of clips that lie together are read together."""
    parts = [_compared(track, pairs.of(slice(at, at + _PAIRS)), sound) for at in range(0, pairs.first.size, _PAIRS)]
    if not parts:
        return Agreement(np.empty(0), np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
    return Agreement(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Agreement)))


def _compared(track: FingerprintTrack, pairs: Pairs, sound: bool) -> Agreement:
    size = pairs.first.size
    clips, which = np.unique(np.concatenate((pairs.first, pairs.second)), return_inverse=True)
    words, starts = track.of(clips)
    lengths = track.starts[clips + 1] - track.starts[clips]
    begins, lengths = (values[which].reshape(2, size) for values in (starts, lengths))
    low = np.maximum(0, pairs.shift)
    shared = np.maximum(0, np.minimum(lengths[0], lengths[1] + pairs.shift) - low)
    found = Agreement(
        shared / np.maximum(1, lengths.min(axis=0)),
        np.zeros(size, np.int64),
        np.zeros(size, np.int64),
        np.zeros(size),
    )
    a, b = begins[0] + low, begins[1] + low - pairs.shift
    ends, begin = np.cumsum(shared), 0
    while begin < size:
        before = int(ends[begin - 1]) if begin else 0
        end = max(begin + 1, int(np.searchsorted(ends, before + _SLOTS, side="right")))
        part = slice(begin, end)
        found.count[part], found.either[part], found.differing[part] = _count(
            words, (a[part], b[part], shared[part]), pairs.mirrored[part], sound
        )
        begin = end
    return found


def _count(
    words: Words, at: tuple[Ints, Ints, Ints], mirrored: NDArray[np.bool_], sound: bool
) -> tuple[Ints, Ints, Floats]:
    """``count``, ``either`` and ``differing`` of some pairs.

    Args:
        at: where the shared slots of each begin in ``words``, of either clip, and how many there are.
    """
    first, second, shared = at
    size = shared.size
    row = np.repeat(np.arange(size), shared)
    within = np.arange(row.size) - np.repeat(np.cumsum(shared) - shared, shared)
    a, b = words[first[row] + within], words[second[row] + within]
    both = (a != 0) & (b != 0)
    count = np.bincount(row[both], minlength=size)
    if sound:
        against = np.bitwise_count(a & ((b >> HALF) | (b << HALF)))
        weight = against.astype(np.float64) + np.bitwise_count(a & b)
        whole = np.bincount(row, weights=weight, minlength=size)
        bits = np.bincount(row, weights=against, minlength=size) / np.maximum(whole, 1)
        bits[whole == 0] = 1.0
    else:
        turn = np.where(mirrored, LOWER, np.uint64(0))[row]
        wrong = np.where(both, np.bitwise_count(a ^ b ^ turn), 0)
        bits = np.bincount(row, weights=wrong, minlength=size) / np.maximum(count, 1)
        bits[count == 0] = 64.0
    return count, np.bincount(row[(a != 0) | (b != 0)], minlength=size), bits
