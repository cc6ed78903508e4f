"""Which clips show or sound the same, by their fingerprints: an index proposes pairs, then their overlap is counted.

Nothing is decoded. A picture counts as the same when looks agree and, where anything moves, changes agree too: films of
one scene by one camera look alike, but no two happen alike.

All functions are arithmetic on arrays of 64-bit words (see ``checks.fingerprint``). The index sorts the words by
rotated bits and looks only at neighbours (Charikar, "Similarity Estimation Techniques from Rounding Algorithms",
2002), so its work grows with n·log n, not with the number of pairs.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from aiprod.qc.params import DuplicateParams

Words = NDArray[np.uint64]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

LOWER = np.uint64(0xFFFFFFFF)
HALF = np.uint64(32)
_ROTATIONS = (0, 4, 8, 12, 16, 20, 24, 28)
_NEIGHBOURS = 3
_WORD_BITS_MAX = 14
_COLLAPSE_BITS = 3
_PLACE_BITS, _SHIFT_BITS = 24, 14
_CHUNK = 200_000
_MOVES = 3
_LOOKS = 4
_SOUND_PER_PICTURE = 2
_SOUNDS = 40  # words that say something, five seconds: a few tones alone may be the same by chance
_NEAR = 3


@dataclass(frozen=True)
class FingerprintTrack:
    """Words of all clips one after the other: those of clip ``i`` are ``words[starts[i]:starts[i + 1]]``."""

    words: Words
    starts: Ints

    @property
    def lengths(self) -> Ints:
        """Words of each clip."""
        return np.diff(self.starts)


def track_of(figures: Sequence[Mapping[str, Any]], name: str) -> FingerprintTrack:
    """The words that the measurements hold under ``name``; clips without any have none."""
    parts = [base64.b64decode(f[name]) if f.get(name) else b"" for f in figures]
    starts = np.concatenate(([0], np.cumsum([len(p) // 8 for p in parts], dtype=np.int64)))
    return FingerprintTrack(np.frombuffer(b"".join(parts), "<u8").astype(np.uint64), starts.astype(np.int64))


@dataclass(frozen=True)
class Pairs:
    """Proposed pairs: slot ``i`` of clip ``first`` is shown with slot ``i - shift`` of clip ``second``."""

    first: Ints
    second: Ints
    shift: Ints
    mirrored: NDArray[np.bool_]


def propose(track: FingerprintTrack, *, mirrors: bool) -> Pairs:
    """Pairs of clips of which some words are close.

    Words that stand still (slides) say that two clips show the same, and not with which shift: where a picture begins
    to stand is looked up by itself, and each pair is proposed with one beginning too.

    Only the upper halves are looked up: the lower half of a picture's word is inverted in a mirrored copy, and that of
    a sound's word says little that the upper half does not.

    Args:
        mirrors: whether a word with an inverted lower half is close too.
    """
    owner = np.repeat(np.arange(track.lengths.size), track.lengths)
    begun, kept = _worth_looking_up(track, owner)
    passes = [np.flatnonzero(kept)]
    if begun.sum() < kept.sum():
        passes.append(np.flatnonzero(begun))
    a, b = np.concatenate([_neighbours(track, owner, index, mirrors=mirrors) for index in passes], axis=1)
    apart_by = track.words[a] ^ track.words[b]
    mirrored = mirrors & (np.bitwise_count(apart_by ^ LOWER) < np.bitwise_count(apart_by))
    swap = owner[a] > owner[b]
    a, b = np.where(swap, b, a), np.where(swap, a, b)
    shift = ((a - track.starts[owner[a]]) - (b - track.starts[owner[b]])).astype(np.int64)
    first, second = owner[a], owner[b]
    twice = np.concatenate((first, first)), np.concatenate((second, second))
    return _distinct(*twice, np.concatenate((shift, np.zeros_like(shift))), np.concatenate((mirrored, mirrored)))


def _neighbours(track: FingerprintTrack, owner: Ints, index: Ints, *, mirrors: bool) -> Ints:
    """Places [2, N] of words of two clips that are close, by sorting the words at ``index``."""
    words, pairs = track.words[index], []
    keys = (words >> HALF).astype(np.uint32)
    for turn in _ROTATIONS:
        rotated = (keys << np.uint32(turn)) | (keys >> np.uint32(32 - turn)) if turn else keys
        packed = np.sort((rotated.astype(np.uint64) << HALF) | np.arange(index.size, dtype=np.uint64))
        order = (packed & LOWER).astype(np.int64)
        sorted_words = words[order]
        for step in range(1, _NEIGHBOURS + 1):
            differing = sorted_words[:-step] ^ sorted_words[step:]
            near = np.bitwise_count(differing) <= _WORD_BITS_MAX
            if mirrors:
                near |= np.bitwise_count(differing ^ LOWER) <= _WORD_BITS_MAX
            at = np.flatnonzero(near)
            a, b = index[order[at]], index[order[at + step]]
            apart = owner[a] != owner[b]
            pairs.append(np.stack((a[apart], b[apart])))
    return np.concatenate(pairs, axis=1)


def _worth_looking_up(track: FingerprintTrack, owner: Ints) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Words that say something and are not about the same as the one before in the same clip (a standing picture).

    Returns:
        Those, and those with every eighth of all words: a slow change may hide between small steps.
    """
    words = track.words
    begun = words != 0
    same = (np.bitwise_count(words[1:] ^ words[:-1]) < _COLLAPSE_BITS) & (owner[1:] == owner[:-1]) & begun[:-1]
    begun[1:] &= ~same
    every = (np.arange(words.size) - track.starts[owner]) % 8 == 0
    return begun, begun | (every & (words != 0))


def widened(pairs: Pairs, most: int) -> Pairs:
    """The pairs with every shift up to ``most`` slots to either side too: looks alone may not tell which."""
    near = np.arange(-most, most + 1)
    count = near.size
    return _distinct(
        np.repeat(pairs.first, count),
        np.repeat(pairs.second, count),
        (pairs.shift[:, None] + near).ravel(),
        np.repeat(pairs.mirrored, count),
    )


def _distinct(first: Ints, second: Ints, shift: Ints, mirrored: NDArray[np.bool_]) -> Pairs:
    packed = (first << (_PLACE_BITS + _SHIFT_BITS + 1)) | (second << (_SHIFT_BITS + 1))
    packed = np.unique(packed | ((shift + (1 << (_SHIFT_BITS - 1))) << 1) | mirrored)
    return Pairs(
        packed >> (_PLACE_BITS + _SHIFT_BITS + 1),
        (packed >> (_SHIFT_BITS + 1)) & ((1 << _PLACE_BITS) - 1),
        ((packed >> 1) & ((1 << _SHIFT_BITS) - 1)) - (1 << (_SHIFT_BITS - 1)),
        (packed & 1).astype(np.bool_),
    )


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
    """Count over the overlap of each pair, in bounded memory."""
    parts = [_compare(track, pairs, slice(at, at + _CHUNK), sound) for at in range(0, max(1, pairs.first.size), _CHUNK)]
    return Agreement(
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("overlap", "count", "either", "differing")
        )
    )


def _compare(track: FingerprintTrack, pairs: Pairs, part: slice, sound: bool) -> Agreement:
    first, second, shift = pairs.first[part], pairs.second[part], pairs.shift[part]
    lengths = track.lengths
    low = np.maximum(0, shift)
    shared = np.maximum(0, np.minimum(lengths[first], lengths[second] + shift) - low)
    row = np.repeat(np.arange(first.size), shared)
    within = np.arange(row.size) - np.repeat(np.cumsum(shared) - shared, shared)
    a = track.words[(track.starts[first] + low)[row] + within]
    b = track.words[(track.starts[second] + low - shift)[row] + within]
    both = (a != 0) & (b != 0)
    count = np.bincount(row[both], minlength=first.size)
    either = np.bincount(row[(a != 0) | (b != 0)], minlength=first.size)
    if sound:
        against = np.bitwise_count(a & ((b >> HALF) | (b << HALF)))
        weight = against.astype(np.float64) + np.bitwise_count(a & b)
        whole = np.bincount(row, weights=weight, minlength=first.size)
        bits = np.bincount(row, weights=against, minlength=first.size) / np.maximum(whole, 1)
        bits[whole == 0] = 1.0
    else:
        turn = np.where(pairs.mirrored[part], LOWER, np.uint64(0))[row]
        wrong = np.where(both, np.bitwise_count(a ^ b ^ turn), 0)
        bits = np.bincount(row, weights=wrong, minlength=first.size) / np.maximum(count, 1)
        bits[count == 0] = 64.0
    shorter = np.maximum(1, np.minimum(lengths[first], lengths[second]))
    return Agreement(shared / shorter, count, either, bits)


@dataclass(frozen=True)
class Match:
    """Two clips that are the same in picture or in sound.

    Attributes:
        shift: slots of a quarter of a second (sound: an eighth) by which ``second`` begins later than ``first``.
        figures: what was counted, for the row.
    """

    kind: Literal["picture", "sound"]
    first: int
    second: int
    shift: int
    mirrored: bool
    figures: Mapping[str, Any]


class Prints:
    """The fingerprints of a dataset, compared.

    Args:
        figures: of the check ``fingerprint``, one per clip; a clip without any matches nothing.
    """

    def __init__(self, figures: Sequence[Mapping[str, Any]], params: DuplicateParams) -> None:
        self._params = params
        self._looks, self._changes = track_of(figures, "look"), track_of(figures, "change")
        self._sounds = track_of(figures, "sound")

    def pictures(self, proposed: Pairs | None = None) -> dict[tuple[int, int], Match]:
        """Pairs of clips that show the same, of those proposed.

        Args:
            proposed: other pairs than those that the index proposes.
        """
        limits = self._params
        pairs = propose(self._looks, mirrors=True) if proposed is None else proposed
        looks = compare(self._looks, pairs)
        likely = (looks.overlap >= limits.overlap_min) & (looks.differing <= limits.look_bits_max)
        pairs = widened(_only(pairs, likely), _NEAR)
        looks = compare(self._looks, pairs)
        likely = (looks.overlap >= limits.overlap_min) & (looks.differing <= limits.look_bits_max)
        changes = compare(self._changes, pairs)
        shorter = np.minimum(self._looks.lengths[pairs.first], self._looks.lengths[pairs.second])
        enough = looks.count >= np.minimum(_LOOKS, shorter)
        moving = changes.count >= _MOVES
        still = (changes.either < _MOVES) & (looks.differing <= limits.still_bits_max)
        same = likely & enough & ((moving & (changes.differing <= limits.change_bits_max)) | still)
        matches: dict[tuple[int, int], Match] = {}
        best: dict[tuple[int, int], float] = {}
        for i in np.flatnonzero(same).tolist():
            pair = int(pairs.first[i]), int(pairs.second[i])
            change = float(changes.differing[i]) if moving[i] else None
            badness = float(looks.differing[i]) + (change or 0.0)
            if badness >= best.get(pair, np.inf):
                continue
            best[pair] = badness
            figures = {
                "look_bits": round(float(looks.differing[i]), 2),
                "change_bits": None if change is None else round(change, 2),
                "overlap": round(float(looks.overlap[i]), 3),
            }
            matches[pair] = Match("picture", *pair, int(pairs.shift[i]), bool(pairs.mirrored[i]), figures)
        sounds = self._sound_of(list(matches.values()))
        return {
            pair: Match(m.kind, m.first, m.second, m.shift, m.mirrored, {**m.figures, "sound_error": error})
            for (pair, m), error in zip(matches.items(), sounds, strict=True)
        }

    def _sound_of(self, matches: Sequence[Match]) -> list[float | None]:
        """Share of contradicting sound bits of clips whose pictures match; None where one of them has no sound."""
        if not matches:
            return []
        first, second = np.array([[m.first, m.second] for m in matches], np.int64).T
        base = np.array([m.shift for m in matches], np.int64) * _SOUND_PER_PICTURE
        flat = np.zeros(first.size, np.bool_)
        tried = [compare(self._sounds, Pairs(first, second, base + near, flat), sound=True) for near in (-1, 0, 1)]
        error = np.min([t.differing for t in tried], axis=0)
        heard = np.max([t.count for t in tried], axis=0) >= _SOUND_PER_PICTURE * _LOOKS
        return [round(float(e), 3) if h else None for e, h in zip(error, heard, strict=True)]

    def same_sounds(self) -> dict[tuple[int, int], Match]:
        """Pairs of clips that sound the same."""
        limits, pairs = self._params, propose(self._sounds, mirrors=False)
        heard = compare(self._sounds, pairs, sound=True)
        same = (
            (heard.overlap >= limits.overlap_min)
            & (heard.count >= _SOUNDS)
            & (heard.count >= 0.5 * heard.either)
            & (heard.differing <= limits.sound_error_max)
        )
        matches: dict[tuple[int, int], Match] = {}
        for i in np.flatnonzero(same).tolist():
            pair = int(pairs.first[i]), int(pairs.second[i])
            error = round(float(heard.differing[i]), 3)
            if pair not in matches or error < matches[pair].figures["sound_error"]:
                figures = {"sound_error": error, "overlap": round(float(heard.overlap[i]), 3)}
                matches[pair] = Match("sound", *pair, int(pairs.shift[i]), False, figures)
        return matches


def _only(pairs: Pairs, mask: np.ndarray) -> Pairs:
    return Pairs(pairs.first[mask], pairs.second[mask], pairs.shift[mask], pairs.mirrored[mask])
