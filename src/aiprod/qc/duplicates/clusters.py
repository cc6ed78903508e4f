"""How clips that show or sound the same cluster, and which of each cluster is kept."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from aiprod.qc.duplicates.matching import Match, Prints
from aiprod.qc.duplicates.tracks import Pairs
from aiprod.qc.params import DuplicateParams

_LEADERS = 8


@dataclass(frozen=True)
class About:
    """What is asked of clips that match some other.

    Attributes:
        preferred: the place of each in the order of preference, the lowest is kept first.
        similar: the source that a clip comes from where clips of that look alike; two of one such source have to be
            more alike than others to match by their pictures.
    """

    preferred: Mapping[int, int]
    similar: Mapping[int, str] = field(default_factory=dict)


class Matches:
    """All matches of a dataset, by clip.

    Args:
        about: says of clips that match some other what is asked of them; it is called as more of them are found.
    """

    def __init__(self, prints: Prints, params: DuplicateParams, about: Callable[[Collection[int]], About]) -> None:
        limit = params.similar_look_bits_max

        def close(matches: Mapping[tuple[int, int], Match], of: Mapping[int, str]) -> dict[tuple[int, int], Match]:
            """Those that are no mere likeness between clips of one source of similar clips."""
            return {
                (first, second): match
                for (first, second), match in matches.items()
                if first not in of or of[first] != of.get(second) or match.figures["look_bits"] <= limit
            }

        found = prints.pictures()
        known = about(_members(found))
        matches = close(found, known.similar)
        completed = prints.pictures(_completed(matches, known.preferred))
        self.pictures = {**matches, **close(completed, known.similar)}
        self.sounds = prints.same_sounds()

    @classmethod
    def of(
        cls,
        figures: Sequence[Mapping[str, Any]],
        params: DuplicateParams,
        preferred: Sequence[int],
        similar: Mapping[int, str] | None = None,
    ) -> Matches:
        """The matches of some fingerprints.

        Args:
            figures: of the check ``fingerprint``, one per clip; a clip without any matches nothing.
            preferred: the place of each clip in the order of preference; ``similar``: as of :class:`About`.
        """
        known = About(dict(enumerate(preferred)), similar or {})
        return cls(Prints.of(figures, params), params, lambda _: known)

    def clusters(self, *, sounds: bool = True) -> list[list[int]]:
        """Clips that are connected by any match, each list sorted, without the clips that match nothing.

        Args:
            sounds: whether the same sound under other pictures connects too.
        """
        return _components([*self.pictures, *(self.sounds if sounds else ())])

    def members(self) -> list[int]:
        """The clips that match some other, ascending."""
        return sorted(_members(self.pictures) | _members(self.sounds))

    def kept(self, preferred: Mapping[int, int] | Sequence[int]) -> dict[int, Match]:
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


def _members(pairs: Iterable[tuple[int, int]]) -> set[int]:
    return {clip for pair in pairs for clip in pair}


def other_of(match: Match, clip: int) -> int:
    """The clip on the other side of a match."""
    return match.second if match.first == clip else match.first


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


def _completed(matches: Mapping[tuple[int, int], Match], preferred: Mapping[int, int]) -> Pairs:
    """Pairs of every clip with the preferred ones of its cluster, shifted as the chain of matches between them says.

    The index proposes neighbours only, so in a cluster of many it may not propose the pair that decides.
    """
    beside: dict[int, list[tuple[int, int, bool]]] = {}
    for match in matches.values():
        beside.setdefault(match.first, []).append((match.second, match.shift, match.mirrored))
        beside.setdefault(match.second, []).append((match.first, -match.shift, match.mirrored))
    wanted: set[tuple[int, int, int, bool]] = set()
    for group in _components(list(matches)):
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
                if a != b and (a, b) not in matches:
                    shift, mirrored = places[b][0] - places[a][0], places[a][1] != places[b][1]
                    wanted.add((a, b, shift, mirrored))
    rows = np.array(sorted(wanted), np.int64).reshape(-1, 4)
    return Pairs(rows[:, 0], rows[:, 1], rows[:, 2], rows[:, 3].astype(np.bool_))
