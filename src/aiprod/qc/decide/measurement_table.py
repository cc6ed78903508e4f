"""Measurements of some clips in columns: what deciding reads of them."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from aiprod.qc.checks import RULES
from aiprod.qc.metric_table import FigureTable
from aiprod.qc.rows import MeasureRow
from aiprod.storage.crypto.film_encryption import Vault, is_private
from aiprod.storage.manifest.arrow import from_numpy, text
from aiprod.storage.manifest.canonical_rows import Columns
from aiprod.storage.manifest.manifest import iter_batches, iter_rows, opened_rows
from aiprod.storage.manifest.measurement_columns import figure_columns, figure_kinds, figure_types, parsed

_OPENED = 1024  # rows of private films in memory
PRINTS = ("look", "change", "sound")
_REPEATING = ("status", "reason", "method", "version")
READ = frozenset(
    {f"{section}.{name}" for rule in RULES.values() for section, names in rule.reads.items() for name in names}
    | {f"{s}.{n}" for r in RULES.values() for s in (r.source, *r.reads) for n in ("status", "reason")}
    | {f"{rule.source}.{name}" for rule in RULES.values() for name in ("method", "version")}
    | {f"fingerprint.{name}" for name in ("status", "method", "version", *PRINTS)}
    | {"watermark.status", "watermark.sketch"}
)


def _repeating(name: str, values: pa.Array) -> pa.Array:
    """The column of a figure, with each text once where it is one that many clips have."""
    if pa.types.is_string(values.type) and name.partition(".")[2] in _REPEATING:
        return values.dictionary_encode()
    return values


_NONE: list[str] = []  # lists are replaced and never changed


@dataclass(frozen=True)
class MeasurementTable:
    """Some clips, sorted, and the figures of those that could be measured.

    Attributes:
        place: of each clip in ``figures``, -1 = it could not be measured.
        thumbnails: files of thumbnails that may be shown, by clip id.
    """

    clip_ids: list[str]
    film_ids: list[str]
    statuses: list[str]
    reasons: list[list[str]]
    place: np.ndarray
    figures: FigureTable
    thumbnails: Mapping[str, str]

    @property
    def count(self) -> int:
        """How many clips there are."""
        return len(self.clip_ids)

    @classmethod
    def of(cls, rows: Iterable[MeasureRow]) -> MeasurementTable:
        """The table of some rows."""
        known = sorted(rows, key=lambda row: row.clip_id)
        measured = [row.measurements for row in known if row.status == "ok"]
        columns = figure_columns(measured, {n: t for n, t in figure_types(figure_kinds(measured)).items() if n in READ})
        table = FigureTable({name: _repeating(name, values) for name, values in columns.items()}, len(measured))
        return _made(_part_of_rows(known), table)

    @classmethod
    def parts(cls, folder: Path, vault: Vault) -> Iterator[MeasurementTable]:
        """A manifest of measurements, some clips at a time; those of private films come last, opened.

        Nothing may be made of them before the last: then the manifest has been checked against its root.

        Raises:
            AiprodError: as ``storage.manifest.read_rows``.
        """
        private = False
        for batch in iter_batches(folder, MeasureRow):
            plain = np.array([not is_private(clip_id) for clip_id in batch["clip_id"].to_pylist()], np.bool_)
            private |= not plain.all()
            good = pc.and_(pc.equal(batch["status"], text("ok")), from_numpy(plain))
            count = pc.sum(good).as_py() or 0
            columns = {name: _repeating(name, values) for name, values in batch.items() if name in READ}
            columns = columns if count == len(good) else {name: v.filter(good) for name, v in columns.items()}
            yield _made(_part_of(batch, plain), FigureTable(columns, count))
        if not private:
            list(opened_rows(folder, (), vault))  # nothing may be sealed where nothing is private
            return
        rows = iter_rows(folder, MeasureRow, vault, without={"measurements"})
        opened = (row for row in rows if is_private(row.clip_id))
        while some := list(itertools.islice(opened, _OPENED)):
            yield cls.of(some)

    def of_each(self, section: str, name: str) -> dict[str, Any]:
        """A figure by clip id, where there is one."""
        values = self.figures[section].values(name)
        ids = [clip_id for clip_id, place in zip(self.clip_ids, self.place.tolist(), strict=True) if place >= 0]
        order = self.place[self.place >= 0].tolist()
        return {clip_id: values[i] for clip_id, i in zip(ids, order, strict=True) if values[i] is not None}

    def made_by(self, section: str) -> dict[str, Any]:
        """Method and version of the first measurement of a kind; empty if there is none."""
        figures = self.figures[section]
        first = int(np.argmax(figures.ok)) if figures.ok.any() else None
        return {} if first is None else {name: figures.text(name)[first] for name in ("method", "version")}

    def prints(self) -> dict[str, dict[str, Any]]:
        """Fingerprints by clip id; a clip without any is not there."""
        words = {name: self.of_each("fingerprint", name) for name in PRINTS}
        status = self.of_each("fingerprint", "status")
        return {
            clip_id: {name: texts[clip_id] for name, texts in words.items() if clip_id in texts}
            for clip_id, stated in status.items()
            if stated == "ok"
        }


_Part = tuple[list[str], list[str], list[str], list[list[str]], list[str | None]]


def _part_of(batch: Columns, mask: np.ndarray) -> _Part:
    """Ids, status, reasons and thumbnails of the rows that a mask picks."""
    chosen = {n: batch[n].filter(from_numpy(mask)) for n in ("clip_id", "film_id", "status", "thumbnails")}
    texts = zip(batch["reasons"].to_pylist(), mask.tolist(), strict=True)
    reasons = [_NONE if text == "[]" else parsed(text) for text, one in texts if one]
    ids, films, statuses, strips = (values.to_pylist() for values in chosen.values())
    return ids, films, list(map(sys.intern, statuses)), reasons, strips


def _part_of_rows(rows: Sequence[MeasureRow]) -> _Part:
    return (
        [row.clip_id for row in rows],
        [row.film_id for row in rows],
        [row.status for row in rows],
        [row.reasons for row in rows],
        [row.thumbnails for row in rows],
    )


def _made(part: _Part, figures: FigureTable) -> MeasurementTable:
    ids, films, statuses, reasons, strips = part
    good = np.array([status == "ok" for status in statuses], np.bool_)
    place = np.where(good, np.cumsum(good) - 1, -1)
    shown = {
        clip_id: strip
        for clip_id, status, strip in zip(ids, statuses, strips, strict=True)
        if status == "ok" and strip and not is_private(clip_id)
    }
    return MeasurementTable(ids, films, statuses, reasons, place, figures, shown)
