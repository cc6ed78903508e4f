"""What the checks answered on very many clips: scores as numbers, everything else as compressed text."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from operator import itemgetter

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import TypeAdapter

from aiprod.base.files import canonical_json
from aiprod.qc.checks import RULES
from aiprod.qc.decide.result_cache import Answer
from aiprod.qc.decide.scoring import Floats
from aiprod.qc.rows import CheckResult, VerdictRow

_BLOCK = 64  # clips whose text is compressed together
Places = NDArray[np.int64]
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
        self._packed = Packed([], [], {name: array("d") for name in RULES}, {name: Counter() for name in RULES})

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
        blocks = [block for part in self.parts for block in part.blocks]
        clips = [
            min(_BLOCK, len(part.clip_ids) - at) for part in self.parts for at in range(0, len(part.clip_ids), _BLOCK)
        ]
        ends = list(accumulate(clips))
        self._blocks = list(zip([0, *ends[:-1]] if ends else [], ends, blocks, strict=True))
        self._texts: dict[int, bytes] = {}

    def __contains__(self, clip_id: object) -> bool:
        return clip_id in self._places

    def places(self, clip_ids: Sequence[str]) -> Places:
        """Where the clips stand in this table; -1 where one was not judged."""
        return np.array([self._places.get(clip_id, -1) for clip_id in clip_ids], np.int64)

    def scores(self, name: str, places: Places | None = None) -> Floats:
        """The score of one check on the clips at these places, or on all, NaN where there is none."""
        scores = np.concatenate([np.array(part.scores[name], np.float64) for part in self.parts] or [np.empty(0)])
        return scores if places is None else np.append(scores, np.nan)[places]

    def cells(self, rows: Sequence[VerdictRow]) -> list[bytes]:
        """The results of clips as a manifest stores them: canonical JSON. Quick in the order of the clips."""
        found: list[bytes] = []
        lines: list[bytes] = []
        first = end = 0
        known, end_text = None, b"]"  # most clips have the same further result
        for row in rows:
            at = self._places.get(row.clip_id)
            if at is None:
                found.append(b"[]")
                continue
            if not first <= at < end:
                first, end, lines = self._opened(at)
            further = self.further.get(row.clip_id)
            if further is not known:
                known, end_text = further, b"]" if further is None else b",%b]" % self._text_of(further)
            found.append(b"[%b%b" % (lines[at - first], end_text))
        return found

    def filled(self, rows: Sequence[VerdictRow]) -> list[VerdictRow]:
        """The rows with their results."""
        ordered = sorted(rows, key=lambda row: self._places.get(row.clip_id, -1))
        found = dict(
            zip([row.clip_id for row in ordered], map(_RESULTS.validate_json, self.cells(ordered)), strict=True)
        )
        return [row.model_copy(update={"checks": found[row.clip_id]}) for row in rows]

    def statuses(self) -> dict[str, Counter[str]]:
        """How often each check answered with which status."""
        found: dict[str, Counter[str]] = {}
        for part in self.parts:
            for name, counts in part.statuses.items():
                found.setdefault(name, Counter()).update(counts)
        for (check, status), count in Counter((r.check, r.status) for r in self.further.values()).items():
            found.setdefault(check, Counter())[status] += count
        return found

    def scored(self) -> dict[str, Floats]:
        """The scores of each check, in the order of the clips, without those that have none."""
        found = {name: self.scores(name) for name in RULES}
        further: dict[str, list[float]] = {}
        for result in self.further.values():
            if result.score is not None:
                further.setdefault(result.check, []).append(result.score)
        known = {name: scores[~np.isnan(scores)] for name, scores in found.items()}
        return known | {name: np.array(scores) for name, scores in further.items()}

    def _opened(self, place: int) -> tuple[int, int, list[bytes]]:
        """The block that a place is in: its first place, the one after its last, and a line for each clip."""
        first, end, (size, content) = self._blocks[bisect_right(self._blocks, place, key=itemgetter(0)) - 1]
        return first, end, pa.decompress(content, size, codec="lz4", asbytes=True).split(b"\n")

    def _text_of(self, result: CheckResult) -> bytes:
        text = self._texts.get(id(result))  # ``further`` keeps the result, so its id stays its own
        if text is None:
            text = self._texts[id(result)] = canonical_json(result.model_dump(mode="json"))
        return text
