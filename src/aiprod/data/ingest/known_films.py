"""Films whose rows, and those of their clips, are what the last run wrote; their results and rights are not read again.

That holds where a film's offer and all that decides rows of all films are the same, and no other film has to do with
it: one with the same bytes or packets takes part in its right, and may be its duplicate. Such films, those with
personal data and made ones are taken in as ever, from the memo, and so is a known film as soon as another turns up
that has to do with it.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from aiprod.base.code_identity import code_digest
from aiprod.base.files import digest_of, link_or_copy, stamp_of
from aiprod.base.state import state
from aiprod.data.ingest.build_rows import raw_name
from aiprod.data.ingest.film_state import OfferedFilm
from aiprod.data.params import IngestParams
from aiprod.data.rows import ClipRow, FilmRow, clip_id_of
from aiprod.data.sources.base import Offer
from aiprod.errors import AiprodError
from aiprod.printable import counted
from aiprod.rights.agreements import ConsentRecord
from aiprod.rights.declarations import SourcesFile
from aiprod.storage.clip_store import ClipStore, Kind
from aiprod.storage.crypto.film_encryption import Vault
from aiprod.storage.manifest.carried import Carried
from aiprod.storage.result_cache import Memo


@dataclass(frozen=True)
class _Object:
    """A file of a result, and the name that it gets as an object."""

    kind: Kind
    name: str
    source: str


@dataclass(frozen=True)
class _Known:
    """A known film."""

    offer: Offer
    film: tuple[str, str]
    clips: Sequence[tuple[str, str]]
    objects: Sequence[_Object]


class KnownFilms:
    """Those of the last run, of which some are taken over.

    Args:
        context: digest of what decides the rows of all films; without it, none is known.
    """

    def __init__(self, memo: Memo, context: str | None = None) -> None:
        self._memo = memo
        films, clips = (None if context is None else state().carried(f"ingest_{name}") for name in ("films", "clips"))
        self.films = Carried(films, context or "")
        self.clips = Carried(clips, context or "", ("ok", "short", "error"))
        self._known: dict[str, _Known] = {}
        self._alike: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._known)

    def choose(self, offers: Iterable[Offer]) -> list[Offer]:
        """Take films over; the offers of which none is."""
        films, clips = self.films.origins(), self.clips.origins()
        rest = []
        for offer in offers:
            origin = _origin(offer)
            [film] = films.get(origin, [None]) if offer.film_id is None else [None]
            known = self._whole(offer, film, clips.get(origin, [])) if film is not None else None
            if known is None:
                rest.append(offer)
            else:
                self._known[known.film[0]] = known
        self._take_over()
        contents, packets = (self.films.field(name) for name in ("content_sha256", "packets_sha256"))
        for film_id, *digests in zip(self.films.ids, contents, packets, strict=True):
            self._alike.update({digest: film_id for digest in digests if digest})
            self._alike.setdefault(self._known[film_id].offer.sha256, film_id)
        return sorted(rest + self.release(offer.sha256 for offer in rest), key=listed_at)

    def release(self, digests: Iterable[str | None]) -> list[Offer]:
        """The offers of known films with such bytes or packets, which are known no longer."""
        films = {self._alike[digest] for digest in digests if digest in self._alike}
        known = [self._known.pop(film_id) for film_id in sorted(films & self._known.keys())]
        if known:
            self._take_over()
        return [film.offer for film in known]

    def objects(self) -> Iterator[tuple[Kind, str, str]]:
        """Kind, name and file of each object of the films that are taken over."""
        for known in self._known.values():
            for each in known.objects:
                yield each.kind, each.name, each.source

    def link(self, store: ClipStore) -> None:
        """Link their objects into the outputs."""
        folders = {kind: str(store.folder(kind)) for kind in ("raw", "processed")}
        for kind, name, source in self.objects():
            link_or_copy(source, f"{folders[kind]}/{name}")

    def pack(self, store: ClipStore) -> None:
        """Pack raw films and clips as params.yaml says; those of known films are told by the digests in their rows.

        Raises:
            AiprodError: as :meth:`ClipStore.pack`. The next run reads everything again, for a known file may hold other
                bytes than it did when it was last read.
        """
        raw = zip(self.films.field("raw_name"), self.films.field("content_sha256"), strict=True)
        processed = zip(self.clips.field("processed_name"), self.clips.field("processed_sha256"), strict=True)
        digests = {name: digest for name, digest in (*raw, *processed) if name and digest}
        try:
            store.pack("raw", "processed", digests=digests)
        except AiprodError:
            self.films.forget()
            self.clips.forget()
            raise

    def remember(self, films: Sequence[OfferedFilm]) -> None:
        """Note what the next run may take over of the films that this one took in.

        Args:
            films: all of them, whatever became of them.
        """
        alike = Counter(
            digest for film in films for digest in {film.content, film.packets, film.offer.sha256} if digest
        )
        for film in films:
            result, place = film.result, film.place
            if film.status != "ok" or film.private or result is None or place is None or result["truth"] is not None:
                continue
            if any(alike[digest] > 1 for digest in (film.content, film.packets, film.offer.sha256) if digest):
                continue
            origin, film_id = _origin(film.offer), film.film_id
            names = [f"{clip_id_of(film_id, clip['index'])}" for clip in result["clips"]]
            self.films.made_from[film_id] = origin
            self.films.notes[film_id] = (
                f"{place.name} {raw_name(film)} {result['raw']} {len(names)} {stamp_of(place / result['raw'])}"
            )
            for name, clip in zip(names, result["clips"], strict=True):
                self.clips.made_from[name] = origin
                self.clips.notes[name] = f"{clip['file']} {stamp_of(place / clip['file'])}" if clip["file"] else ""

    def _whole(self, offer: Offer, film: tuple[str, str], clips: Sequence[tuple[str, str]]) -> _Known | None:
        """A film all of whose rows and files are as they were; of files, size, time and inode tell."""
        key, raw, kept, count, stamp = film[1].split(" ")
        place = f"{self._memo.folder}/{key[:2]}/{key}"
        objects = [_Object("raw", raw, f"{place}/{kept}")]
        stamps = [stamp]
        for name, note in clips:
            if note:
                file, stamp = note.split(" ")
                objects.append(_Object("processed", f"{name}.mp4", f"{place}/{file}"))
                stamps.append(stamp)
        if len(clips) != int(count) or any(stamp_of(o.source) != s for o, s in zip(objects, stamps, strict=True)):
            return None
        return _Known(offer, film, clips, objects)

    def _take_over(self) -> None:
        known = self._known.values()
        self.films.take_over(dict(k.film for k in known), {k.film[0]: _origin(k.offer) for k in known})
        clips = {name: note for k in known for name, note in k.clips}
        self.clips.take_over(clips, {name: _origin(k.offer) for k in known for name, _ in k.clips})


def listed_at(offer: Offer) -> tuple[str, str]:
    """Where scan lists an offer among others."""
    return offer.source_id, offer.key


def context_of(
    memo: Memo,
    params: IngestParams,
    sources: SourcesFile,
    consents: Mapping[str, ConsentRecord],
    vault: Vault,
    *,
    seed: int,
    lapsed: Sequence[str],
) -> str:
    """Digest of what decides the rows of all films: code, parameters, agreements, and which films were erased."""
    agreed = [consent.model_dump(mode="json") for consent in consents.values()]
    erased = [stone.document() for _, stone in sorted(vault.tombstones.items())]
    code = code_digest("ingest")
    declared = sources.model_dump(mode="json")
    return digest_of([memo.context, code, params.digest(), seed, declared, agreed, list(lapsed), erased])


def outcomes_of(films: Sequence[FilmRow], clips: Sequence[ClipRow], known: KnownFilms) -> str:
    """How many films came to which end, and how many clips there are, for the log."""
    counts = Counter("duplicate" if film.duplicate_of else film.status for film in films)
    counts["ok"] += len(known)
    ends = ("ok", "refused", "duplicate", "error", "erased")
    told = ", ".join(f"{counts[end]} {end}" for end in ends if counts[end])
    n_clips = len(clips) + len(known.clips.ids)
    return f"{counted(len(films) + len(known), 'film')} ({told}), {counted(n_clips, 'clip')}"


def _origin(offer: Offer) -> bytes:
    """Digest of all that differs between films and decides a film's rows, other films apart."""
    return hashlib.sha256(offer.model_dump_json().encode()).digest()
