"""Keeps fingerprints of films that may not be trained on, where the policy allows, so that their copies are found.

A fingerprint is made of what the film shows, so it is kept by the film's own rules: encrypted under its key where it
may show people, gone when it is erased, and only as long as the film is offered, denied and allowed to have one. What
is computed is handed down (:class:`Fingerprinter`), for it is quality control that compares it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from aiprod.base.progress import log
from aiprod.data.ingest.film_state import OfferedFilm
from aiprod.data.ingest.ingest_film import FetchRequest, arrived, to_send
from aiprod.data.ingest.packet_digests import at_hand, film_place, is_local
from aiprod.data.params import IngestParams
from aiprod.data.rows import DeniedFilmRow
from aiprod.errors import is_disk_full
from aiprod.executors.executor import ordered_map
from aiprod.executors.types import Bounds, Engine, Needs
from aiprod.media.errors import MediaError
from aiprod.storage.result_cache import Memo, Seal

Fingerprinter = Callable[[Path, IngestParams], list[dict[str, Any]]]
"""A fingerprint of each shot of a film; raises MediaError where nothing of it can be decoded."""


@dataclass(frozen=True)
class PrintsJob:
    """One film to take fingerprints of; ``private`` is its film id, if they are to be encrypted.

    Args:
        path: its file, or None for a film that its source fetches (``wanted``).
    """

    path: str | None
    sha256: str
    key: str
    memo: Memo
    params: IngestParams
    take: Fingerprinter
    private: str | None
    wanted: FetchRequest | None = None

    @contextmanager
    def packing(self) -> Iterator[Needs]:
        """What goes to another machine: the film, unless that can fetch it."""
        with to_send(self.path, self.wanted) as files:
            yield Needs(files=files, private=() if self.private is None else (self.private,))

    def placed(self, at: Mapping[str, Path], memo: Memo) -> PrintsJob:
        """The same job on another machine."""
        path, wanted = arrived(self.path, self.wanted, at)
        return replace(self, path=path, wanted=wanted, memo=memo)


@dataclass
class DeniedPrints:
    """Takes the fingerprints of a run.

    Attributes:
        memo: where they are kept between runs, and nothing else.
        rows: one per film whose fingerprints may be kept, after :meth:`collect`.
    """

    take: Fingerprinter
    memo: Memo
    rows: list[DeniedFilmRow] = field(default_factory=list)

    def collect(
        self, films: Sequence[OfferedFilm], params: IngestParams, engine: Engine, *, others: bool = False
    ) -> None:
        """Make the rows; what earlier runs kept of other films is removed.

        Args:
            others: whether films besides these were taken in.
        """
        wanted = {film.film_id: film for film in films if may_be_kept(film, params)}
        jobs = {film_id: self._job(film, params) for film_id, film in wanted.items()}
        self.memo.keep_only({job.key for job in jobs.values()})
        if not others and not any(film.status == "ok" for film in films):  # then there is nothing to find
            self.rows = []
            return
        todo = list({job.key: job for job in jobs.values() if self.memo.get(job.key) is None}.values())
        bounds = Bounds(deadline_s=params.deadline_s, memory_bytes=int(params.memory_gib * 2**30))
        outcomes = ordered_map(
            take_prints,
            todo,
            workers=params.workers,
            bounds=bounds,
            engine=engine,
            confined=True,
            description="fingerprints of denied films" if todo else "",
        )
        failed = {job.key: outcome.reason for job, outcome in zip(todo, outcomes, strict=True) if not outcome.ok}
        self.rows = [self._row(film, jobs[film_id], failed) for film_id, film in sorted(wanted.items())]
        if bare := sum(row.status == "error" for row in self.rows):
            log(f"ingest: of {bare} denied films no fingerprint could be taken, so copies of them are not found")

    def _job(self, film: OfferedFilm, params: IngestParams) -> PrintsJob:
        path, wanted = film_place(film, params)
        private = film.film_id if film.private else None
        key = self.memo.key(private or film.offer.sha256)
        return PrintsJob(path, film.offer.sha256, key, self.memo, params, self.take, private, wanted)

    def _row(self, film: OfferedFilm, job: PrintsJob, failed: dict[str, str]) -> DeniedFilmRow:
        known = self.memo.get(job.key)
        error = failed.get(job.key, "it could not be kept") if known is None else known[0]["error"]
        return DeniedFilmRow(
            film_id=film.film_id,
            source_id=film.offer.source_id,
            status="ok" if error is None else "error",
            reasons=[] if error is None else [error],
            prints=known[0]["prints"] if known is not None else [],
        )


def may_be_kept(film: OfferedFilm, params: IngestParams) -> bool:
    """Whether a film is denied, is here, and is one of which the policy allows a fingerprint."""
    if film.right.permits_training or film.erased or film.error is not None or not is_local(film, params):
        return False
    if film.packets_private:  # another offer of the same film says that it shows people: nothing of it in the clear
        return False
    allowed = params.fingerprints_of_denied
    return allowed == "all" or (allowed == "impersonal" and not film.private)


def take_prints(job: PrintsJob) -> None:
    """Fill the memo entry of ``job`` with ``{prints, error}``. Runs in a worker.

    Raises:
        MediaError: the file changed since the scan, or cannot be read; nothing is kept.
    """
    with at_hand(job.path, job.wanted, job.sha256) as path:
        try:
            result: dict[str, Any] = {"prints": job.take(path, job.params), "error": None}
        except MediaError as error:  # final: the same bytes give the same answer
            if is_disk_full(error):
                raise
            result = {"prints": [], "error": error.reason}
    film_id = job.private
    seal = Seal(film_id, lambda _: f"prints:{film_id}") if film_id is not None else None
    job.memo.put(job.key, lambda _: result, seal)


def forget_rows(folder: Path) -> None:
    """Remove the table of an earlier run, where there is nothing to keep."""
    shutil.rmtree(folder, ignore_errors=True)
