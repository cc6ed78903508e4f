"""Measures all clips of a dataset: known results from the memo, the rest in worker processes, a row for each clip.

Where only some checks changed since a clip was measured, only those are measured anew.
"""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from aiprod.base.files import digest_of, link_or_copy, sha256_file, stamp_of, write_bytes
from aiprod.base.progress import log
from aiprod.base.stage import Counters
from aiprod.data.retries import try_again
from aiprod.data.rows import ClipRow, FilmRow
from aiprod.errors import AiprodError
from aiprod.executors.executor import ordered_map
from aiprod.executors.types import Bounds, Engine, Needs
from aiprod.media.errors import MediaError
from aiprod.media.media_info import MediaFacts
from aiprod.qc.bundled.catalogue import require_intact
from aiprod.qc.measure.cached_measurements import CachedResults, Earlier, merged, versions
from aiprod.qc.measure_params import QcMeasureParams
from aiprod.qc.rows import MeasureRow
from aiprod.storage.clip_store import ClipStore, decrypted_copy, pack_folder, refuse_damaged
from aiprod.storage.crypto.film_encryption import is_private
from aiprod.storage.manifest.carried import Carried
from aiprod.storage.manifest.manifest import LeavedTable
from aiprod.storage.result_cache import Memo, Seal

STRIP = "strip.jpg"
_FILM = "film"


@dataclass(frozen=True)
class MeasureJob:
    """One clip to measure: a range of a raw film."""

    key: str
    path: Path
    facts: dict[str, Any]
    start_s: float
    end_s: float
    params: QcMeasureParams
    memo: Memo
    private: str | None = None  # the clip's id, if what is measured is to be encrypted
    earlier: Earlier | None = None  # what was measured by other versions of some checks

    @contextmanager
    def packing(self) -> Iterator[Needs]:
        """What goes to another machine."""
        yield Needs(
            files={_FILM: self.path},
            shared=self.params.files,
            entries=() if self.earlier is None else (self.earlier.key,),
            private=() if self.private is None else (self.private,),
        )

    def placed(self, at: Mapping[str, Path], memo: Memo) -> MeasureJob:
        """The same job on another machine."""
        return replace(self, path=at[_FILM], params=self.params.with_files(at), memo=memo)


def measure_job(job: MeasureJob) -> None:
    """Fill the memo entry of ``job`` with ``{error, measurements}`` and the thumbnails. Runs in a worker."""
    from aiprod.qc.measure.measure_clip import (
        contact_strip,
        measure_clip,
    )  # here: a run that measures nothing need not load it

    known = job.memo.get(job.earlier.key) if job.earlier is not None else None
    before, only = (known[0], job.earlier.stale) if known is not None and job.earlier is not None else (None, None)

    def build(folder: Path) -> dict[str, Any]:
        if before is not None and before["error"] is not None:  # no check's doing
            return {"error": before["error"], "measurements": {}}
        try:
            with decrypted_copy(job.path) as path:
                measurements, thumbnails = measure_clip(
                    path, MediaFacts.model_validate(job.facts), job.start_s, job.end_s, job.params, only=only
                )
        except MediaError as error:  # final: the same bytes give the same answer
            return {"error": error.reason, "measurements": {}}
        if thumbnails:
            write_bytes(folder / STRIP, contact_strip(thumbnails))
        return {
            "error": None,
            "measurements": merged(before["measurements"], measurements) if before is not None else measurements,
        }

    clip_id = job.private
    job.memo.put(job.key, build, Seal(clip_id, lambda _: f"thumb:{clip_id}") if clip_id is not None else None)


def measure_all(
    films: Sequence[FilmRow],
    clips: Sequence[ClipRow],
    params: QcMeasureParams,
    *,
    memo: Memo,
    store: ClipStore,
    thumbs: Path,
    engine: Engine = "local",
    carried: Carried | None = None,
) -> tuple[list[MeasureRow], Counters]:
    """A row for each clip, in the order of ``clips``; thumbnails appear in ``thumbs`` as ``<clip_id>.jpg``.

    Args:
        carried: rows of other clips that are known; it is told where results of these are kept.
    """
    by_id = {film.film_id: film for film in films}
    reused, kept = set[str](), CachedResults(memo)
    jobs: list[MeasureJob] = []
    keys: dict[str, str] = {}
    for clip in clips:
        film = by_id[clip.film_id]
        if film.raw_name is None or film.facts is None or clip.status in ("error", "erased"):
            continue
        private = clip.clip_id if is_private(clip.clip_id) else None
        address = private or film.content_sha256, clip.start_s, clip.end_s
        key = kept.key(*address)
        keys[clip.clip_id] = key
        if memo.get(key) is not None:
            reused.add(clip.clip_id)
            continue
        path = store.path("raw", film.raw_name)
        earlier = kept.earlier(*address)
        jobs.append(MeasureJob(key, path, film.facts, clip.start_s, clip.end_s, params, memo, private, earlier))
    todo = list({job.key: job for job in jobs}.values())
    kept.remember()
    _tell(todo)
    plain_films = {film.raw_name: film for film in films if film.raw_name and not is_private(film.film_id)}
    refuse_damaged((job.path, f.content_sha256) for job in todo if (f := plain_films.get(job.path.name)) is not None)
    if todo and params.nsfw.checkpoint:  # one that does not load must stop the run, not cost every clip its row
        from aiprod.qc.image_classifier import load_classifier

        load_classifier(params.nsfw)
    if todo and params.face_yunet_onnx:
        from aiprod.qc.checks.yunet import load_yunet

        load_yunet(params.face_yunet_onnx)
    if todo:
        require_intact(params.uses)
    bounds = Bounds(deadline_s=params.clip_timeout_s, memory_bytes=int(params.memory_gib * 2**30))
    outcomes = ordered_map(
        measure_job,
        todo,
        workers=params.workers,
        bounds=bounds,
        description="qc_measure" if todo else "",
        engine=engine,
        confined=True,
        film_s=lambda job, _: job.end_s - job.start_s,
    )
    faults = {job.key: outcome.reason for job, outcome in zip(todo, outcomes, strict=True) if not outcome.ok}
    lost = [job.key for job in todo if job.key in faults or memo.kept(job.key) is None]
    if left := try_again("qc_measure", dict.fromkeys(lost, False)):
        log(f"qc_measure: {left} could not be measured this time; the next `dvc repro` tries again")
    rows = [_row(clip, by_id, keys=keys, memo=memo, faults=faults, thumbs=thumbs) for clip in clips]
    well = [row.clip_id for row in rows if row.status not in ("error", "unfinished") and row.clip_id in keys]
    counters = Counters(failed=sum(1 for row in rows if row.status in ("error", "unfinished")))
    counters.reused = sum(1 for clip_id in well if clip_id in reused)
    counters.processed = len(well) - counters.reused
    if carried is not None:
        carried.notes.update({row.clip_id: _note(keys[row.clip_id], memo) for row in rows if row.status == "ok"})
    wanted = {row.thumbnails for row in rows} | {_thumbnail(clip_id) for clip_id in (carried.ids if carried else ())}
    for path in thumbs.iterdir() if thumbs.is_dir() else ():
        if path.is_dir():  # shards are packed anew
            shutil.rmtree(path)
        elif path.name not in wanted:
            path.unlink()
    return rows, counters


def context_of(memo: Memo, params: QcMeasureParams) -> str:
    """Digest of what decides the rows of all clips."""
    return digest_of([memo.context, params.digest(), versions()])


def made_from(films: LeavedTable[FilmRow], clips: LeavedTable[ClipRow]) -> dict[str, bytes]:
    """Clip id → digest of all that differs between clips and decides a row: those of its film and of the clip."""
    leaves = dict(zip(films.ids, films.leaves, strict=True))
    return {
        clip_id: hashlib.sha256(leaves[film_id] + leaf).digest()
        for clip_id, film_id, leaf in zip(clips.ids, clips.cells("film_id"), clips.leaves, strict=True)
    }


def take_thumbnails(notes: Mapping[str, str], memo: Memo, thumbs: Path) -> dict[str, str]:
    """Link the thumbnails of known clips; the notes of those whose kept file is what it was when it was last read.

    Its times and inode tell, for reading and hashing each would take longer than all else.

    Args:
        notes: clip id → what :func:`measure_all` noted of its result.
    """
    thumbs.mkdir(parents=True, exist_ok=True)
    kept: dict[str, str] = {}
    for clip_id, note in notes.items():
        key, *about = note.split(" ")
        if about:
            _, stamp = about
            source = f"{memo.folder}/{key[:2]}/{key}/{STRIP}"
            if stamp_of(source) != stamp:
                continue
            link_or_copy(source, f"{thumbs}/{_thumbnail(clip_id)}")
        kept[clip_id] = note
    return kept


def pack_thumbnails(thumbs: Path, carried: Carried) -> None:
    """Pack the thumbnails into shards where there are more than params.yaml says, or unpack them.

    Those that were noted need not be read to be told, unless their shard is written anew.

    Args:
        carried: with the notes of :func:`measure_all`.

    Raises:
        AiprodError: as :func:`pack_folder`. The next run reads everything again, for a known file may hold other bytes
            than it did when it was last read.
    """
    notes = ((clip_id, note.split(" ")) for clip_id, note in carried.notes.items())
    thumbs.mkdir(parents=True, exist_ok=True)
    try:
        pack_folder(thumbs, thumbs.name, {_thumbnail(clip_id): about[1] for clip_id, about in notes if len(about) > 1})
    except AiprodError:
        carried.forget()
        raise


def _note(key: str, memo: Memo) -> str:
    """Where a result is kept; of its thumbnails, if it has any, SHA-256 and what their file looks like from outside."""
    strip = memo.place_of(key) / STRIP
    stamp = stamp_of(strip)
    return f"{key} {sha256_file(strip)} {stamp}" if stamp else key


def _thumbnail(clip_id: str) -> str:
    return f"{clip_id}.jpg"


def _tell(jobs: Sequence[MeasureJob]) -> None:
    """Say where checks that changed are all that is measured."""
    for stale, count in Counter(job.earlier.stale for job in jobs if job.earlier is not None).items():
        log(f"qc_measure: of {count} known clips only {', '.join(stale) or 'what is left'} is measured again")


def _row(
    clip: ClipRow,
    films: Mapping[str, FilmRow],
    *,
    keys: Mapping[str, str],
    memo: Memo,
    faults: Mapping[str, str],
    thumbs: Path,
) -> MeasureRow:
    def error(reasons: list[str], status: Literal["error", "unfinished"] = "error") -> MeasureRow:
        return MeasureRow(clip_id=clip.clip_id, film_id=clip.film_id, status=status, reasons=reasons)

    key = keys.get(clip.clip_id)
    if clip.status == "erased":
        return MeasureRow(clip_id=clip.clip_id, film_id=clip.film_id, status="erased", reasons=clip.reasons)
    if key is None:
        return error(clip.reasons or films[clip.film_id].reasons or ["ingest kept no picture of this clip"])
    if key in faults:
        return error([f"the measurement failed: {faults[key]}"], "unfinished")
    known = memo.get(key)
    if known is None:
        return error(["the measurement could not be kept"], "unfinished")
    result, place = known
    if result["error"] is not None:
        return error([result["error"]])
    name = None
    if (place / STRIP).is_file():
        name = _thumbnail(clip.clip_id)
        memo.link(place, STRIP, thumbs / name)
    return MeasureRow(
        clip_id=clip.clip_id, film_id=clip.film_id, status="ok", measurements=result["measurements"], thumbnails=name
    )
