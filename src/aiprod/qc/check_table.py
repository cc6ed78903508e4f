"""What the checks answered on very many clips: scores as numbers, everything else as compressed text."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from math import isnan

import numpy as np
import pyarrow as pa
from pydantic import TypeAdapter

from aiprod.base.files import canonical_json
from aiprod.qc.answers import Answer
from aiprod.qc.judges import JUDGES
from aiprod.qc.rows import CheckResult, VerdictRow
from aiprod.qc.scoring import Floats

_BLOCK = 64  # clips whose text is compressed together
_RESULTS = TypeAdapter(list[CheckResult])


@dataclass(frozen=True)
class Packed:
    """The answers on some clips, as one process hands them to another.

    Attributes:
        clip_ids: in order; a clip that was not judged is not among them.
        blocks: LZ4, (bytes when unpacked, content): a line a clip, the results as JSON with commas between.
        scores: check → a score a clip, NaN where there is none.
        statuses: check → how often it answered with which status.
    """

    clip_ids: list[str]
    blocks: list[tuple[int, bytes]]
    scores: dict[str, array[float]]
    statuses: dict[str, Counter[str]]


class Packer:
    """Packs the answers on some clips after those on others."""

    def __init__(self) -> None:
        self._lines: list[bytes] = []
        self._packed = Packed([], [], {name: array("d") for name in JUDGES}, {name: Counter() for name in JUDGES})

    def add(self, clip_ids: Sequence[str], answers: Mapping[str, Sequence[Answer]]) -> dict[str, Floats]:
        """Pack the answers of every check on some clips, and give the scores, NaN where there is none."""
        self._packed.clip_ids.extend(clip_ids)
        found: dict[str, Floats] = {}
        for name, column in answers.items():
            scores = array("d", [answer.score for answer in column])
            found[name] = np.frombuffer(scores)
            self._packed.scores[name].extend(scores)
            self._packed.statuses[name].update([answer.status for answer in column])
        texts = [[answer.text for answer in column] for column in answers.values()]
        self._lines += map(b",".join, zip(*texts, strict=True))
        while len(self._lines) >= _BLOCK:
            self._close_block()
        return found

    def done(self) -> Packed:
        """All of them."""
        if self._lines:
            self._close_block()
        return self._packed

    def _close_block(self) -> None:
        content = b"\n".join(self._lines[:_BLOCK])  # JSON has no line feed outside of its escapes
        self._packed.blocks.append((len(content), pa.compress(content, codec="lz4", asbytes=True)))
        del self._lines[:_BLOCK]


@dataclass
class CheckTable:
    """The answers on all clips of a dataset, and one more check that was judged over all of them together.

    Attributes:
        further: clip id → the result that follows the others.
    """

    parts: Sequence[Packed]
    further: Mapping[str, CheckResult] = field(default_factory=dict)

    def __post_init__(self) -> None:
        ids = [clip_id for part in self.parts for clip_id in part.clip_ids]
        self._places = {clip_id: at for at, clip_id in enumerate(ids)}
        self._starts = list(accumulate((len(part.clip_ids) for part in self.parts), initial=0))
        self._open: tuple[tuple[int, int], list[bytes]] = ((-1, -1), [])
        self._texts: dict[int, bytes] = {}

    def __contains__(self, clip_id: object) -> bool:
        return clip_id in self._places

    def scores(self, name: str, clip_ids: Sequence[str]) -> list[float | None]:
        """The score of one check on some clips, None where there is none."""
        known = [None if isnan(score) else score for part in self.parts for score in part.scores[name]]
        known.append(None)
        places = self._places
        return [known[places.get(clip_id, -1)] for clip_id in clip_ids]

    def cells(self, rows: Sequence[VerdictRow]) -> list[bytes]:
        """The results of clips as a manifest stores them: canonical JSON. Quick in the order of the clips."""
        found = []
        for row in rows:
            at = self._places.get(row.clip_id)
            if at is None:
                found.append(b"[]")
                continue
            further = self.further.get(row.clip_id)
            line = self._line(at)
            found.append(b"[%b]" % line if further is None else b"[%b,%b]" % (line, self._text_of(further)))
        return found

    def results(self, rows: Iterable[VerdictRow]) -> dict[str, list[CheckResult]]:
        """The results of some clips, by clip id."""
        ordered = sorted((row for row in rows if row.clip_id in self._places), key=lambda r: self._places[r.clip_id])
        cells = self.cells(ordered)
        return {row.clip_id: _RESULTS.validate_json(cell) for row, cell in zip(ordered, cells, strict=True)}

    def filled(self, rows: Sequence[VerdictRow]) -> list[VerdictRow]:
        """The rows with their results."""
        found = self.results(rows)
        return [row.model_copy(update={"checks": found.get(row.clip_id, [])}) for row in rows]

    def statuses(self) -> dict[str, Counter[str]]:
        """How often each check answered with which status."""
        found: dict[str, Counter[str]] = {}
        for part in self.parts:
            for name, counts in part.statuses.items():
                found.setdefault(name, Counter()).update(counts)
        for result in self.further.values():
            found.setdefault(result.check, Counter())[result.status] += 1
        return found

    def scored(self) -> dict[str, list[float]]:
        """The scores of each check, in the order of the clips, without those that have none."""
        found = {
            name: [score for part in self.parts for score in part.scores[name] if not isnan(score)] for name in JUDGES
        }
        for result in self.further.values():
            if result.score is not None:
                found.setdefault(result.check, []).append(result.score)
        return found

    def _line(self, place: int) -> bytes:
        part = bisect_right(self._starts, place) - 1
        number, at = divmod(place - self._starts[part], _BLOCK)
        known, lines = self._open  # taken at once: reports are written while the manifest is
        if known != (part, number):
            size, content = self.parts[part].blocks[number]
            lines = pa.decompress(content, size, codec="lz4", asbytes=True).split(b"\n")
            self._open = (part, number), lines
        return lines[at]

    def _text_of(self, result: CheckResult) -> bytes:
        text = self._texts.get(id(result))  # ``further`` keeps the result, so its id stays its own
        if text is None:
            text = self._texts[id(result)] = canonical_json(result.model_dump(mode="json"))
        return text
