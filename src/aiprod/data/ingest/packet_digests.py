"""Knows films that may not be trained on by the digest of their packets, and by nothing of what they show.

By it the same film is refused in another wrapping too, whoever offers it. Runs in worker processes, because a film that
is refused may be as broken as any.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from aiprod.base.files import sha256_file
from aiprod.data.ingest.film_state import OfferedFilm
from aiprod.data.ingest.ingest_film import FetchRequest, arrived, to_send
from aiprod.data.params import IngestParams
from aiprod.data.sources.base import Source
from aiprod.data.sources.registry import source_of
from aiprod.executors.executor import ordered_map
from aiprod.executors.types import Bounds, Engine, Needs
from aiprod.media.errors import MediaError
from aiprod.media.packets import packets_digest
from aiprod.storage.crypto.film_encryption import private_folder
from aiprod.storage.result_cache import Memo, Seal


@dataclass(frozen=True)
class PacketsJob:
    """One film of which only the packets are digested.

    Args:
        path: its file, or None for a film that its source fetches (``wanted``).
        private: its film id, if its digest is to be encrypted.
    """

    path: str | None
    sha256: str
    key: str
    memo: Memo
    private: str | None = None
    wanted: FetchRequest | None = None

    @contextmanager
    def packing(self) -> Iterator[Needs]:
        """What goes to another machine: the film, unless that can fetch it."""
        with to_send(self.path, self.wanted) as files:
            yield Needs(files=files, private=() if self.private is None else (self.private,))

    def placed(self, at: Mapping[str, Path], memo: Memo) -> PacketsJob:
        """The same job on another machine."""
        path, wanted = arrived(self.path, self.wanted, at)
        return replace(self, path=path, wanted=wanted, memo=memo)


def know_packets(
    films: Sequence[OfferedFilm], params: IngestParams, memo: Memo, engine: Engine, *, others: bool = False
) -> None:
    """Set ``packets`` of refused films that are here, and of others where it is known from an earlier refusal.

    A film that cannot be read, or is none, is left without. Remote films are not fetched for it.

    Args:
        others: whether there are films besides these that may be trained on.
    """
    if not others and not any(film.right.permits_training for film in films):
        return  # there is nothing to hold them against
    waiting: list[tuple[OfferedFilm, PacketsJob]] = []
    for film in films:
        if film.error is not None or not is_local(film, params):
            continue
        job = packets_job(film, params, memo)
        known = memo.get(job.key)
        if known is not None:
            film.packets_alone, film.packets_place = known[0]["packets_sha256"], known[1]
        elif not film.right.permits_training:
            waiting.append((film, job))
    jobs = list({job.key: job for _, job in waiting}.values())
    bounds = Bounds(deadline_s=params.deadline_s, memory_bytes=int(params.memory_gib * 2**30))
    for _ in ordered_map(digest_packets, jobs, workers=params.workers, bounds=bounds, engine=engine, confined=True):
        pass
    for film, job in waiting:
        known = memo.get(job.key)
        if known is not None:
            film.packets_alone, film.packets_place = known[0]["packets_sha256"], known[1]


def _source(film: OfferedFilm, params: IngestParams) -> Source:
    return source_of(film.offer.source_id, film.source, params)


def is_local(film: OfferedFilm, params: IngestParams) -> bool:
    """Whether a film can be read here without a transfer over a network."""
    return _source(film, params).nearby


def film_place(film: OfferedFilm, params: IngestParams) -> tuple[str | None, FetchRequest | None]:
    """The path of a film that is a file here; or, for its source to fetch, the film inside a larger file."""
    source, offer = _source(film, params), film.offer
    path = source.path_of(offer)
    return (None, FetchRequest(source, offer, Path())) if path is None else (str(path), None)


@contextmanager
def at_hand(path: str | None, wanted: FetchRequest | None, sha256: str) -> Iterator[Path]:
    """A film as a file that holds what scan saw: its own, or one that is fetched and removed again.

    Raises:
        MediaError: it changed since the scan, or cannot be read.
    """
    if wanted is None:
        assert path is not None
        read_unchanged(Path(path), sha256)
        yield Path(path)
        return
    with private_folder() as folder:  # nothing of a refused film may stay
        wanted.fetch(folder / "received.part", folder / "film")
        if wanted.source.has_read(wanted.offer):
            read_unchanged(folder / "film", sha256)
        yield folder / "film"


def packets_job(film: OfferedFilm, params: IngestParams, memo: Memo) -> PacketsJob:
    """The job of one film that is here."""
    path, wanted = film_place(film, params)
    private = film.film_id if film.private else None
    key = memo.key("packets", private or film.offer.sha256)
    return PacketsJob(path, film.offer.sha256, key, memo, private, wanted)


def digest_packets(job: PacketsJob) -> None:
    """Fill the memo entry of ``job`` with ``{packets_sha256}``, which is None for what does not open.

    Raises:
        MediaError: the file changed since the scan, or cannot be read; nothing is kept.
    """
    with at_hand(job.path, job.wanted, job.sha256) as path:
        try:
            _keep(job, packets_digest(path))
        except MediaError:  # final: the same bytes give the same answer
            _keep(job, None)


def read_unchanged(path: Path, sha256: str) -> None:
    """Read a file to see that it is what scan saw.

    Raises:
        MediaError: it is not, or cannot be read.
    """
    try:
        same = sha256_file(path) == sha256
    except OSError as error:
        raise MediaError("unreadable", f"the file cannot be read ({error.strerror})") from None
    if not same:
        raise MediaError("unreadable", "the file changed while it was looked at", "run again when it is complete")


def _keep(job: PacketsJob, digest: str | None) -> None:
    film_id = job.private
    seal = Seal(film_id, lambda _: f"raw:{film_id}") if film_id is not None else None
    job.memo.put(job.key, lambda _: {"packets_sha256": digest}, seal)


def remember_packets(films: Iterable[OfferedFilm], params: IngestParams, memo: Memo) -> None:
    """Keep the packets' digest of films that were ingested before it was seen that they are refused.

    The next run then refuses them without taking them in.
    """
    for film in films:
        if film.packets is not None and not film.packets_private and is_local(film, params):
            _keep(packets_job(film, params, memo), film.packets)
