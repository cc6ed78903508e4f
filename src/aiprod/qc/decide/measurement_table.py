"""The measurements of a dataset in columns: what deciding reads of them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
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
from aiprod.storage.manifest.canonical_rows import Columns, texts_of
from aiprod.storage.manifest.manifest import iter_batches, iter_rows, opened_rows
from aiprod.storage.manifest.measurement_columns import figure_columns, figure_types, parsed

_PRINTS = ("look", "change", "sound")
_REPEATING = ("status", "reason", "method", "version")
_READ = frozenset(
    {f"{section}.{name}" for rule in RULES.values() for section, names in rule.reads.items() for name in names}
    | {f"{s}.{n}" for r in RULES.values() for s in (r.source, *r.reads) for n in ("status", "reason")}
    | {f"{rule.source}.{name}" for rule in RULES.values() for name in ("method", "version")}
    | {f"fingerprint.{name}" for name in ("status", "method", "version", *_PRINTS)}
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
    """The clips of a dataset, sorted, and the figures of those that could be measured.

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
        known = list(rows)
        good = [row for row in known if row.status == "ok"]
        return _joined([_part_of_rows(known)], FigureTable.of([row.measurements for row in good]))

    @classmethod
    def read(cls, folder: Path, vault: Vault) -> MeasurementTable:
        """A manifest of measurements, checked against its root, with what is private filled in.

        Raises:
            AiprodError: as ``storage.manifest.read_rows``.
        """
        parts, figures = [], []
        private = False
        for batch in iter_batches(folder, MeasureRow):
            plain = np.array([not is_private(clip_id) for clip_id in batch["clip_id"].to_pylist()], np.bool_)
            private |= not plain.all()
            good = pc.and_(pc.equal(batch["status"], text("ok")), from_numpy(plain))
            count = pc.sum(good).as_py() or 0
            repeating = {name: _repeating(name, values) for name, values in batch.items() if name in _READ}
            figures.append(
                (count, repeating if count == len(good) else {n: v.filter(good) for n, v in repeating.items()})
            )
            parts.append(_part_of(batch, plain))
        if private:
            rows = [r for r in iter_rows(folder, MeasureRow, vault, without={"measurements"}) if is_private(r.clip_id)]
            measured = [row.measurements for row in rows if row.status == "ok"]
            columns = figure_columns(measured, {n: t for n, t in figure_types(measured).items() if n in _READ})
            figures.append((len(measured), {name: _repeating(name, values) for name, values in columns.items()}))
            parts.append(_part_of_rows(rows))
        else:
            list(opened_rows(folder, (), vault))  # nothing may be sealed where nothing is private
        table = FigureTable(_concatenated(figures), sum(count for count, _ in figures))
        pa.default_memory_pool().release_unused()
        return _joined(parts, table)

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
        words = {name: self.of_each("fingerprint", name) for name in _PRINTS}
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


def _joined(parts: Sequence[_Part], figures: FigureTable) -> MeasurementTable:
    ids = [value for part in parts for value in part[0]]
    films = [value for part in parts for value in part[1]]
    statuses = [value for part in parts for value in part[2]]
    reasons = [value for part in parts for value in part[3]]
    strips = [value for part in parts for value in part[4]]
    good = np.array([status == "ok" for status in statuses], np.bool_)
    place = np.where(good, np.cumsum(good) - 1, -1)
    order = sorted(range(len(ids)), key=ids.__getitem__)
    return MeasurementTable(
        [ids[i] for i in order],
        [films[i] for i in order],
        [statuses[i] for i in order],
        [reasons[i] for i in order],
        place[np.array(order, np.int64)],
        figures,
        {ids[i]: strip for i in order if statuses[i] == "ok" and (strip := strips[i]) and not is_private(ids[i])},
    )


def _concatenated(parts: Sequence[tuple[int, dict[str, pa.Array]]]) -> dict[str, pa.Array]:
    """One column of each figure, of a type that all parts have; null where a part has none."""
    whole: dict[str, pa.Array] = {}
    for name in dict.fromkeys(name for _, columns in parts for name in columns):
        kinds = {columns[name].type for _, columns in parts if name in columns}
        kind = kinds.pop() if len(kinds) == 1 else pa.float64() if kinds <= {pa.int64(), pa.float64()} else pa.json_()
        # Out of the parts, so that no column is in memory twice for long.
        whole[name] = pa.concat_arrays([_as(columns.pop(name, None), count, kind) for count, columns in parts])
    return whole


def _as(values: pa.Array | None, count: int, kind: pa.DataType) -> pa.Array:
    if isinstance(kind, pa.JsonType):
        if values is not None and pa.types.is_dictionary(values.type):
            values = values.cast(values.type.value_type)
        texts = pa.nulls(count, pa.string()) if values is None else texts_of(values)
        return pa.ExtensionArray.from_storage(kind, texts)
    return pa.nulls(count, kind) if values is None else values.cast(kind)
