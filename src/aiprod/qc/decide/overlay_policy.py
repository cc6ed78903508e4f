"""What follows for verdicts where clips share a mark that none of them shows by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aiprod.qc.checks import WEIGHTED
from aiprod.qc.checks.judging import Judgements
from aiprod.qc.checks.watermark import cases_of
from aiprod.qc.decide.check_results import CheckTable
from aiprod.qc.decide.measured import Ids, Measured, in_order
from aiprod.qc.overlays.pools import SharedMark, SketchedClips, shared_marks
from aiprod.qc.params import QcDecideParams
from aiprod.qc.projections import Clips, Films

METHOD = (
    "pooled: edges that stay in the same place in several clips of one film or source whose scenes differ, by the "
    "sketches that the clips left"
)


@dataclass(frozen=True)
class MarksOfClips:
    """The marks that clips share.

    Attributes:
        which: of ``marks``, each of ``clips`` carries; clips ascending.
    """

    clips: NDArray[np.int64]
    which: NDArray[np.int64]
    marks: Sequence[SharedMark]

    def of(self, clips: NDArray[np.int64]) -> NDArray[np.int64]:
        """The mark of some clips, -1 = none."""
        if not self.clips.size:
            return np.full(clips.size, -1)
        at = np.minimum(np.searchsorted(self.clips, clips), self.clips.size - 1)
        return np.where(self.clips[at] == clips, self.which[at], -1)


def marks_among(measured: Measured, films: Films, clips: Clips) -> MarksOfClips:
    """The marks that clips of known films share, by those that left a sketch."""
    sketched, told = measured.sketched, measured.told
    film, source = np.full((2, sketched.size), -1, np.int32)
    sources: dict[str, int] = {}
    for part in range(len(measured)):
        begin, end = np.searchsorted(sketched, measured.starts[part : part + 2]).tolist()
        ids = measured.ids.of(sketched[begin:end].tolist())
        film_of = {clip_id: clip.film_id for clip_id, clip in clips.of(ids).items()}
        known = films.numbered(film_of.values())
        for at, clip_id in enumerate(ids, begin):
            one = known.get(film_of.get(clip_id, ""))
            if one is not None:
                film[at], source[at] = one[0], sources.setdefault(one[1].source_id, len(sources))
    rows = in_order(measured, Ids())
    rank = sketched if rows is None else np.argsort(rows)[sketched]
    order = np.lexsort((rank, film))
    order = order[film[order] >= 0]
    _, first, renamed = np.unique(source[order], return_index=True, return_inverse=True)
    by_use = np.empty(first.size, np.int64)
    by_use[np.argsort(first)] = np.arange(first.size)
    _, film_numbers = np.unique(film[order], return_inverse=True)
    which, marks = shared_marks(SketchedClips(measured.sketches, order, film_numbers, by_use[renamed], told[order]))
    carried = order[which >= 0]
    by_clip = np.argsort(carried)
    return MarksOfClips(sketched[carried[by_clip]], which[which >= 0][by_clip], marks)


def with_shared_marks(
    checks: CheckTable, which: NDArray[np.int64], marks: Sequence[SharedMark], params: QcDecideParams
) -> CheckTable:
    """The answers with the marks that clips share.

    A clip that was measured by itself keeps its answer, and so does one of which nothing could be scored. No mark found
    is no answer: a clip may have one that no other has.

    Args:
        which: of ``marks``, each clip carries, -1 = none.
    """
    if not marks or not (which >= 0).any():
        return checks
    scored = np.logical_or.reduce([~np.isnan(checks.scores(name)) for name in WEIGHTED])
    mask = scored & (which >= 0)
    area = np.where(mask, np.array([mark.area for mark in marks])[which], np.nan)
    words = np.array([_where(mark) for mark in marks], object)
    where = np.where(mask, words[which], "")
    cases = [case.with_words(f"{case.words}{{where}}") for case in cases_of(area, params)]
    fields = {"area": area, "where": where}
    others = Judgements(cases, value=np.maximum(area, 0.0), count=checks.count, fields=fields)
    return checks.replaced("watermark", mask, others, METHOD)


def _where(mark: SharedMark) -> str:
    pool = f"the {mark.compared} clips of its {mark.pool} that were compared"
    return f", in the same place in {mark.clips} of {pool}"
