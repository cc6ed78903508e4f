"""From a request (an id, a hash, an address) to the films it means, in the present state and in every past one.

The unit of erasure is the film: its raw object holds all its shots, so a shot cannot go while the film stays. The same
film under another name or in another wrapping goes with it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TypeVar

from aiprod.base.denials import Refusal
from aiprod.data.rows import ClipRow, FilmRow
from aiprod.errors import AiprodError
from aiprod.governance.dataset import records as where
from aiprod.governance.erasure.chosen_rows import chosen_rows, texts, unchecked_columns
from aiprod.repo.dvc_lock import hashes
from aiprod.repo.history import History
from aiprod.speech.rows import SpeechRow
from aiprod.storage.crypto.film_encryption import Vault, film_of, is_private
from aiprod.storage.crypto.tombstones import REASON, Tombstone
from aiprod.storage.manifest.canonical_rows import Columns
from aiprod.storage.manifest.encrypted_columns import SEALED
from aiprod.storage.manifest.manifest import HEAD, ROWS

T = TypeVar("T")


class Recording(FilmRow):
    """One recording of a voice, as an erasure takes it: like a film, of which a voice has many."""

    utterance_id: str
    speaker_name: str | None
    text_key: str | None

    @property
    def beside(self) -> set[str]:
        """What names it in its source, beside its own file: its text, its line in a table, and the speaker's."""
        stem = PurePosixPath(self.key).stem
        return {name for name in (self.text_key, stem, self.speaker_name) if name} - {"metadata.csv"}


@dataclass
class Target:
    """One film or voice to erase, with all that any state of the pipeline knows of it."""

    row: FilmRow
    clips: set[str] = field(default_factory=set)
    rows: list[FilmRow] = field(default_factory=list)  # other states' rows of it

    @property
    def film_id(self) -> str:
        """Its opaque id."""
        return self.row.film_id

    def tombstone(self, vault: Vault) -> Tombstone:
        """What stays of it."""
        packets = self.row.packets_sha256
        contents = {row.content_sha256 for row in self.rows if row.content_sha256} - {self.row.content_sha256}
        return Tombstone(
            film_id=self.film_id,
            source_id=self.row.source_id,
            clips=len(self.clips),
            content=vault.keys.commitment("content", self.row.content_sha256 or ""),
            packets=vault.keys.commitment("packets", packets) if packets else None,
            also=sorted(vault.keys.commitment("content", each) for each in contents),
            by=vault.keys.commitment("tombstone", self.film_id),
        )


@dataclass(frozen=True)
class ErasureRequest:
    """What was asked for; exactly one of the three."""

    object_id: str | None = None
    sha256: str | None = None
    source_url: str | None = None

    @property
    def kind(self) -> str:
        """``id``, ``sha256`` or ``source_url``."""
        return "id" if self.object_id else "sha256" if self.sha256 else "source_url"

    def matches(self, row: FilmRow) -> bool:
        """Whether a film is meant."""
        if self.object_id:
            return row.film_id == film_of(self.object_id)
        if self.sha256:
            return row.content_sha256 == self.sha256.lower()
        return row.url == self.source_url


def resolve(request: ErasureRequest, history: History, vault: Vault) -> list[Target]:
    """The films that a request means, by id.

    Raises:
        Refusal: it is in the clear, so that there is no key to destroy.
        AiprodError: none is known, it was erased before, or it is speech that no person spoke.
    """
    criteria = [v for v in (request.object_id, request.sha256, request.source_url) if v]
    if len(criteria) != 1:
        raise AiprodError("say what to erase in one way", "give an id, --sha256 or --source-url")
    if request.object_id and is_private(request.object_id) and vault.erased(request.object_id):
        hint = "its certificate is in datasets/erasures; `aiprod audit verify` names an erasure that is not finished"
        raise AiprodError(f"{film_of(request.object_id)} was already {REASON}", hint)
    spoken = list(_voices(history, vault))
    request = _by_name(request, spoken)
    known: list[FilmRow] = [*_films(history, vault, request), *spoken]
    matching = {row.film_id for row in known if request.matches(row)}
    contents = {row.content_sha256 for row in known if row.film_id in matching and row.content_sha256}
    packets = {row.packets_sha256 for row in known if row.film_id in matching and row.packets_sha256}
    same = [row for row in known if row.content_sha256 in contents or row.packets_sha256 in packets]
    films = matching | {row.film_id for row in same}
    in_the_clear = _stored_in_the_clear(history, films, contents, packets)
    if not films and request.object_id and (problem := _spoken(history.root, request.object_id)):
        raise problem
    if not films:
        raise AiprodError(
            f"no film here has this {request.kind.replace('_', ' ')}",
            "give a film or clip id, the SHA-256 of the file, or the address as its sidecar states it",
        )
    if in_the_clear:
        first = min(in_the_clear)
        raise Refusal(
            f"{first} is stored unencrypted (its personal_data_basis is `none`), so there is no key to destroy",
            "see `Films that were never encrypted` in docs/erasure.md",
            lack="key",
            action="erase",
            subject=first,
        )
    targets: dict[str, Target] = {}
    for row in known:
        if row.film_id in films and is_private(row.film_id):
            targets.setdefault(row.film_id, Target(row)).rows.append(row)
    for clip in _clips(history, vault, targets.keys()):
        targets[clip.film_id].clips.add(clip.clip_id)
    for utterance in spoken:
        if utterance.film_id in targets:
            targets[utterance.film_id].clips.add(utterance.utterance_id)
    return [targets[film_id] for film_id in sorted(targets)]


def _spoken(root: Path, target: str) -> AiprodError | None:
    """The answer to who asks for an utterance or a speaker of the speech dataset, of which there is no film."""
    facts = where.Records(root, strict=False)
    rows = [row for key, row in facts.utterances.items() if target in (key, row.speaker)]
    if not rows:
        return None
    if all(row.synthetic for row in rows):
        return AiprodError(
            f"{target} is speech that no person spoke ({rows[0].provenance}), so there is nobody to erase",
            "`make_speech` in params.yaml says what is spoken; `aiprod lineage` names the model that heard it",
        )
    records = ", ".join(sorted({row.consent_ref for row in rows if row.consent_ref})) or "none is recorded"
    return Refusal(
        f"{target} is speech of a person that is stored unencrypted, so there is no key to destroy",
        f"withdraw the consent ({records}), so that no model is trained on it; `aiprod lineage` names who heard it",
        lack="key",
        action="erase",
        subject=rows[0].utterance_id,
    )


def _films(history: History, vault: Vault, request: ErasureRequest) -> Iterator[FilmRow]:
    """Films with personal data, and any other that is meant; a million others are not made into rows."""

    def wanted(columns: Columns) -> list[bool]:
        ids, hashes, urls = (texts(columns, name) for name in ("film_id", "content_sha256", "url"))
        meant = film_of(request.object_id) if request.object_id else None
        sha256 = request.sha256.lower() if request.sha256 else None
        return [
            is_private(film or "")
            or (meant is not None and film == meant)
            or (sha256 is not None and digest == sha256)
            or (request.source_url is not None and url == request.source_url)
            for film, digest, url in zip(ids, hashes, urls, strict=True)
        ]

    for row in _every(history, where.FILMS, lambda folder: list(chosen_rows(folder, FilmRow, wanted, vault))):
        if row.status != "erased":
            yield row


def _stored_in_the_clear(history: History, films: set[str], contents: set[str], packets: set[str]) -> set[str]:
    """Which of these films, or of those with the same content or packets, are stored unencrypted in some state."""
    names = ("film_id", "content_sha256", "packets_sha256", "raw_name")

    def found(folder: Path) -> list[str]:
        return [
            film
            for columns in unchecked_columns(folder, names)
            for film, content, packed, raw in zip(*(texts(columns, name) for name in names), strict=True)
            if film and raw and not is_private(film) and (film in films or content in contents or packed in packets)
        ]

    return set(_every(history, where.FILMS, found))


def _voices(history: History, vault: Vault) -> Iterator[Recording]:
    def wanted(columns: Columns) -> list[bool]:
        return [is_private(name or "") for name in texts(columns, "utterance_id")]

    for row in _every(history, where.SPEECH, lambda folder: list(chosen_rows(folder, SpeechRow, wanted, vault))):
        if row.status != "erased":
            yield Recording(
                film_id=film_of(row.utterance_id),
                source_id=row.source_id,
                key=row.key or "",
                status="ok",
                content_sha256=row.content_sha256,
                size_bytes=row.size_bytes,
                consent_ref=row.consent_ref,
                utterance_id=row.utterance_id,
                speaker_name=row.speaker_name,
                text_key=row.text_key,
            )


def _by_name(request: ErasureRequest, spoken: Sequence[Recording]) -> ErasureRequest:
    """The request of a speaker by the name that their source gives them, by their id.

    Raises:
        AiprodError: more than one is called so.
    """
    ids = sorted({f"s{row.film_id[1:]}" for row in spoken if row.speaker_name == request.object_id})
    if len(ids) > 1:
        raise AiprodError(f"{len(ids)} speakers are called {request.object_id}", f"give an id: {', '.join(ids)}")
    return ErasureRequest(object_id=ids[0]) if ids else request


def _clips(history: History, vault: Vault, films: Collection[str]) -> Iterator[ClipRow]:
    def wanted(columns: Columns) -> list[bool]:
        return [film in films for film in texts(columns, "film_id")]

    yield from _every(history, where.CLIPS, lambda folder: list(chosen_rows(folder, ClipRow, wanted, vault)))


def _every(history: History, out: str, read: Callable[[Path], Sequence[T]]) -> Iterator[T]:
    """Rows of a manifest in the working tree and in every recorded state whose files are in the cache.

    The head names the Merkle root of the rows and of what is encrypted, so the same head is not read twice.
    """
    seen: set[str] = set()
    if (history.root / out / HEAD).is_file():
        yield from read(history.root / out)
        seen.add(hashes(history.root / out / HEAD)[0])
    for state in history.states:
        owner = next((p for p in (out, where.INGEST) if p in state.outs), None)
        if owner is None:
            continue
        prefix = "" if owner == out else f"{out.removeprefix(owner + '/')}/"
        head = history.listing(state.outs[owner]).get(prefix + HEAD, "")
        if head in seen:
            continue
        seen.add(head)
        with history.folder(state.outs[owner], (HEAD, ROWS, SEALED), prefix) as folder:
            if folder is not None:
                with suppress(AiprodError):  # a state whose keys are lost says nothing about any film
                    yield from read(folder)
