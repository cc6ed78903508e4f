"""Which clips of a dataset are copies, of each other or of a film that was denied; what follows is policy.

See ``duplicate_policy`` and ``privacy_policy``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan

import numpy as np

from aiprod.qc.decide.measurement_table import MeasurementTable
from aiprod.qc.decide.scoring import by_score
from aiprod.qc.decide.verdict_table import VerdictTable
from aiprod.qc.denied_films import DeniedFilm
from aiprod.qc.duplicates.clusters import Matches, other_of
from aiprod.qc.duplicates.matching import Match
from aiprod.qc.duplicates.picture_quality import picture_quality
from aiprod.qc.metric_table import Floats
from aiprod.qc.params import QcDecideParams
from aiprod.qc.projections import ClipProjection, FilmProjection
from aiprod.qc.rows import Verdict

BETTER: Mapping[Verdict, int] = {"APPROVED": 0, "REVIEW_NEEDED": 1, "REJECTED": 2, "erased": 3}


@dataclass(frozen=True)
class Copies:
    """Copies among the rows of a table; numbers from ``count`` on are fingerprints of denied films.

    Attributes:
        compared: clips that have a fingerprint; the others are compared with none.
        measured_by: method and version of the fingerprints.
        repeated: for each clip that shows the same as a kept one, the match.
        same_sound: for each clip that sounds like a preferred one and looks otherwise, that match.
        with_denied: for each clip that is itself the same as a denied film, the match.
        seen: clusters of clips that show the same; ``heard``: that show or sound the same.
        groups: ``heard``, denied films included.
        denied: the films that numbers from ``count`` on stand for.
    """

    count: int
    compared: frozenset[str]
    measured_by: Mapping[str, str]
    repeated: Mapping[int, Match]
    same_sound: Mapping[int, Match]
    with_denied: Mapping[int, Match]
    seen: Sequence[Sequence[int]]
    heard: Sequence[Sequence[int]]
    groups: Sequence[Sequence[int]]
    denied: Sequence[DeniedFilm]


def find_copies(
    table: VerdictTable,
    measured: MeasurementTable,
    clips: Sequence[ClipProjection],
    params: QcDecideParams,
    *,
    films: Sequence[FilmProjection],
    denied: Sequence[DeniedFilm] = (),
) -> Copies:
    """Compare the fingerprints of all clips.

    Args:
        films: of the clips, which say where they come from.
        denied: films that were not taken in, with their fingerprints.
    """
    prints = measured.prints()
    qualities = np.append(picture_quality(measured.figures), np.nan)[table.place]
    order, count = _in_order_of_preference(table, clips, qualities), len(table)
    preferred = [0] * count
    for place, i in enumerate(order):
        preferred[i] = place
    theirs = [(film, figures) for film in denied for figures in film.prints]  # behind the rows, and never preferred
    compared = [*(prints.get(clip_id) or {} for clip_id in table.ids), *(figures for _, figures in theirs)]
    preferred += range(count, len(compared))
    sources = {film.film_id: film.source_id for film in films if film.source_id in params.duplicates.similar_sources}
    similar = {i: sources[film_id] for i, film_id in enumerate(table.film_ids) if film_id in sources}
    matches = Matches(compared, params.duplicates, preferred, similar)
    repeated, groups, seen = matches.kept(preferred), matches.clusters(), matches.clusters(sounds=False)
    return Copies(
        count,
        frozenset(prints),
        measured.made_by("fingerprint"),
        repeated,
        _same_sound(matches, preferred, count),
        {
            match.first: match  # the same picture says more: it comes last
            for match in [*matches.sounds.values(), *matches.pictures.values()]
            if match.first < count <= match.second
        },
        _of_rows(seen, count),
        _of_rows(groups, count),
        groups,
        [film for film, _ in theirs],
    )


def _in_order_of_preference(table: VerdictTable, clips: Sequence[ClipProjection], qualities: Floats) -> list[int]:
    """The better picture comes first; of equal ones the better verdict, the higher score, the longer clip.

    What may not be used whatever its score comes last. A score does not: ruin raises it, where it hides what the score
    is lowered for.
    """
    lengths = {clip.clip_id: clip.end_s - clip.start_s for clip in clips}
    durations = np.array([lengths.get(clip_id, 0.0) for clip_id in table.ids], np.float64)
    pictures = np.nan_to_num(qualities, nan=-np.inf)
    scores = np.array([-1.0 if isnan(score) else round(score, 3) for score in table.score.tolist()], np.float64)
    verdicts = np.array([BETTER[status] for status in table.status], np.int64)
    out = zip(table.status, table.reasons, strict=True)
    unusable = np.array(
        [status in ("REJECTED", "erased") and not by_score(reasons) for status, reasons in out], np.bool_
    )
    by_id = np.array(sorted(range(len(table)), key=table.ids.__getitem__), np.int64)
    keys = (-durations, -scores, verdicts, -pictures, unusable)  # the last one decides first
    order: list[int] = by_id[np.lexsort([key[by_id] for key in keys])].tolist()
    return order


def _same_sound(matches: Matches, preferred: Sequence[int], count: int) -> dict[int, Match]:
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
