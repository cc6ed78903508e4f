"""Lineage of a sample or a model as it is printed: the first clips, and all the others in counts.

A sample has behind it every clip that its models saw. Making a node for each of a million takes gigabytes, of which a
page shows nine, so what concerns all clips (films and clips by right, obligations, which clip was shown most) is
computed in Arrow columns here, and only what is shown becomes nodes. It says what the full walk says; a test compares.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from aiprod.captions.rows import CaptionRow
from aiprod.data.rows import ClipRow, FilmRow
from aiprod.governance.dataset import records as where
from aiprod.governance.dataset.records import Records, with_obligations
from aiprod.governance.dataset.sparse_rows import ById, SparseTable
from aiprod.governance.lineage.lineage import Lineage, Walker, resolve
from aiprod.qc.rows import VerdictRow
from aiprod.repo.dvc_lock import Lock
from aiprod.storage.ledger import read_table, table_of
from aiprod.storage.manifest.arrow import column, from_numpy, to_numpy
from aiprod.storage.manifest.manifest import HEAD, ROWS, Row

_TABLES: dict[str, type[Row]] = {
    where.FILMS: FilmRow,
    where.CLIPS: ClipRow,
    where.VERDICTS: VerdictRow,
    where.CAPTIONS: CaptionRow,
}
_RIGHT = ("source_id", "media_license", "effective_right")


def brief_lineage(root: Path, target: str, shown: int) -> Lineage | None:
    """What ``lineage`` says of a thing without hashing, with so many of what it came from.

    None where it is neither a sample nor a model of films, or where a manifest is not the one that dvc.lock records:
    then only the full walk, which validates each row, may speak of it.

    Raises:
        AiprodError: nothing here is called that.
    """
    lock = Lock(root) if (root / "dvc.lock").is_file() else None
    facts = ColumnRecords(root, strict=False, lock=lock)
    if lock is None or not facts.as_recorded:
        return None
    kind, name = resolve(facts, target)
    if kind != "sample" and (kind != "model" or name not in where.OF_FILM):
        return None
    walker = replace(_BriefWalker.of(facts, root, lock), columns=facts, shown=shown)
    stage = lock.stage_of(f"{where.SAMPLES}/{name}" if kind == "sample" else f"models/{name}")
    models = [model for model in facts.models if model in where.OF_FILM] if kind == "sample" else [name]
    rights, obligations = facts.rights(models) if models else ([], [])
    return Lineage(
        subject=walker.node(kind, name),
        used_by=walker.used_by(kind, name),
        stages=lock.upstream(stage) if stage else [],
        rights=rights,
        obligations=obligations,
        checked_files=0,
        mismatches=list(facts.problems),
        notes=["bytes were not hashed"],
    )


@dataclass(frozen=True)
class ColumnRecords(Records):
    """The same manifests, of which single rows and whole columns are read."""

    @cached_property
    def as_recorded(self) -> bool:
        """Whether every table is there, is the one that dvc.lock records, and is sorted as rows are looked up."""
        there = all(self._recorded(f"{name}/{part}") for name in _TABLES for part in (HEAD, ROWS))
        return there and all(
            table.is_sorted("film_id" if name == where.FILMS else "clip_id") for name, table in self._tables.items()
        )

    @cached_property
    def films(self) -> Any:
        """As of the other records: by id, with the obligations that came with near duplicates."""
        return ById(self._table(where.FILMS), "film_id", self._more_obligations)

    @cached_property
    def clips(self) -> Any:
        return ById(self._table(where.CLIPS), "clip_id")

    @cached_property
    def verdicts(self) -> Any:
        return ById(self._table(where.VERDICTS), "clip_id")

    @cached_property
    def captions(self) -> Any:
        return ById(self._table(where.CAPTIONS), "clip_id")

    @cached_property
    def _tables(self) -> dict[str, SparseTable]:
        return {name: SparseTable(self.root / name / ROWS, model) for name, model in _TABLES.items()}

    def _table(self, name: str) -> SparseTable:
        return self._tables[name]

    @cached_property
    def _more_obligations(self) -> dict[str, Any]:
        """Films that took obligations over, by id."""
        table = self._table(where.VERDICTS)
        groups = table.groups_beside("obligations", "[]")
        if not groups:
            return {}
        stated = table.arrow("obligations", groups)
        some = pc.fill_null(pc.not_equal(stated, _text("[]")), _false())
        films = ById(self._table(where.FILMS), "film_id")
        obligations: dict[str, Any] = {}
        for film_id, text in zip(
            table.arrow("film_id", groups).filter(some).to_pylist(), stated.filter(some).to_pylist(), strict=True
        ):
            film = obligations.get(film_id) or films.get(film_id)
            if film is not None and (changed := with_obligations(film, json.loads(text))) is not None:
                obligations[film_id] = changed
        return obligations

    def seen(self, model: str) -> pa.Table:
        """Ids and, where they were counted, times of the clips that a model saw."""
        if model not in self._by_model:
            self._by_model[model] = self._clips_and_times(model)
        return self._by_model[model]

    @cached_property
    def _by_model(self) -> dict[str, pa.Table]:
        return {}

    def _clips_and_times(self, model: str) -> pa.Table:
        for name in (f"models/{model}/exposure.json", f"models/{model}/training/exposure.json"):
            table = table_of(Path(name)).as_posix()
            if (self.root / name).is_file() and self._recorded(table):
                return read_table(self.root / name)
        if self._ledger(model) or model == "diffusion":
            counted = self.ledger(model)
            times = column([one.times for one in counted.values()], pa.int64())
            return pa.table({"clip_id": column(list(counted), pa.string()), "times": times})
        return self._admitted

    @cached_property
    def _admitted(self) -> pa.Table:
        """The clips that may be trained on, as ``admitted`` says it of one; how often is not known."""
        clips, verdicts, films = (self._table(name) for name in (where.CLIPS, where.VERDICTS, where.FILMS))
        approved = verdicts.arrow("clip_id").filter(pc.equal(verdicts.arrow("status"), _text("APPROVED")))
        usable = films.arrow("film_id").filter(pc.not_equal(films.arrow("effective_right"), _text("deny")))
        train = pc.equal(clips.arrow("split"), _text("train"))
        known = pc.is_in(clips.arrow("clip_id"), value_set=approved)
        ours = pc.is_in(clips.arrow("film_id"), value_set=usable)
        ids = clips.arrow("clip_id").filter(pc.and_(pc.and_(pc.fill_null(train, _false()), known), ours))
        return pa.table({"clip_id": ids, "times": pa.nulls(len(ids), pa.int64())})

    def rights(self, models: Sequence[str]) -> tuple[list[dict[str, Any]], list[str]]:
        """Films and clips under each source, licence and right, and all obligations, of what these models saw."""
        films, other = self._table(where.FILMS), self._more_obligations
        ids = films.arrow("film_id")
        clips, shown = self._clips_of_films(ids, models)
        plain = shown > 0
        for film_id in other:
            plain[pc.index(ids, _text(film_id)).as_py()] = False
        groups: dict[tuple[str, str, str], list[int]] = {}
        counted = _groups([films.arrow(name) for name in _RIGHT], plain, clips)
        for values, n_films, n_clips in counted:
            _add(groups, values, n_films, n_clips)
        texts = _groups([films.arrow("obligations")], plain, clips)
        obligations = {one for (text,), _, _ in texts for one in json.loads(text or "[]")}
        for film_id, film in other.items():
            place = pc.index(ids, _text(film_id)).as_py()
            if shown[place]:
                right = [film.source_id, film.media_license, film.effective_right]
                _add(groups, right, 1, int(clips[place]))
                obligations |= set(film.obligations)
        rights = [
            {"source": s, "license": lic, "right": r, "films": n, "clips": m}
            for (s, lic, r), (n, m) in sorted(groups.items())
        ]
        return rights, sorted(obligations)

    def _clips_of_films(self, films: pa.Array, models: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """How many clips each film has, and how many of them one of the models saw.

        Clips of a film mostly follow each other, so that a film is looked up once for such a run of clips.
        """
        of = self._table(where.CLIPS).arrow("film_id")
        if not len(of):
            return np.zeros(len(films), np.int64), np.zeros(len(films), np.int64)
        begins = np.ones(len(of), np.bool_)
        begins[1:] = to_numpy(pc.not_equal(of[1:], of[:-1]), True)
        starts = np.flatnonzero(begins)
        runs = of.filter(from_numpy(begins))
        places = np.arange(len(films)) if runs.equals(films) else to_numpy(pc.index_in(runs, value_set=films), -1)
        known = places >= 0
        per_run = (np.diff(starts, append=len(of)), np.add.reduceat(self._seen_by_any(models), starts))
        clips, shown = (
            np.bincount(places[known], weights=counts[known], minlength=len(films)).astype(np.int64)
            for counts in per_run
        )
        return clips, shown

    def _seen_by_any(self, models: Sequence[str]) -> NDArray[np.int64]:
        """1 for each clip that a model saw, else 0. Mostly all models saw the same."""
        ids, seen = self._table(where.CLIPS).arrow("clip_id"), np.zeros(self._table(where.CLIPS).count, np.int64)
        known: list[pa.Array] = []
        for model in models:
            mine = _whole(self.seen(model)["clip_id"])
            if not any(mine.equals(one) for one in known):
                known.append(mine)
                seen |= 1 if mine.equals(ids) else to_numpy(pc.is_in(ids, value_set=mine), False)
        return seen


@dataclass(frozen=True)
class _BriefWalker(Walker):
    columns: ColumnRecords | None = None
    shown: int = 0

    def _count(self, model: str) -> int:
        assert self.columns is not None
        return len(self.columns.seen(model))

    def _showings(self) -> int:
        assert self.columns is not None
        return int(pc.sum(self.columns.seen("diffusion")["times"]).as_py() or 0)

    def _first(self, model: str, beside: int) -> list[tuple[str, int | None]]:
        assert self.columns is not None
        table, most = self.columns.seen(model), max(0, self.shown - beside)
        keys = [("clip_id", "ascending")]
        keys = [("times", "descending"), *keys] if model == "diffusion" else keys
        first = table.take(pc.select_k_unstable(table, k=min(most, len(table)), sort_keys=keys)) if most else table[:0]
        times: Sequence[int | None] = first["times"].to_pylist()
        return list(zip(first["clip_id"].to_pylist(), times if model == "diffusion" else [None] * most, strict=False))


def _add(groups: dict[tuple[str, str, str], list[int]], right: Sequence[str | None], films: int, clips: int) -> None:
    counts = groups.setdefault((str(right[0]), right[1] or "unknown", str(right[2])), [0, 0])
    counts[0] += films
    counts[1] += clips


def _groups(
    columns: Sequence[pa.Array], which: NDArray[np.bool_], clips: NDArray[np.int64]
) -> list[tuple[list[Any], int, int]]:
    """Values that stand together in rows, in how many of these rows, and the sum of their clips."""
    codes = np.zeros(int(which.sum()), np.int64)
    encoded = [one.dictionary_encode("encode") for one in columns]  # also null, which is a value here
    for one in encoded:
        codes = codes * len(one.dictionary) + to_numpy(one.indices, 0)[which]
    different, of = np.unique(codes, return_inverse=True)
    rows, sums = np.bincount(of), np.bincount(of, weights=clips[which])
    found = []
    for code, n_rows, n_clips in zip(different.tolist(), rows.tolist(), sums.tolist(), strict=True):
        places = np.unravel_index(code, [len(one.dictionary) for one in encoded])
        values = [one.dictionary[int(place)].as_py() for one, place in zip(encoded, places, strict=True)]
        found.append((values, n_rows, int(n_clips)))
    return found


def _whole(values: pa.ChunkedArray) -> pa.Array:
    whole = values.combine_chunks()
    return whole.chunk(0) if isinstance(whole, pa.ChunkedArray) else whole


def _text(value: str) -> pa.Scalar:
    return column([value], pa.string())[0]


def _false() -> pa.Scalar:
    return column([False], pa.bool_())[0]
