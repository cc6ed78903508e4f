"""The index that proposes pairs of clips of whose fingerprints some words are close.

It sorts the words by rotated bits and looks only at neighbours (Charikar, "Similarity Estimation Techniques from
Rounding Algorithms", 2002), so its work grows with n·log n, not with the number of pairs. Words whose rotated bits
begin alike are sorted together, and pairs are proposed a block of clips at a time: memory does not grow with the clips.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from aiprod.base.spool import ArraySpool
from aiprod.qc.duplicates.tracks import HALF, LOWER, FingerprintTrack, Ints, Pairs, Words

_ROTATIONS = (0, 4, 8, 12, 16, 20, 24, 28)
_NEIGHBOURS = 3
_WORD_BITS_MAX = 14
_COLLAPSE_BITS = 3
_PLACE_BITS, _SHIFT_BITS = 24, 14
_AT_ONCE = 1 << 18  # words that are sorted together
_BLOCK, _PAIRS = 1 << 20, 1 << 18  # words of clips whose pairs are compared together, and how many of these at a time
_PREFIX_BITS = 12
_BUFFER = 1 << 17  # bytes in memory of each group of words or pairs that is on disk
_FOUND = np.dtype([("word", "<u8"), ("at", "<u4")])
Mask = NDArray[np.bool_]


def propose(track: FingerprintTrack, *, mirrors: bool) -> Iterator[Pairs]:
    """Pairs of clips of which some words are close; those of some clips at a time, sorted, none twice.

    Words that stand still (slides) say that two clips show the same, and not with which shift: where a picture begins
    to stand is looked up by itself, and each pair is proposed with one beginning too.

    Only the upper halves are looked up: the lower half of a picture's word is inverted in a mirrored copy, and that of
    a sound's word says little that the upper half does not.

    Args:
        mirrors: whether a word with an inverted lower half is close too.
    """
    blocks = int(track.starts[-1]) // _BLOCK + 1
    proposed = [ArraySpool("<i8", kept=_BUFFER if blocks > 1 else None) for _ in range(blocks)]
    for chosen in _worth_looking_up(track):
        for turn in _ROTATIONS:
            for words, places in chosen.alike(turn):
                packed = _close(track, words, places, turn, mirrors)
                block = track.starts[_first_of(packed)] // _BLOCK
                ends = np.searchsorted(block, np.arange(blocks + 1)).tolist()
                for number, (begin, end) in enumerate(pairwise(ends)):
                    if end > begin:
                        proposed[number].append(packed[begin:end])
    for number in range(blocks):
        some, proposed[number] = proposed[number], ArraySpool("<i8")
        packed = np.unique(some.slice(0, len(some)))
        second = _second_of(packed)  # those of clips that lie together are compared together
        packed = packed[np.argsort((track.starts[second] // _BLOCK).astype(np.uint16), kind="stable")]
        for begin in range(0, packed.size, _PAIRS):
            yield _unpacked(packed[begin : begin + _PAIRS])


def widened(pairs: Pairs, most: int) -> Pairs:
    """The pairs with every shift up to ``most`` slots to either side too: looks alone may not tell which."""
    near = np.arange(-most, most + 1)
    count = near.size
    packed = _packed(
        np.repeat(pairs.first, count),
        np.repeat(pairs.second, count),
        (pairs.shift[:, None] + near).ravel(),
        np.repeat(pairs.mirrored, count),
    )
    return _unpacked(np.unique(packed))


def in_order(parts: list[Pairs]) -> Pairs:
    """Pairs that came in parts, sorted, each once."""
    packed = [_packed(pairs.first, pairs.second, pairs.shift, pairs.mirrored) for pairs in parts]
    return _unpacked(np.unique(np.concatenate([np.empty(0, np.int64), *packed])))


def _close(track: FingerprintTrack, words: Words, places: Ints, turn: int, mirrors: bool) -> Ints:
    """Pairs of clips with words that are neighbours, sorted by rotated bits and then by their places, and close."""
    order = _sorted(words, turn)
    words, places = words[order], places[order]
    a, b = [], []
    for step in range(1, _NEIGHBOURS + 1):
        differing = words[:-step] ^ words[step:]
        near = np.bitwise_count(differing) <= _WORD_BITS_MAX
        if mirrors:
            near |= np.bitwise_count(differing ^ LOWER) <= _WORD_BITS_MAX
        at = np.flatnonzero(near)
        a.append(at)
        b.append(at + step)
    one, other = np.concatenate(a), np.concatenate(b)
    apart_by = words[one] ^ words[other]
    mirrored = mirrors & (np.bitwise_count(apart_by ^ LOWER) < np.bitwise_count(apart_by))
    one, other = places[one], places[other]
    owners = (np.searchsorted(track.starts, place, side="right") - 1 for place in (one, other))
    first, second = owners
    apart = first != second
    one, other, first, second, mirrored = (values[apart] for values in (one, other, first, second, mirrored))
    shift = (one - track.starts[first]) - (other - track.starts[second])
    swap = first > second
    first, second, shift = np.where(swap, second, first), np.where(swap, first, second), np.where(swap, -shift, shift)
    packed = [_packed(first, second, each, mirrored) for each in (shift, np.zeros_like(shift))]
    return np.unique(np.concatenate(packed))


class _Chosen:
    """Words that are looked up, with their places, ascending."""

    def __init__(self) -> None:
        self._found = ArraySpool(_FOUND)
        self._counts = np.zeros((len(_ROTATIONS), 1 << _PREFIX_BITS), np.int64)

    def __len__(self) -> int:
        return len(self._found)

    def append(self, words: Words, places: Ints) -> None:
        """Choose some more."""
        found = np.empty(words.size, _FOUND)
        found["word"], found["at"] = words, places
        self._found.append(found)
        for number, turn in enumerate(_ROTATIONS):
            self._counts[number] += np.bincount(_prefix(words, turn), minlength=1 << _PREFIX_BITS)

    def alike(self, turn: int) -> Iterator[tuple[Words, Ints]]:
        """Words whose rotated bits begin alike, with their places; in the end all.

        Before them come the last ones of those before, which may be neighbours of the first.
        """
        if len(self) <= _AT_ONCE:
            found = self._found.slice(0, len(self))
            yield found["word"], found["at"].astype(np.int64)
            return
        group = _groups(self._counts[_ROTATIONS.index(turn)])
        groups = [ArraySpool(_FOUND, kept=_BUFFER) for _ in range(int(group[-1]) + 1)]
        for start in range(0, len(self), _AT_ONCE):
            found = self._found.slice(start, min(start + _AT_ONCE, len(self)))
            mine = group[_prefix(found["word"], turn)]
            order = np.argsort(mine, kind="stable")
            ends = np.searchsorted(mine[order], np.arange(len(groups) + 1)).tolist()
            for number, (begin, end) in enumerate(pairwise(ends)):
                if end > begin:
                    groups[number].append(found[order[begin:end]])
        last = np.empty(0, _FOUND)
        for number in range(len(groups)):
            some, groups[number] = groups[number], ArraySpool(_FOUND)
            found = np.concatenate((last, some.slice(0, len(some))))
            yield found["word"], found["at"].astype(np.int64)
            last = found[_last(found["word"], turn)]


def _groups(counts: Ints) -> NDArray[np.uint16]:
    """The number of the group that each prefix is in: neighbouring ones, of so many words together."""
    group = np.empty(counts.size, np.uint16)  # of 16 bits, they are sorted by radix
    number, size = 0, 0
    for prefix, count in enumerate(counts.tolist()):
        if size and size + count > _AT_ONCE:
            number, size = number + 1, 0
        group[prefix], size = number, size + count
    return group


def _worth_looking_up(track: FingerprintTrack) -> list[_Chosen]:
    """Words that say something and are not about the same as the one before in the same clip (a standing picture).

    Returns:
        Those with every eighth of all words, as a slow change may hide between small steps; and if that says more,
        those alone.
    """
    whole, alone = _Chosen(), _Chosen()
    for clip, end in track.parts(_AT_ONCE):
        begin = int(track.starts[clip])
        words = track.words.slice(begin, int(track.starts[end]))
        if not words.size:
            continue
        lengths = np.diff(track.starts[clip : end + 1])
        within = np.arange(words.size) - np.repeat(track.starts[clip:end] - begin, lengths)
        begun = words != 0
        same = (np.bitwise_count(words[1:] ^ words[:-1]) < _COLLAPSE_BITS) & (within[1:] > 0) & begun[:-1]
        every = begun & (within % 8 == 0)
        begun[1:] &= ~same
        for chosen, places in ((whole, np.flatnonzero(begun | every)), (alone, np.flatnonzero(begun))):
            chosen.append(words[places], places + begin)
    return [whole, alone] if len(alone) < len(whole) else [whole]


def _sorted(words: Words, turn: int) -> Ints:
    """The order of some words by their rotated bits; equal ones stay as they are."""
    return (np.sort(_with_places(words, turn)) & LOWER).astype(np.int64)


def _last(words: Words, turn: int) -> Ints:
    """The last ones in that order, in the order of their places."""
    packed, most = _with_places(words, turn), min(_NEIGHBOURS, words.size)
    return np.sort((np.partition(packed, words.size - most)[words.size - most :] & LOWER).astype(np.int64))


def _with_places(words: Words, turn: int) -> Words:
    return (_rotated(words, turn).astype(np.uint64) << HALF) | np.arange(words.size, dtype=np.uint64)


def _rotated(words: Words, turn: int) -> NDArray[np.uint32]:
    """The upper halves of some words, rotated."""
    keys = (words >> HALF).astype(np.uint32)
    return (keys << np.uint32(turn)) | (keys >> np.uint32(32 - turn)) if turn else keys


def _prefix(words: Words, turn: int) -> Ints:
    return (_rotated(words, turn) >> np.uint32(32 - _PREFIX_BITS)).astype(np.int64)


def _packed(first: Ints, second: Ints, shift: Ints, mirrored: Mask) -> Ints:
    packed = (first << (_PLACE_BITS + _SHIFT_BITS + 1)) | (second << (_SHIFT_BITS + 1))
    return np.asarray(packed | ((shift + (1 << (_SHIFT_BITS - 1))) << 1) | mirrored)


def _first_of(packed: Ints) -> Ints:
    return packed >> (_PLACE_BITS + _SHIFT_BITS + 1)


def _second_of(packed: Ints) -> Ints:
    return (packed >> (_SHIFT_BITS + 1)) & ((1 << _PLACE_BITS) - 1)


def _unpacked(packed: Ints) -> Pairs:
    return Pairs(
        _first_of(packed),
        _second_of(packed),
        ((packed >> 1) & ((1 << _SHIFT_BITS) - 1)) - (1 << (_SHIFT_BITS - 1)),
        (packed & 1).astype(np.bool_),
    )
