"""Which clips show or sound the same as another, how they cluster, and which of them is kept.

Decided from fingerprints alone (see ``checks.fingerprint``); nothing is decoded. A picture counts as the same when
looks agree and, where anything moves, changes agree too: films of one scene by one camera look alike, but no two
happen alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from aiprod.qc.duplicates.index import Pairs, compare, propose, track_of, widened
from aiprod.qc.params import DuplicateParams

_MOVES = 3
_LOOKS = 4
_SOUND_PER_PICTURE = 2
_SOUNDS = 40  # words that say something, five seconds: a few tones alone may be the same by chance
_LEADERS = 8
_NEAR = 3


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


class Matches:
    """All matches of a dataset, by clip.

    Args:
        figures: of the check ``fingerprint``, one per clip; a clip without any matches nothing.
        preferred: the place of each clip in the order of preference, 0 = kept first.
    """

    def __init__(self, figures: Sequence[Mapping[str, Any]], params: DuplicateParams, preferred: Sequence[int]) -> None:
        self._params = params
        self._looks, self._changes = track_of(figures, "look"), track_of(figures, "change")
        self._sounds = track_of(figures, "sound")
        found = self._pictures(propose(self._looks, mirrors=True))
        found.update(self._pictures(_completed(found, preferred)))
        self.pictures: dict[tuple[int, int], Match] = found
        self.sounds = self._same_sounds(propose(self._sounds, mirrors=False))

    def _pictures(self, pairs: Pairs) -> dict[tuple[int, int], Match]:
        limits = self._params
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
        found: dict[tuple[int, int], Match] = {}
        best: dict[tuple[int, int], float] = {}
        for i in np.flatnonzero(same).tolist():
            pair = int(pairs.first[i]), int(pairs.second[i])
            told = float(changes.differing[i]) if moving[i] else None
            badness = float(looks.differing[i]) + (told or 0.0)
            if badness >= best.get(pair, np.inf):
                continue
            best[pair] = badness
            figures = {
                "look_bits": round(float(looks.differing[i]), 2),
                "change_bits": None if told is None else round(told, 2),
                "overlap": round(float(looks.overlap[i]), 3),
            }
            found[pair] = Match("picture", *pair, int(pairs.shift[i]), bool(pairs.mirrored[i]), figures)
        sounds = self._sound_of(list(found.values()))
        return {
            pair: Match(m.kind, m.first, m.second, m.shift, m.mirrored, {**m.figures, "sound_error": error})
            for (pair, m), error in zip(found.items(), sounds, strict=True)
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

    def _same_sounds(self, pairs: Pairs) -> dict[tuple[int, int], Match]:
        limits = self._params
        heard = compare(self._sounds, pairs, sound=True)
        same = (
            (heard.overlap >= limits.overlap_min)
            & (heard.count >= _SOUNDS)
            & (heard.count >= 0.5 * heard.either)
            & (heard.differing <= limits.sound_error_max)
        )
        found: dict[tuple[int, int], Match] = {}
        for i in np.flatnonzero(same).tolist():
            pair = int(pairs.first[i]), int(pairs.second[i])
            error = round(float(heard.differing[i]), 3)
            if pair not in found or error < found[pair].figures["sound_error"]:
                figures = {"sound_error": error, "overlap": round(float(heard.overlap[i]), 3)}
                found[pair] = Match("sound", *pair, int(pairs.shift[i]), False, figures)
        return found

    def clusters(self, *, sounds: bool = True) -> list[list[int]]:
        """Clips that are connected by any match, each list sorted, without the clips that match nothing.

        Args:
            sounds: whether the same sound under other pictures connects too.
        """
        return _components([*self.pictures, *(self.sounds if sounds else ())])

    def kept(self, preferred: Sequence[int]) -> dict[int, Match]:
        """For each clip that repeats the pictures of a kept one, the match. The rest are kept.

        A clip is left out only for a clip that stays, so nothing is lost with one that is left out itself.
        """
        beside: dict[int, list[Match]] = {}
        for match in self.pictures.values():
            beside.setdefault(match.first, []).append(match)
            beside.setdefault(match.second, []).append(match)
        left_out: dict[int, Match] = {}
        for clip in sorted(beside, key=lambda c: preferred[c]):
            others = [m for m in beside[clip] if preferred[other_of(m, clip)] < preferred[clip]]
            stays = [m for m in others if other_of(m, clip) not in left_out]
            if stays:
                left_out[clip] = min(stays, key=lambda m: preferred[other_of(m, clip)])
        return left_out


def other_of(match: Match, clip: int) -> int:
    """The clip on the other side of a match."""
    return match.second if match.first == clip else match.first


def _only(pairs: Pairs, mask: np.ndarray) -> Pairs:
    return Pairs(pairs.first[mask], pairs.second[mask], pairs.shift[mask], pairs.mirrored[mask])


def _components(pairs: Sequence[tuple[int, int]]) -> list[list[int]]:
    parent: dict[int, int] = {}

    def root(i: int) -> int:
        parent.setdefault(i, i)
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for a, b in pairs:
        x, y = root(a), root(b)
        parent[max(x, y)] = min(x, y)
    groups: dict[int, list[int]] = {}
    for i in sorted(parent):
        groups.setdefault(root(i), []).append(i)
    return [groups[key] for key in sorted(groups)]


def _completed(found: Mapping[tuple[int, int], Match], preferred: Sequence[int]) -> Pairs:
    """Pairs of every clip with the preferred ones of its cluster, shifted as the chain of matches between them says.

    The index proposes neighbours only, so in a cluster of many it may not propose the pair that decides.
    """
    beside: dict[int, list[tuple[int, int, bool]]] = {}
    for match in found.values():
        beside.setdefault(match.first, []).append((match.second, match.shift, match.mirrored))
        beside.setdefault(match.second, []).append((match.first, -match.shift, match.mirrored))
    wanted: set[tuple[int, int, int, bool]] = set()
    for group in _components(list(found)):
        if len(group) < 3:
            continue
        places: dict[int, tuple[int, bool]] = {group[0]: (0, False)}
        todo = [group[0]]
        while todo:
            clip = todo.pop()
            at, turned = places[clip]
            for other, shift, mirrored in beside[clip]:
                if other not in places:
                    places[other] = (at + shift, turned != mirrored)
                    todo.append(other)
        for leader in sorted(group, key=lambda c: preferred[c])[:_LEADERS]:
            for clip in group:
                a, b = min(leader, clip), max(leader, clip)
                if a != b and (a, b) not in found:
                    shift, mirrored = places[b][0] - places[a][0], places[a][1] != places[b][1]
                    wanted.add((a, b, shift, mirrored))
    rows = np.array(sorted(wanted), np.int64).reshape(-1, 4)
    return Pairs(rows[:, 0], rows[:, 1], rows[:, 2], rows[:, 3].astype(np.bool_))
