"""Which clips of a dataset are copies, of each other or of a film that was denied; what follows is policy.

See ``duplicate_policy`` and ``privacy_policy``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf, isnan
from typing import NamedTuple

from aiprod.qc.decide.scoring import by_score
from aiprod.qc.denied_films import DeniedFilm
from aiprod.qc.duplicates.clusters import About, Matches, other_of
from aiprod.qc.duplicates.matching import Match, Prints
from aiprod.qc.params import DuplicateParams
from aiprod.qc.rows import Verdict

BETTER: Mapping[Verdict, int] = {"APPROVED": 0, "REVIEW_NEEDED": 1, "REJECTED": 2, "erased": 3}


@dataclass(frozen=True)
class Copies:
    """Copies among the rows of a table; numbers from ``count`` on are fingerprints of denied films.

    Attributes:
        repeated: for each clip that shows the same as a kept one, the match.
        same_sound: for each clip that sounds like a preferred one and looks otherwise, that match.
        with_denied: for each clip that is itself the same as a denied film, the match.
        seen: clusters of clips that show the same; ``heard``: that show or sound the same.
        groups: ``heard``, denied films included.
        denied: the films that numbers from ``count`` on stand for.
    """

    count: int
    repeated: Mapping[int, Match]
    same_sound: Mapping[int, Match]
    with_denied: Mapping[int, Match]
    seen: Sequence[Sequence[int]]
    heard: Sequence[Sequence[int]]
    groups: Sequence[Sequence[int]]
    denied: Sequence[DeniedFilm]

    def renumbered(self, rows: Sequence[int]) -> Copies:
        """The same by the places of rows in a table of some: all that a match or a cluster names, ascending."""
        new = {row: place for place, row in enumerate(rows)}
        new |= {self.count + i: len(rows) + i for i in range(len(self.denied))}

        def matches(known: Mapping[int, Match]) -> dict[int, Match]:
            return {
                new[row]: replace(match, first=new[match.first], second=new[match.second])
                for row, match in known.items()
            }

        def clusters(known: Sequence[Sequence[int]]) -> list[list[int]]:
            return [[new[row] for row in group] for group in known]

        return Copies(
            len(rows),
            matches(self.repeated),
            matches(self.same_sound),
            matches(self.with_denied),
            clusters(self.seen),
            clusters(self.heard),
            clusters(self.groups),
            self.denied,
        )

    @property
    def rows(self) -> set[int]:
        """All rows that have to do with a copy."""
        return {row for group in (*self.seen, *self.groups) for row in group if row < self.count}


class Candidate(NamedTuple):
    """What is asked of a clip that matches another.

    Attributes:
        quality: of the picture, NaN where nothing was measured (see ``picture_quality``).
        source: that the film comes from, where its clips look alike.
    """

    clip_id: str
    status: Verdict
    score: float
    reasons: Sequence[str]
    quality: float
    seconds: float
    source: str | None


def find_copies(
    prints: Prints,
    count: int,
    candidates: Callable[[Collection[int]], Mapping[int, Candidate]],
    params: DuplicateParams,
    denied: Sequence[DeniedFilm] = (),
) -> Copies:
    """Compare the fingerprints of all clips.

    Args:
        prints: by row, and from ``count`` on those of ``denied``.
        candidates: says of rows that match another what is asked of them.
        denied: for each fingerprint from ``count`` on, its film.
    """

    def about(members: Collection[int]) -> About:
        known = candidates([row for row in members if row < count])
        preferred = {row: place for place, row in enumerate(sorted(known, key=lambda row: _preference(known[row])))}
        preferred |= {row: row for row in members if row >= count}  # behind the rows, and never preferred
        return About(preferred, {row: one.source for row, one in known.items() if one.source is not None})

    matches = Matches(prints, params, about)
    preferred = about(matches.members()).preferred
    groups = matches.clusters()
    return Copies(
        count,
        matches.kept(preferred),
        _same_sound(matches, preferred, count),
        {
            match.first: match  # the same picture says more: it comes last
            for match in [*matches.sounds.values(), *matches.pictures.values()]
            if match.first < count <= match.second
        },
        _of_rows(matches.clusters(sounds=False), count),
        _of_rows(groups, count),
        groups,
        denied,
    )


def _preference(one: Candidate) -> tuple[bool, float, int, float, float, str]:
    """The better picture comes first; of equal ones the better verdict, the higher score, the longer clip.

    What may not be used whatever its score comes last. A score does not: ruin raises it, where it hides what the score
    is lowered for.
    """
    return (
        one.status in ("REJECTED", "erased") and not by_score(one.reasons),
        inf if isnan(one.quality) else -one.quality,
        BETTER[one.status],
        1.0 if isnan(one.score) else -round(one.score, 3),
        -one.seconds,
        one.clip_id,
    )


def _same_sound(matches: Matches, preferred: Mapping[int, int], count: int) -> dict[int, Match]:
    """For each clip that sounds like a preferred one and looks otherwise: the match with the most preferred."""
    by_clip: dict[int, Match] = {}
    for match in matches.sounds.values():
        if max(match.first, match.second) >= count or (match.first, match.second) in matches.pictures:
            continue
        worse = max(match.first, match.second, key=lambda i: preferred[i])
        known = by_clip.get(worse)
        if known is None or preferred[other_of(match, worse)] < preferred[other_of(known, worse)]:
            by_clip[worse] = match
    return by_clip


def _of_rows(clusters: Sequence[Sequence[int]], count: int) -> list[list[int]]:
    """The clusters without what is no clip."""
    groups = [[i for i in group if i < count] for group in clusters]
    return [group for group in groups if len(group) > 1]
