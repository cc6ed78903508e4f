"""Which clips show or sound the same, by their fingerprints: an index proposes pairs, then their overlap is counted.

Nothing is decoded. A picture counts as the same when looks agree and, where anything moves, changes agree too: films of
one scene by one camera look alike, but no two happen alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from aiprod.qc.duplicates.index import in_order, propose, widened
from aiprod.qc.duplicates.tracks import Agreement, FingerprintTrack, Pairs, compare, track_of
from aiprod.qc.params import DuplicateParams

_MOVES = 3
_LOOKS = 4
_SOUND_PER_PICTURE = 2
_SOUNDS = 40  # words that say something, five seconds: a few tones alone may be the same by chance
_NEAR = 3
_FEW = 1 << 14  # pairs that are compared together, with every shift


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
        looks: words of each clip, as the check ``fingerprint`` gives them; a clip without any matches nothing.
        changes: likewise; ``sounds``: likewise.
    """

    def __init__(
        self, looks: FingerprintTrack, changes: FingerprintTrack, sounds: FingerprintTrack, params: DuplicateParams
    ) -> None:
        self._looks, self._changes, self._sounds, self._params = looks, changes, sounds, params

    @classmethod
    def of(cls, figures: Sequence[Mapping[str, Any]], params: DuplicateParams) -> Prints:
        """Those in figures of the check ``fingerprint``, one per clip."""
        looks, changes, sounds = (track_of(figures, name) for name in ("look", "change", "sound"))
        return cls(looks, changes, sounds, params)

    def pictures(self, proposed: Pairs | None = None) -> dict[tuple[int, int], Match]:
        """Pairs of clips that show the same, of those proposed.

        Args:
            proposed: other pairs than those that the index proposes.
        """
        parts = propose(self._looks, mirrors=True) if proposed is None else [proposed]
        likely = in_order([pairs.of(self._likely(compare(self._looks, pairs))) for pairs in parts])
        matches: dict[tuple[int, int], Match] = {}
        for some in _by_clips(likely):
            self._add_pictures(widened(some, _NEAR), matches)
        sounds = self._sound_of(list(matches.values()))
        return {
            pair: Match(m.kind, m.first, m.second, m.shift, m.mirrored, {**m.figures, "sound_error": error})
            for (pair, m), error in zip(matches.items(), sounds, strict=True)
        }

    def _likely(self, looks: Agreement) -> NDArray[np.bool_]:
        limits = self._params
        return np.asarray((looks.overlap >= limits.overlap_min) & (looks.differing <= limits.look_bits_max))

    def _add_pictures(self, pairs: Pairs, matches: dict[tuple[int, int], Match]) -> None:
        """Add the best match of each two clips of some pairs, which are sorted."""
        limits, looks = self._params, compare(self._looks, pairs)
        changes = compare(self._changes, pairs)
        lengths = self._looks.lengths
        enough = looks.count >= np.minimum(_LOOKS, np.minimum(lengths[pairs.first], lengths[pairs.second]))
        moving = changes.count >= _MOVES
        still = (changes.either < _MOVES) & (looks.differing <= limits.still_bits_max)
        same = self._likely(looks) & enough & ((moving & (changes.differing <= limits.change_bits_max)) | still)
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
        parts = propose(self._sounds, mirrors=False)
        alike = [pairs.of(self._heard(compare(self._sounds, pairs, sound=True))) for pairs in parts]
        pairs = in_order(alike)
        heard = compare(self._sounds, pairs, sound=True)
        matches: dict[tuple[int, int], Match] = {}
        for i in range(pairs.first.size):
            pair = int(pairs.first[i]), int(pairs.second[i])
            error = round(float(heard.differing[i]), 3)
            if pair not in matches or error < matches[pair].figures["sound_error"]:
                figures = {"sound_error": error, "overlap": round(float(heard.overlap[i]), 3)}
                matches[pair] = Match("sound", *pair, int(pairs.shift[i]), False, figures)
        return matches

    def _heard(self, heard: Agreement) -> NDArray[np.bool_]:
        limits = self._params
        return np.asarray(
            (heard.overlap >= limits.overlap_min)
            & (heard.count >= _SOUNDS)
            & (heard.count >= 0.5 * heard.either)
            & (heard.differing <= limits.sound_error_max)
        )


def _by_clips(pairs: Pairs) -> Iterator[Pairs]:
    """Sorted pairs, some at a time, those of the same two clips together."""
    begin, size = 0, pairs.first.size
    while begin < size:
        end = min(begin + _FEW, size)
        last = pairs.first[end - 1], pairs.second[end - 1]
        while end < size and (pairs.first[end], pairs.second[end]) == last:
            end += 1
        yield pairs.of(slice(begin, end))
        begin = end
