"""All measurements of a dataset as deciding needs them, on disk: read once, looked at in parts and compared as a whole.

In memory stay a part's figures and, of each clip, its id and a few numbers.
"""

from __future__ import annotations

import base64
import heapq
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray

from aiprod.base.spool import ArraySpool, Records
from aiprod.errors import AiprodError
from aiprod.qc.decide.measurement_table import PRINTS, MeasurementTable
from aiprod.qc.duplicates.tracks import FingerprintTrack
from aiprod.qc.metric_table import FigureTable
from aiprod.qc.overlays.edge_sketch import WORDS, read

_RELEASED = 8  # parts after which what is free goes back to the system: each time costs as much as it frees
Places = NDArray[np.int64]


class Ids:
    """Many ids, in the order in which they came, in about their bytes."""

    def __init__(self) -> None:
        self._text = bytearray()
        self._ends = array("I", [0])

    def __len__(self) -> int:
        return len(self._ends) - 1

    def extend(self, ids: Iterable[str]) -> None:
        """Take some more."""
        for name in ids:
            self._text += name.encode()
            self._ends.append(len(self._text))

    def __getitem__(self, place: int) -> str:
        return self._text[self._ends[place] : self._ends[place + 1]].decode()

    def of(self, places: Iterable[int]) -> list[str]:
        """Those at some places."""
        return [self[place] for place in places]


class Measured:
    """The clips of a dataset by number: as they were read, those of private films last.

    Attributes:
        ids: of the clips.
        breaks: clips whose ids are not after the one before them.
        starts: number of the first clip of each part, and how many clips there are.
        made_by: method and version of the first fingerprint; empty if there is none.
        sketched: which clips left a sketch, ascending; ``sketches``: these, [n, 3, 21]; ``told``: which of them have an
            answer about marks of their own.
    """

    def __init__(self, parts: Iterable[MeasurementTable]) -> None:
        self.ids, self.starts = Ids(), [0]
        self.breaks: list[int] = []
        self.made_by: Mapping[str, Any] = {}
        self.sketches = ArraySpool("<u8", (3, WORDS))
        self._sketched, self._told = array("q"), array("b")
        self._clips, self._figures = Records(), Records()
        self._words = {name: ArraySpool("<u8") for name in PRINTS}
        self._counts = {name: array("I") for name in PRINTS}
        for number, part in enumerate(parts):
            if part.count:
                self._take(part)
            if number % _RELEASED == 0:
                pa.default_memory_pool().release_unused()

    @property
    def count(self) -> int:
        """How many clips there are."""
        return self.starts[-1]

    @property
    def sketched(self) -> Places:
        """Which clips left a sketch."""
        return np.frombuffer(self._sketched, np.int64) if self._sketched else np.empty(0, np.int64)

    @property
    def told(self) -> NDArray[np.bool_]:
        """Which of those have an answer about marks of their own."""
        return np.frombuffer(self._told, np.bool_) if self._told else np.empty(0, np.bool_)

    def __len__(self) -> int:
        return len(self._clips)

    def part(self, number: int) -> MeasurementTable:
        """One part, without what is compared as a whole."""
        ids, films, statuses, reasons, place, strips = self.clips_of(number)
        with pa.ipc.open_stream(self._figures[number]) as stream:
            batch = stream.read_next_batch()
        *columns, _ = batch.columns
        figures = FigureTable(dict(zip(batch.schema.names, columns, strict=False)), len(batch))
        return MeasurementTable(ids, films, statuses, reasons, np.array(place, np.int64), figures, strips)

    def clips_of(self, number: int) -> list[Any]:
        """Of the clips of one part: ids, films, statuses, reasons, places in the figures, and thumbnails by id."""
        known: list[Any] = orjson.loads(self._clips[number])
        return known

    def track(self, name: str, order: Sequence[int] | Places | None, more: Sequence[bytes]) -> FingerprintTrack:
        """The words of all clips, and of further fingerprints behind them.

        Args:
            order: the clips as they are to be numbered; None as they came.
            more: words of further ones.
        """
        words, counts = self._words[name], np.frombuffer(self._counts[name], np.uint32).astype(np.int64)
        if order is not None:
            starts, arranged = np.concatenate(([0], np.cumsum(counts))), ArraySpool("<u8")
            for clip in order:
                if clip >= 0 and counts[clip]:
                    arranged.append(words.slice(starts[clip], starts[clip + 1]))
            at = np.asarray(order, np.int64)
            words, counts = arranged, np.where(at >= 0, np.append(counts, 0)[at], 0)
        for content in more:
            words.append(np.frombuffer(content, "<u8"))
        counts = np.append(counts, [len(content) // 8 for content in more]).astype(np.int64)
        return FingerprintTrack(words, np.concatenate(([0], np.cumsum(counts))))

    def _take(self, part: MeasurementTable) -> None:
        first = self.count
        if first == 0 or not self.made_by:
            self.made_by = part.made_by("fingerprint")
        before = self.ids[first - 1] if first else ""
        for number, clip_id in enumerate(part.clip_ids, first):
            if clip_id <= before:
                self.breaks.append(number)
            before = clip_id
        self.ids.extend(part.clip_ids)
        self.starts.append(first + part.count)
        measured = np.flatnonzero(part.place >= 0)[np.argsort(part.place[part.place >= 0])]
        self._take_sketches(part, first + measured)
        self._take_prints(part, measured)
        for section, figures in (("watermark", ("sketch",)), ("fingerprint", PRINTS)):
            for figure in figures:
                part.figures.release(section, figure)
        place = part.place.tolist()
        lists = (part.clip_ids, part.film_ids, part.statuses, part.reasons, place, dict(part.thumbnails))
        self._clips.append(orjson.dumps(lists))
        columns = part.figures.columns()
        count = pa.nulls(part.figures.count)  # says how many rows there are where there is no column
        batch = pa.RecordBatch.from_arrays([*columns.values(), count], [*columns, ""])
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema) as stream:
            stream.write_batch(batch)
        self._figures.append(memoryview(sink.getvalue()))

    def _take_sketches(self, part: MeasurementTable, clips: Places) -> None:
        figures = part.figures["watermark"]
        has = figures.has("sketch")
        if has.any():
            texts = figures.values("sketch")
            self.sketches.append(read([text for text in texts if text is not None]))
            self._sketched.extend(clips[has].tolist())
            self._told.extend(figures.ok[has].tolist())

    def _take_prints(self, part: MeasurementTable, measured: Places) -> None:
        figures = part.figures["fingerprint"]
        ok = figures.ok
        for name in PRINTS:
            counts = np.zeros(part.count, np.uint32)
            texts = figures.values(name) if ok.any() else []
            contents = [base64.b64decode(t) if t and one else b"" for t, one in zip(texts, ok.tolist(), strict=False)]
            if contents:
                counts[measured] = [len(content) // 8 for content in contents]
                self._words[name].append(np.frombuffer(b"".join(contents), "<u8"))
            self._counts[name].extend(counts.tolist())


def in_order(measured: Measured, others: Ids) -> NDArray[np.int32] | None:
    """The numbers of all rows, sorted by their ids: the clips, and behind them what else has a row.

    Returns:
        None where they are sorted already.

    Raises:
        AiprodError: the clips that are not private, or those that are, are not sorted.
    """
    if len(measured.breaks) > 1:
        late = measured.ids[measured.breaks[1]]
        raise AiprodError(f"the measurements are not sorted by their ids: {late} comes too late", "run `dvc repro`")
    bounds = [0, *measured.breaks, measured.count, measured.count + len(others)]
    runs = [range(one, other) for one, other in pairwise(bounds) if one < other]
    if len(runs) <= 1:
        return None

    def named(run: range) -> Iterator[tuple[str, int]]:
        for number in run:
            yield (measured.ids[number] if number < measured.count else others[number - measured.count]), number

    return np.fromiter((number for _, number in heapq.merge(*map(named, runs))), np.int32, bounds[-1])
