"""What to look for when nothing of a film may be left in the clear: its names, its hashes, pieces of its bytes."""

from __future__ import annotations

import hashlib
import json
import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from aiprod.data.rows import FilmRow
from aiprod.errors import AiprodError
from aiprod.governance.dataset import records as where
from aiprod.governance.erasure.resolve import Target
from aiprod.governance.erasure.word_index import SHORTEST, WordIndex
from aiprod.rights.agreements import CONSENT, record_id
from aiprod.storage.clip_store import content
from aiprod.storage.crypto.film_encryption import Vault
from aiprod.storage.shards.shards import Shards

PIECE = 64  # bytes; a piece of compressed film of this length occurs nowhere else by chance
_DISTINCT = 44  # of 64 random bytes about 57 differ; headers and padding, alike in all films, have far fewer
_HEADER = 4096  # bytes, or a quarter of a smaller object
_PIECES = 12  # of each object, spread over it
CONSENTS = "consents"
_SHORTEST_NAME = 6  # characters; a shorter name is found in files that have nothing to do with the film


@dataclass
class Needles:
    """What is looked for, and how much it rests on.

    Attributes:
        consents: ids of consent records that are kept. One alone is no trace of the film; beside an id of it, it is.
        ids: of the films and their clips, which stay in every version; looked for only where a consent is found.
        objects: how many of the film's own objects could be read to take pieces from.
    """

    names: set[bytes] = field(default_factory=set)
    hashes: set[bytes] = field(default_factory=set)
    pieces: set[bytes] = field(default_factory=set)
    consents: set[bytes] = field(default_factory=set)
    ids: set[bytes] = field(default_factory=set)
    objects: int = 0
    _index: tuple[tuple[int, ...], WordIndex, list[bytes]] | None = field(default=None, repr=False, compare=False)

    @property
    def longest(self) -> int:
        """Bytes of the longest."""
        return max((len(n) for n in self.names | self.hashes | self.pieces | self.consents), default=0)

    @property
    def of_ids(self) -> Needles:
        """Needles that are the films' ids alone."""
        return Needles(names=self.ids)

    def in_data(self, data: bytes) -> list[str]:
        """Which kinds of needles are in ``data``: names, hashes, pieces, consents."""
        sizes = (len(self.names), len(self.hashes), len(self.pieces), len(self.consents))  # the sets only grow
        if self._index is None or self._index[0] != sizes:
            every = self.names | self.hashes | self.pieces | self.consents
            short = [needle for needle in every if len(needle) < SHORTEST]
            self._index = sizes, WordIndex(needle for needle in every if len(needle) >= SHORTEST), short
        _, words, short = self._index
        if not words.may_hold(data) and not any(needle in data for needle in short):
            return []
        kinds = {"pieces": self.pieces, "hashes": self.hashes, "names": self.names}
        found = [kind for kind, wanted in kinds.items() if any(needle in data for needle in wanted)]
        return found + [CONSENTS] * any(needle in data and _is_word(needle, data) for needle in self.consents)

    def add_content(self, data: bytes) -> None:
        """Hashes and pieces of an object in the clear."""
        self.objects += 1
        for name in ("md5", "sha256"):
            self.hashes.add(hashlib.new(name, data, usedforsecurity=False).hexdigest().encode())
        self.pieces |= set(pieces(data))


def _is_word(needle: bytes, data: bytes) -> bool:
    """Whether an id stands alone somewhere: `2026-01` is in every date of that month."""
    return re.search(rb"(?<![A-Za-z0-9_-])" + re.escape(needle) + rb"(?![A-Za-z0-9_-])", data) is not None


def pieces(data: bytes, most: int = _PIECES) -> list[bytes]:
    """Up to ``most`` telling pieces, spread over an object beyond its header (a JPEG's tables are alike in many)."""
    every: list[bytes] = []
    stride = max(PIECE, len(data) // (4 * most))
    for start in range(min(_HEADER, len(data) // 4), len(data) - PIECE + 1, stride):
        piece = data[start : start + PIECE]
        if len(set(piece)) >= _DISTINCT:
            every.append(piece)
    step = max(1, len(every) // most)
    return every[::step][:most]


def gather(root: Path, targets: Sequence[Target], vault: Vault) -> Needles:
    """Needles of films whose keys still exist; objects are those that are in the working tree."""
    needles = Needles()
    kept = kept_consents(root, targets)
    needles.consents = {way for name in kept if len(name) >= _SHORTEST_NAME for way in written(name)}
    for target in targets:
        needles.ids |= {name.encode() for name in (target.film_id, *target.clips)}
        for row in [target.row, *target.rows]:
            names = names_of(row) - ({row.consent_ref} if record_id(row.consent_ref or "") in kept else set())
            needles.names |= {way for name in names for way in written(name)}
            needles.hashes |= {h.encode() for h in (row.content_sha256, row.packets_sha256) if h}
    for path in [*working_objects(root, targets), *packed_objects(root, targets)]:
        try:
            needles.add_content(content(path, vault))
        except AiprodError:  # damaged: it tells nothing, to nobody
            continue
    return needles


def kept_consents(root: Path, targets: Iterable[Target]) -> set[str]:
    """Ids of the consent records that the films rest on: they are kept, as proof that it was given and withdrawn."""
    named = {record_id(row.consent_ref or "") for target in targets for row in (target.row, *target.rows)}
    # A reference may be any text, also a path.
    return {name for name in named if name == Path(name).name and (root / CONSENT / f"{name}.yaml").is_file()}


def names_of(row: FilmRow) -> set[str]:
    """Words that name a film: file, title, address, consent record."""
    words = {Path(row.key).name, row.key, row.title, row.description, row.url, row.origin, row.consent_ref}
    return {word for word in words if word and len(word) >= _SHORTEST_NAME}


def written(name: str) -> set[bytes]:
    """A name as files hold it: composed or not, escaped as in JSON, quoted as in addresses, in older encodings."""
    forms: set[bytes] = set()
    for form in ("NFC", "NFD"):
        text = unicodedata.normalize(form, name)  # type: ignore[arg-type]
        forms |= {text.encode("utf-8", "surrogatepass"), json.dumps(text)[1:-1].encode()}
        forms.add(quote(text, errors="replace").encode())
        for encoding in ("latin-1", "cp1252", "utf-16-le"):
            with suppress(UnicodeEncodeError):
                forms.add(text.encode(encoding))
    return forms


def working_objects(root: Path, targets: Iterable[Target]) -> list[Path]:
    """Every file in the working tree that is named by the id of one of the films or their clips.

    What is packed in a shard is no file: it stays there, unreadable, until the next run packs without it.
    """
    ids = {t.film_id for t in targets} | {clip for t in targets for clip in t.clips}
    places = [root / p for p in (where.RAW, where.PROCESSED, where.THUMBNAILS, where.LATENTS, where.SPEECH)]
    below = ((folder, name) for place in places for folder, _, names in os.walk(place) for name in names)
    files = [Path(folder, name) for folder, name in below if name.split(".", 1)[0] in ids]
    return sorted(path for path in files if path.is_file())


def packed_objects(root: Path, targets: Iterable[Target]) -> list[Path]:
    """The paths that objects of the films or their clips would have if they were not in shards.

    Raises:
        AiprodError: the index of a shard that may hold them is damaged.
    """
    films = sorted({t.film_id for t in targets if t.film_id.startswith("f")})
    places = [Shards(root / place) for place in (where.RAW, where.PROCESSED, where.THUMBNAILS, where.LATENTS)]
    return [shards.folder / name for shards in places for film in films for name in shards.of_film(film)]
