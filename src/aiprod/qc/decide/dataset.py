"""The verdicts on all clips of a dataset, of which a part is in memory at a time.

Clips are judged in parts, twice: first for what is compared over all of them (status, score, quality of the picture),
then for the rows that are written. In memory stay, of each clip, its id, a status and a score, and what changed of the
few that repeat others or were looked at by people.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray

from aiprod.base.spool import Records
from aiprod.qc.checks import WEIGHTED
from aiprod.qc.decide.check_results import CheckTable
from aiprod.qc.decide.duplicate_policy import Answer, DuplicateAnswers
from aiprod.qc.decide.duplicate_search import Candidate
from aiprod.qc.decide.judged import judged
from aiprod.qc.decide.measured import Ids, Measured, in_order
from aiprod.qc.decide.measurement_table import MeasurementTable
from aiprod.qc.decide.nsfw_policy import hold_unevaluated
from aiprod.qc.decide.overlay_policy import MarksOfClips, with_shared_marks
from aiprod.qc.decide.privacy_policy import hold_people
from aiprod.qc.decide.scoring import erased, refused
from aiprod.qc.decide.tally import CheckTally
from aiprod.qc.decide.verdict_table import ResultTexts, VerdictTable, schema
from aiprod.qc.duplicates.picture_quality import picture_quality
from aiprod.qc.metric_table import FigureTable, Floats
from aiprod.qc.params import QcDecideParams
from aiprod.qc.projections import ClipProjection, Clips, FilmProjection, Films
from aiprod.qc.rows import Verdict, VerdictRow
from aiprod.storage.manifest.arrow import column, from_numpy

_STATUSES: tuple[Verdict, ...] = ("APPROVED", "REVIEW_NEEDED", "REJECTED", "erased")
_OPEN = 2  # parts in memory
_TOLD = 4096  # clips whose reasons are read together
UNSCORED = np.uint16(0xFFFF)
Places = NDArray[np.int64]


@dataclass(frozen=True)
class _Changed:
    """What became of a verdict by other clips or by people."""

    row: VerdictRow
    answer: Answer | None


class DatasetVerdicts:
    """A verdict for each clip, and one for each film that yielded none; rows are sorted by their ids.

    Attributes:
        numbers: of the rows: clips are numbered as they were measured, and films behind them; None where the two are
            the same.
        score: by number, NaN where there is none.
        parts_of_scores: by number, the score of each weighted check in ten thousandths; ``UNSCORED`` is none.
        tally: of what the checks answered.
    """

    def __init__(
        self, measured: Measured, marks: MarksOfClips, films: Films, clips: Clips, params: QcDecideParams
    ) -> None:
        self._measured, self._marks, self._films, self._clips, self._params = measured, marks, films, clips, params
        self.tally = CheckTally()
        self.tally.add(CheckTable.of(FigureTable({}, 0), params))  # also where no clip could be measured
        self._bare, bare_status = _without_clips(films, clips)
        self.numbers = in_order(measured, self._bare)
        self._status = np.append(np.zeros(measured.count, np.int8), np.array(bare_status, np.int8))
        self.score = np.full(len(self), np.nan)
        self.parts_of_scores = np.full((len(self), len(WEIGHTED)), UNSCORED)
        self._said = Records()
        self._changed: dict[int, _Changed] = {}
        self._answers = DuplicateAnswers(measured.made_by, params.digest()[:16])
        self._judged: OrderedDict[int, tuple[MeasurementTable, CheckTable]] = OrderedDict()
        for number in range(len(measured)):
            self._judge(number)

    def __len__(self) -> int:
        return self._measured.count + len(self._bare)

    @property
    def schema(self) -> pa.Schema:
        """The columns of a manifest."""
        return schema()

    def expected(self) -> Iterator[str]:
        """What has to have a row, sorted: the clips, and films that yielded none."""
        return heapq.merge(self._clips.column(0), self._bare.of(range(len(self._bare))))

    def number_of(self, rows: Any) -> Any:
        """The number of a row, or those of several."""
        return rows if self.numbers is None else self.numbers[rows]

    def id_of(self, row: int) -> str:
        """The id of a row."""
        number, count = int(self.number_of(row)), self._measured.count
        return self._measured.ids[number] if number < count else self._bare[number - count]

    def row_of(self, clip_id: str) -> int | None:
        """The row with this id."""
        low, high = 0, len(self)
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self.id_of(middle) < clip_id else (low, middle)
        return low if low < len(self) and self.id_of(low) == clip_id else None

    def status_of(self, rows: Any) -> list[Verdict]:
        """The status of some rows."""
        return [_STATUSES[code] for code in self._status[self.number_of(rows)].tolist()]

    def codes(self) -> NDArray[np.int8]:
        """The status of all rows, in the order of ``duplicate_search.BETTER``."""
        return np.asarray(self._status if self.numbers is None else self._status[self.numbers])

    def scores(self) -> Iterator[float]:
        """The scores there are, in the order of the rows."""
        for start in range(0, len(self), _TOLD):
            scores = self.score[self.number_of(slice(start, start + _TOLD))]
            yield from scores[~np.isnan(scores)].tolist()

    def thumbnails(self, clip_ids: Iterable[str]) -> dict[str, str]:
        """Files of thumbnails that may be shown, by clip id."""
        found: dict[str, str] = {}
        rows = [row for clip_id in sorted(clip_ids) if (row := self.row_of(clip_id)) is not None]
        for part, places in self._by_part(self._numbers(rows)):
            wanted = {self.id_of(rows[place]) for place in places.tolist()}
            found |= {
                clip_id: strip for clip_id, strip in self._measured.clips_of(part)[-1].items() if clip_id in wanted
            }
        return found

    def candidates(self, rows: Collection[int], sources: Collection[str]) -> dict[int, Candidate]:
        """What is asked of clips that match others.

        Args:
            sources: whose clips look alike.
        """
        ordered = sorted(rows)
        table, found = self.some(ordered), {}
        for part, places in self._by_part(self._numbers(ordered)):
            *_, qualities, seconds = orjson.loads(self._said[part])
            films = self._films.of(table.film_ids[place] for place in places.tolist())
            for place in places.tolist():
                at = int(self.number_of(ordered[place])) - self._measured.starts[part]
                film = films.get(table.film_ids[place])
                found[ordered[place]] = Candidate(
                    table.ids[place],
                    table.status[place],
                    float(table.score[place]),
                    table.reasons[place],
                    np.nan if qualities[at] is None else qualities[at],
                    seconds[at],
                    film.source_id if film is not None and film.source_id in sources else None,
                )
        return found

    def some(self, rows: Sequence[int]) -> VerdictTable:
        """Some rows, without their checks."""
        return self._table(rows, lambda _part, _places: None)

    def change(self, rows: Sequence[int], table: VerdictTable, answers: Mapping[int, Answer]) -> None:
        """Take over what a table says of some rows.

        Args:
            answers: of the check ``duplicates``, by the places of the table.
        """
        for place, row in enumerate(rows):
            number = int(self.number_of(row))
            self._changed[number] = _Changed(table.row(place), answers.get(place))
            self._status[number] = _STATUSES.index(table.status[place])
        self.tally.add_copies(len(answers))

    def parts(self, rows: int) -> Iterator[VerdictTable]:
        """The rows with their checks, so many at a time, in order."""
        for start in range(0, max(1, len(self)), rows):
            yield self._table(range(start, min(start + rows, len(self))), self._cells)

    def _judge(self, part: int) -> None:
        """Judge a part for what is compared over all."""
        measured, checks = self._opened(part)
        table = judged(measured, checks, self._params)
        films = list(self._films.of(measured.film_ids).values())
        clips = self._clips.of(measured.clip_ids)
        for clip in clips.values():
            if clip.duplicate_of:
                table.reject(table.number_of[clip.clip_id], f"duplicates: the same as {clip.duplicate_of}")
        hold_people(table, films, list(clips.values()))
        hold_unevaluated(table, films, self._params)
        numbers = slice(*self._measured.starts[part : part + 2])
        self._status[numbers] = [_STATUSES.index(status) for status in table.status]
        self.score[numbers] = table.score
        for place, name in enumerate(WEIGHTED):
            self.parts_of_scores[numbers, place] = ten_thousandths(checks.scores(name, table.place))
        quality = np.append(picture_quality(measured.figures), np.nan)[table.place].tolist()
        seconds = [c.end_s - c.start_s if (c := clips.get(clip_id)) else 0.0 for clip_id in measured.clip_ids]
        self._said.append(orjson.dumps([table.reasons, table.privacy_flags, quality, seconds]))
        self.tally.add(checks)
        compared = measured.figures["fingerprint"].ok
        self.tally.add_compared(int(np.count_nonzero(compared)), compared.size)

    def _opened(self, part: int) -> tuple[MeasurementTable, CheckTable]:
        """The measurements of a part and what the checks answer on them."""
        if part not in self._judged:
            measured = self._measured.part(part)
            clips = self._measured.starts[part] + np.flatnonzero(measured.place >= 0)
            checks = CheckTable.of(measured.figures, self._params)
            checks = with_shared_marks(checks, self._marks.of(clips), self._marks.marks, self._params)
            self._judged[part] = measured, checks
            if len(self._judged) > _OPEN:
                self._judged.popitem(last=False)
        self._judged.move_to_end(part)
        return self._judged[part]

    def _numbers(self, rows: Sequence[int]) -> Places:
        return np.asarray(self.number_of(np.asarray(rows, np.int64)), np.int64)

    def _by_part(self, numbers: Places) -> Iterator[tuple[int, Places]]:
        """The parts that clips are in, and the places of those clips among the numbers."""
        parts = np.searchsorted(self._measured.starts, numbers, side="right") - 1
        for part in np.unique(parts[numbers < self._measured.count]).tolist():
            yield part, np.flatnonzero(parts == part)

    def _cells(self, part: int, at: Places) -> pa.Array:
        """What the checks answer on clips of a part, as canonical JSON."""
        measured, checks = self._opened(part)
        first = self._measured.starts[part]
        changed = {int(place): self._changed.get(first + i) for i, place in enumerate(measured.place.tolist())}
        repeats = {place: one.answer for place, one in changed.items() if one is not None and one.answer is not None}
        repeats.pop(-1, None)
        further = self._answers.of(measured.figures["fingerprint"].ok, repeats)
        return checks.with_further(*further).cells(measured.place[at])

    def _table(self, rows: Sequence[int], cells: Callable[[int, Places], pa.Array | None]) -> VerdictTable:
        """Some rows.

        Args:
            cells: gives the results of the checks on some clips of a part.
        """
        numbers, count = self._numbers(rows), self._measured.count
        ids, film_ids = np.full((2, numbers.size), "", object)
        reasons, flags = np.empty((2, numbers.size), object)
        texts: list[pa.Array] = []
        places: list[Places] = []
        for part, at in self._by_part(numbers):
            local = numbers[at] - self._measured.starts[part]
            clips, (told, flagged, *_) = self._measured.clips_of(part), orjson.loads(self._said[part])
            for cells_of, values in ((ids, clips[0]), (film_ids, clips[1]), (reasons, told), (flags, flagged)):
                cells_of[at] = objects(values)[local]
            texts.append(cells(part, local))
            places.append(at)
        bare = np.flatnonzero(numbers >= count)
        ids[bare] = film_ids[bare] = self._bare.of((numbers[bare] - count).tolist())
        films = self._films.of(ids[bare])
        for place in bare.tolist():
            film = films[ids[place]]
            row = erased(film) if film.status == "erased" else refused(film)
            reasons[place], flags[place] = row.reasons, []
        texts.append(column(["[]"] * bare.size, pa.string()))
        results = ResultTexts(texts[0] if len(texts) == 2 and not bare.size else texts[-1])
        if len(texts) > 1 + (not bare.size) and texts[0] is not None:
            back = np.argsort(np.concatenate([*places, bare]))
            results = ResultTexts(pa.concat_arrays(texts).take(from_numpy(back)))
        table = VerdictTable(
            ids.tolist(),
            film_ids.tolist(),
            [_STATUSES[code] for code in self._status[numbers].tolist()],
            self.score[numbers],
            reasons.tolist(),
            flags.tolist(),
            np.arange(numbers.size),
            results,
        )
        for place in [place for place, number in enumerate(numbers.tolist()) if number in self._changed]:
            table.put(place, self._changed[int(numbers[place])].row)
        return table


def objects(values: Sequence[Any]) -> NDArray[np.object_]:
    """An array of values, lists among them as they are."""
    made = np.empty(len(values), object)
    made[:] = values
    return made


def ten_thousandths(scores: Floats) -> NDArray[np.uint16]:
    """Scores from 0 to 1 as they are written with four digits, ``UNSCORED`` for NaN; those of many clips are few."""
    distinct, which = np.unique(scores, return_inverse=True)
    codes = [UNSCORED if isnan(score) else int(f"{score:.4f}".replace(".", "")) for score in distinct.tolist()]
    return np.array(codes, np.uint16)[which.ravel()]


def _without_clips(films: Films, clips: Clips) -> tuple[Ids, list[int]]:
    """The films that yielded no clip, and the status of each."""
    has = np.zeros(len(films), np.bool_)
    some: dict[str, None] = {}
    for film_id in clips.column(ClipProjection._fields.index("film_id")):
        some[film_id] = None
        if len(some) == _TOLD:
            has[_known(films, some)] = True
            some = {}
    has[_known(films, some)] = True
    bare, codes = Ids(), []
    status = films.column(FilmProjection._fields.index("status"))
    for film_id, stated, with_clips in zip(films.column(0), status, has.tolist(), strict=True):
        if not with_clips:
            bare.extend([film_id])
            codes.append(_STATUSES.index("erased" if stated == "erased" else "REJECTED"))
    return bare, codes


def _known(films: Films, film_ids: Collection[str]) -> Places:
    return np.array([number for number, _ in films.numbered(film_ids).values()], np.int64)
