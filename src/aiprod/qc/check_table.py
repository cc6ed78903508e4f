"""What the checks answered on very many clips: scores as numbers, everything else as compressed text."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from json.encoder import encode_basestring
from math import isnan, nan
from typing import Any

import pyarrow as pa
from pydantic import TypeAdapter

from aiprod.base.files import canonical_json
from aiprod.base.row_text import scalar_text
from aiprod.qc.judgements import JUDGES, Judgement
from aiprod.qc.rows import CheckResult, VerdictRow

_BLOCK = 64  # clips whose text is compressed together
_KNOWN_MAX = 2_000  # of each check
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
    """Packs the answers on one clip after the other.

    Args:
        digest: of the parameters, as each result carries it.
    """

    def __init__(self, digest: str) -> None:
        self._digest = digest
        self._known: dict[str, dict[tuple[Any, ...], tuple[Judgement, str]]] = {name: {} for name in JUDGES}
        self._fixed: dict[tuple[Any, ...], tuple[str, str, str]] = {}
        self._sources = {name: source for name, (source, _) in JUDGES.items()}
        self._lines: list[str] = []
        self._answers: list[Mapping[str, Judgement]] = []
        self._packed = Packed([], [], {name: array("d") for name in JUDGES}, {name: Counter() for name in JUDGES})

    def add(self, clip_id: str, judged: Mapping[str, Judgement], found: Mapping[str, Mapping[str, Any]]) -> None:
        """Pack the answers on a clip.

        Args:
            judged: of every check.
            found: its measurements, of which method and version go into each result.
        """
        texts = []
        for name, answer in judged.items():  # most answers of a large dataset are the same few
            figures = found[self._sources[name]]
            key = (answer.reason, answer.score, figures.get("method"), figures.get("version"))
            known = self._known[name].get(key)
            if known is None or known[0] != answer or type(known[0].value) is not type(answer.value):
                known = answer, self._text(name, answer, figures)
                if len(self._known[name]) < _KNOWN_MAX:
                    self._known[name][key] = known
            texts.append(known[1])
        self._packed.clip_ids.append(clip_id)
        self._lines.append(",".join(texts))
        self._answers.append(judged)
        if len(self._lines) == _BLOCK:
            self._close_block()

    def done(self) -> Packed:
        """All of them."""
        if self._lines:
            self._close_block()
        return self._packed

    def _close_block(self) -> None:
        content = "\n".join(self._lines).encode()  # JSON has no line feed outside of its escapes
        self._packed.blocks.append((len(content), pa.compress(content, codec="lz4", asbytes=True)))
        for name, scores in self._packed.scores.items():
            column = [judged[name] for judged in self._answers]
            scores.extend([nan if answer.score is None else answer.score for answer in column])
            self._packed.statuses[name].update([answer.status for answer in column])
        self._lines, self._answers = [], []

    def _text(self, name: str, answer: Judgement, figures: Mapping[str, Any]) -> str:
        """The result as canonical JSON: keys in order of the alphabet."""
        key = (name, answer.status, figures.get("method"), figures.get("version"))
        fixed = self._fixed.get(key)
        if fixed is None:
            method, version = (encode_basestring(str(figures.get(part, ""))) for part in ("method", "version"))
            head = f'{{"check":"{name}","method":{method},"params_digest":"{self._digest}","reason":'
            fixed = self._fixed[key] = head, f',"status":"{answer.status}","value":', f',"version":{version}}}'
        head, middle, tail = fixed
        score = scalar_text(answer.score)
        return f'{head}{encode_basestring(answer.reason)},"score":{score}{middle}{scalar_text(answer.value)}{tail}'


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
        self._open: tuple[tuple[int, int], list[str]] = ((-1, -1), [])
        self._texts: dict[int, str] = {}

    def __contains__(self, clip_id: object) -> bool:
        return clip_id in self._places

    def scores(self, name: str, clip_ids: Sequence[str]) -> list[float | None]:
        """The score of one check on some clips, None where there is none."""
        known = [None if isnan(score) else score for part in self.parts for score in part.scores[name]]
        known.append(None)
        places = self._places
        return [known[places.get(clip_id, -1)] for clip_id in clip_ids]

    def cell(self, row: VerdictRow) -> str:
        """The results of a clip as a manifest stores them: canonical JSON. Quick in the order of the clips."""
        at = self._places.get(row.clip_id)
        if at is None:
            return "[]"
        further = self.further.get(row.clip_id)
        return f"[{self._line(at)}{',' + self._text_of(further) if further is not None else ''}]"

    def results(self, rows: Iterable[VerdictRow]) -> dict[str, list[CheckResult]]:
        """The results of some clips, by clip id."""
        ordered = sorted((row for row in rows if row.clip_id in self._places), key=lambda r: self._places[r.clip_id])
        return {row.clip_id: _RESULTS.validate_json(self.cell(row)) for row in ordered}

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

    def _line(self, place: int) -> str:
        part = bisect_right(self._starts, place) - 1
        number, at = divmod(place - self._starts[part], _BLOCK)
        known, lines = self._open  # taken at once: reports are written while the manifest is
        if known != (part, number):
            size, content = self.parts[part].blocks[number]
            lines = pa.decompress(content, size, codec="lz4", asbytes=True).decode().split("\n")
            self._open = (part, number), lines
        return lines[at]

    def _text_of(self, result: CheckResult) -> str:
        text = self._texts.get(id(result))  # ``further`` keeps the result, so its id stays its own
        if text is None:
            text = self._texts[id(result)] = canonical_json(result.model_dump(mode="json")).decode()
        return text
